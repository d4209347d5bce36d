//! Times between microseconds and `google.protobuf.Timestamp`.

use pbjson_types::{Duration, Timestamp};

/// The message of a time in microseconds since the epoch.
pub fn from_micros(micros: i64) -> Timestamp {
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

/// Microseconds since the epoch; parts of a microsecond are dropped, times out of range saturate.
pub fn to_micros(time: &Timestamp) -> i64 {
    time.seconds.saturating_mul(1_000_000).saturating_add(i64::from(time.nanos) / 1_000)
}

/// The message of a duration.
pub fn duration(length: std::time::Duration) -> Duration {
    let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    Duration { seconds, nanos: i32::try_from(length.subsec_nanos()).unwrap_or(0) }
}

/// The length of a duration; a negative one is zero.
pub fn length(duration: &Duration) -> std::time::Duration {
    let seconds = u64::try_from(duration.seconds).unwrap_or(0);
    std::time::Duration::new(seconds, u32::try_from(duration.nanos).unwrap_or(0).min(999_999_999))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_the_epoch_read_back() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -62_135_596_800_000_000] {
            assert_eq!(to_micros(&from_micros(micros)), micros);
        }
        let wait = std::time::Duration::from_micros(1_500_001);
        assert_eq!(length(&duration(wait)), wait);
    }
}
