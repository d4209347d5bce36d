//! The rules of single fields. Each takes the field's name as in JSON and says what would be right.

use std::ops::RangeInclusive;

use tidemill_kernel::{Id, PageRequest, Priority, TenantName};

use crate::error::{Within, clip};
use crate::{Error, Result};

/// The most documents or tasks of one request.
pub const MAX_BATCH: usize = 1_000;
/// The most leases of one request, and the most tasks that a load may ask for.
pub const MAX_LEASES: usize = 10_000;
/// The longest payload, result or error of a task, in bytes.
pub const MAX_PAYLOAD: usize = 256 << 10;
/// The longest idempotency key, in bytes.
pub const MAX_KEY: usize = 256;
/// The longest name of a group, in bytes.
pub const MAX_GROUP: usize = 128;
/// The longest body of a document, in bytes; the ingestion service sets its own, lower limit.
pub const MAX_BODY: usize = 16 << 20;
/// The longest title, URL, location or query expression, in bytes.
pub const MAX_LINE: usize = 16 << 10;
/// The longest external id, worker name or trace context, in bytes.
pub const MAX_LABEL: usize = 1 << 10;
/// The longest text to search for, in bytes: a pasted article is, a file is not.
pub const MAX_SEARCH: usize = 64 << 10;
/// The longest memory of a collector, in bytes.
pub const MAX_CURSOR: usize = 4 << 20;
/// How many attempts a task has when its submitter says nothing.
pub const DEFAULT_ATTEMPTS: u32 = 5;
/// How many attempts a task may have.
pub const ATTEMPTS: RangeInclusive<u32> = 1..=100;

/// A name of a kind, a query or a source: 1 to 63 of `a-z 0-9 - _ .`.
pub fn name(field: &str, value: String) -> Result<String> {
    let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if (1..=63).contains(&value.len()) && value.bytes().all(fits) {
        return Ok(value);
    }
    Err(Error::field(field, format!("is `{}`; use 1 to 63 of a-z, 0-9, `-`, `_` and `.`", clip(&value))))
}

/// A text that may be empty, at most `max` bytes.
pub fn text(field: &str, value: String, max: usize) -> Result<String> {
    if value.len() <= max {
        return Ok(value);
    }
    Err(Error::field(field, format!("has {} bytes; at most {max} are allowed", value.len())))
}

/// At most `max` bytes.
pub fn bytes(field: &str, value: Vec<u8>, max: usize) -> Result<Vec<u8>> {
    if value.len() <= max {
        return Ok(value);
    }
    Err(Error::field(field, format!("has {} bytes; at most {max} are allowed", value.len())))
}

/// A text of 1 to `max` bytes.
pub fn filled(field: &str, value: String, max: usize) -> Result<String> {
    if value.is_empty() {
        return Err(Error::field(field, format!("is empty; give 1 to {max} bytes")));
    }
    text(field, value, max)
}

/// A name of a group: 1 to [`MAX_GROUP`] bytes, none of them a control character.
pub fn group(field: &str, value: String) -> Result<String> {
    let value = filled(field, value, MAX_GROUP)?;
    if value.chars().any(char::is_control) {
        return Err(Error::field(field, "has a control character; name it by characters that can be seen"));
    }
    Ok(value)
}

/// A name of a group, or nothing.
pub fn group_or_none(field: &str, value: String) -> Result<String> {
    if value.is_empty() { Ok(value) } else { group(field, value) }
}

/// An id.
pub fn id(field: &str, value: &str) -> Result<Id> {
    value.parse().map_err(|_| {
        let example = "01890a5d-ac96-774b-bcce-b302099a8057";
        Error::field(field, format!("is `{}`; give a UUID such as {example}", clip(value)))
    })
}

/// An id, or a new one where none is given.
pub fn id_or(field: &str, value: &str, new_id: &dyn Fn() -> Id) -> Result<Id> {
    if value.is_empty() { Ok(new_id()) } else { id(field, value) }
}

/// At most `max` ids.
pub fn ids(field: &str, values: &[String], max: usize) -> Result<Vec<Id>> {
    at_most(field, values.len(), max)?;
    let parse = |(index, value): (usize, &String)| id(&format!("{field}[{index}]"), value);
    values.iter().enumerate().map(parse).collect()
}

/// A tenant's name.
pub fn tenant(field: &str, value: &str) -> Result<TenantName> {
    value.parse().map_err(|fault: tidemill_kernel::tenant::ParseTenantNameError| {
        Error::field(field, fault.to_string())
    })
}

/// A SHA-256.
pub fn hash(field: &str, value: &[u8]) -> Result<[u8; 32]> {
    let wrong = |_| Error::field(field, format!("has {} bytes; a SHA-256 has 32", value.len()));
    value.try_into().map_err(wrong)
}

/// A message that must be there.
pub fn present<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::field(field, "is missing"))
}

/// What was decoded from the message in this field.
pub fn inside<T>(field: &str, decoded: Result<T>) -> Result<T> {
    decoded.within(field)
}

/// A priority; normal when not said.
pub fn priority(field: &str, number: i32) -> Result<Priority> {
    if number == 0 {
        return Ok(Priority::default());
    }
    Priority::from_number(number).ok_or_else(|| {
        Error::field(field, format!("is {number}; use 1 (interactive), 2 (normal) or 3 (background)"))
    })
}

/// A priority that has to be said.
pub fn given_priority(field: &str, number: i32) -> Result<Priority> {
    if number == 0 {
        return Err(Error::field(
            field,
            "is missing; use 1 (interactive), 2 (normal) or 3 (background)".to_owned(),
        ));
    }
    priority(field, number)
}

/// How many times a task may be tried; [`DEFAULT_ATTEMPTS`] when not said.
pub fn attempts(field: &str, value: i32) -> Result<u32> {
    if value == 0 {
        return Ok(DEFAULT_ATTEMPTS);
    }
    u32::try_from(value).ok().filter(|value| ATTEMPTS.contains(value)).ok_or_else(|| {
        Error::field(field, format!("is {value}; use {} to {}", ATTEMPTS.start(), ATTEMPTS.end()))
    })
}

/// A number that is not negative.
pub fn natural(field: &str, value: i32) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::field(field, format!("is {value}; it cannot be negative")))
}

/// A count that is not negative.
pub fn count(field: &str, value: i64) -> Result<i64> {
    if value >= 0 {
        return Ok(value);
    }
    Err(Error::field(field, format!("is {value}; it cannot be negative")))
}

/// A list of 1 to [`MAX_BATCH`] items.
pub fn batch(field: &str, length: usize) -> Result<()> {
    if length == 0 {
        return Err(Error::field(field, format!("is empty; give 1 to {MAX_BATCH}")));
    }
    at_most(field, length, MAX_BATCH)
}

/// A list of at most `max` items.
pub fn at_most(field: &str, length: usize, max: usize) -> Result<()> {
    if length <= max {
        return Ok(());
    }
    Err(Error::field(field, format!("has {length} items; at most {max} are allowed: send them in parts")))
}

/// How many tasks to load.
pub fn limit(field: &str, value: i32) -> Result<u32> {
    let fits = |value: &u32| (1..=MAX_LEASES).contains(&usize::try_from(*value).unwrap_or(usize::MAX));
    u32::try_from(value)
        .ok()
        .filter(fits)
        .ok_or_else(|| Error::field(field, format!("is {value}; use 1 to {MAX_LEASES}")))
}

/// A page of a listing.
pub fn page(size: i32, token: String) -> Result<PageRequest> {
    let token = text("page_token", token, MAX_LABEL)?;
    PageRequest::decode(size, token).map_err(Error::Invalid)
}
