//! Times between rows and `google.protobuf.Timestamp`.

use std::ops::RangeInclusive;
use std::time::Duration;

use pbjson_types::{Duration as Length, Timestamp as Message};
use tidemill_kernel::Timestamp;
use tidemill_proto::time;

use crate::{Error, Result};

/// Seconds of the years 1 to 9999, all that `google.protobuf.Timestamp` may hold.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// The longest length, in seconds: a thousand years.
const MAX_SECONDS: i64 = 31_557_600_000;

/// The message of a time.
pub fn encode(time: Timestamp) -> Message {
    time::from_micros(time.as_micros())
}

/// The time of a message; parts of a microsecond are dropped.
pub fn decode(field: &str, message: &Message) -> Result<Timestamp> {
    if SECONDS.contains(&message.seconds) && (0..1_000_000_000).contains(&message.nanos) {
        return Ok(Timestamp::from_micros(time::to_micros(message)));
    }
    Err(Error::field(
        field,
        "is out of range; use a time in the years 1 to 9999 with 0 to 999,999,999 nanoseconds",
    ))
}

/// The time, or `default` when it is not set.
pub fn decode_or(field: &str, message: Option<Message>, default: Timestamp) -> Result<Timestamp> {
    Ok(decode_optional(field, message)?.unwrap_or(default))
}

/// The time if it is set.
pub fn decode_optional(field: &str, message: Option<Message>) -> Result<Option<Timestamp>> {
    message.map(|message| decode(field, &message)).transpose()
}

/// A length if it is set; not negative, at most a thousand years.
pub fn decode_length(field: &str, message: Option<Length>) -> Result<Option<Duration>> {
    let Some(message) = message else { return Ok(None) };
    if (0..=MAX_SECONDS).contains(&message.seconds) && (0..1_000_000_000).contains(&message.nanos) {
        return Ok(Some(time::length(&message)));
    }
    Err(Error::field(field, "is out of range; use 0s or more, up to a thousand years"))
}

/// A time that must be set.
pub fn decode_required(field: &str, message: Option<Message>) -> Result<Timestamp> {
    decode(field, &super::rule::present(field, message)?)
}
