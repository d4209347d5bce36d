//! Times between rows and `google.protobuf.Timestamp`.

use std::ops::RangeInclusive;

use pbjson_types::Timestamp as Message;
use tidemill_kernel::Timestamp;
use tidemill_proto::time;

use crate::{Error, Result};

/// Seconds of the years 1 to 9999, all that `google.protobuf.Timestamp` may hold.
const SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

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

/// A time that must be set.
pub fn decode_required(field: &str, message: Option<Message>) -> Result<Timestamp> {
    decode(field, &super::rule::present(field, message)?)
}
