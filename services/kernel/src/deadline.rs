//! Deadlines: the moment after which nobody waits for an answer, and the `grpc-timeout` header that carries what is
//! left of it from hop to hop.
//!
//! The header is at most eight digits and a unit: `H` hours, `M` minutes, `S` seconds, `m` milliseconds, `u`
//! microseconds, `n` nanoseconds. It is written in the finest unit that fits and rounded down, so that a callee never
//! believes to have more time than its caller.
//!
//! Source: "gRPC over HTTP2", the `Timeout` rule of the request grammar.

use std::time::Duration;

use crate::Timestamp;

/// The units with their nanoseconds, finest first.
const UNITS: [(char, u128); 6] = [
    ('n', 1),
    ('u', 1_000),
    ('m', 1_000_000),
    ('S', 1_000_000_000),
    ('M', 60_000_000_000),
    ('H', 3_600_000_000_000),
];

/// The greatest number that eight digits hold.
const MAX_VALUE: u128 = 99_999_999;

/// The moment by which an answer must be there. The lesser of two is the one that binds (`Ord::min`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Timestamp);

impl Deadline {
    /// This moment.
    pub fn at(moment: Timestamp) -> Self {
        Self(moment)
    }

    /// `timeout` from now.
    pub fn after(now: Timestamp, timeout: Duration) -> Self {
        Self(now + timeout)
    }

    /// The moment itself.
    pub fn moment(self) -> Timestamp {
        self.0
    }

    /// How much time is left; zero once it has passed.
    pub fn remaining(self, now: Timestamp) -> Duration {
        self.0.since(now)
    }

    /// Whether it has come.
    pub fn has_passed(self, now: Timestamp) -> bool {
        now >= self.0
    }

    /// The one that binds of two that may be absent.
    pub fn earlier(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

/// The text is not a `grpc-timeout` value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a timeout: expected 1 to 8 digits and one of H M S m u n, such as 250m")]
pub struct ParseTimeoutError(String);

/// Reads a `grpc-timeout` value.
pub fn parse_grpc_timeout(text: &str) -> Result<Duration, ParseTimeoutError> {
    let refuse = || ParseTimeoutError(text.chars().take(20).collect());
    let unit = text.chars().next_back().ok_or_else(refuse)?;
    let digits = &text[..text.len() - unit.len_utf8()];
    let nanos_per_unit = UNITS.iter().find(|row| row.0 == unit).ok_or_else(refuse)?.1;
    // `parse` alone would let a plus sign pass.
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse());
    }
    let value: u128 = digits.parse().map_err(|_| refuse())?;
    Ok(Duration::from_nanos_u128(value * nanos_per_unit))
}

/// Writes a `grpc-timeout` value: the finest unit that fits, rounded down; more than 99999999 hours is written as that.
pub fn format_grpc_timeout(timeout: Duration) -> String {
    let nanos = timeout.as_nanos();
    let fitting = UNITS.into_iter().map(|(unit, scale)| (unit, nanos / scale)).find(|row| row.1 <= MAX_VALUE);
    let (unit, value) = fitting.unwrap_or(('H', MAX_VALUE));
    format!("{value}{unit}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_legal_value_means_number_times_unit(value in 0_u64..=99_999_999, unit in 0_usize..6) {
            let (letter, nanos) = UNITS[unit];
            let expected = Duration::from_nanos_u128(u128::from(value) * nanos);
            prop_assert_eq!(parse_grpc_timeout(&format!("{value}{letter}")), Ok(expected));
            prop_assert_eq!(parse_grpc_timeout(&format!("{value:08}{letter}")), Ok(expected));
        }

        #[test]
        fn what_is_written_reads_back_not_longer_and_to_seven_digits(nanos: u64) {
            let timeout = Duration::from_nanos(nanos);
            let text = format_grpc_timeout(timeout);
            prop_assert!(text.len() <= 9);
            let back = parse_grpc_timeout(&text).unwrap();
            // The step to a coarser unit is at most 1000, so five digits of precision remain.
            prop_assert!(back <= timeout && timeout - back <= timeout / 10_000);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,12}") {
            let _ = parse_grpc_timeout(&text);
        }
    }

    #[test]
    fn malformed_values_are_refused() {
        for text in ["", "S", "123456789S", "1", "1s", "+1S", "-1S", "1.5S", " 1S", "1Sé", "１S"] {
            assert!(parse_grpc_timeout(text).is_err(), "{text}");
        }
        let huge = Duration::from_secs(u64::MAX);
        assert_eq!(format_grpc_timeout(huge), "99999999H");
        assert_eq!(format_grpc_timeout(Duration::from_millis(250)), "250000u");
        assert_eq!(format_grpc_timeout(Duration::ZERO), "0n");
    }

    #[test]
    fn the_earlier_deadline_binds() {
        let now = Timestamp::from_micros(1_000_000);
        let soon = Deadline::after(now, Duration::from_secs(1));
        let late = Deadline::at(Timestamp::from_micros(9_000_000));
        assert_eq!(soon.min(late), soon);
        assert_eq!(Deadline::earlier(Some(late), Some(soon)), Some(soon));
        assert_eq!(Deadline::earlier(None, Some(late)), Some(late));
        assert_eq!(Deadline::earlier(None, None), None);
        assert_eq!(late.remaining(now), Duration::from_secs(8));
        assert!(!soon.has_passed(now) && soon.has_passed(soon.moment()));
        assert_eq!(soon.remaining(late.moment()), Duration::ZERO);
    }
}
