//! Ids that sort by the time of their making: UUID version 7 (RFC 9562 §5.7), from a given time and rng.

use std::fmt;
use std::str::FromStr;

use rand::RngCore;
use uuid::Uuid;

use crate::Timestamp;

/// A task, lease, source or query id. Written as a hyphenated lower-case UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Id(Uuid);

impl Id {
    /// A new id: 48 bits of milliseconds from `now`, the rest from `rng`.
    pub fn new(now: Timestamp, rng: &mut impl RngCore) -> Self {
        let millis = now.as_micros().max(0).unsigned_abs() / 1_000;
        let mut random = [0; 10];
        rng.fill_bytes(&mut random);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// The id with these 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes, in order.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a UUID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an id: expected a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")]
pub struct ParseIdError(String);

impl FromStr for Id {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self).map_err(|_| ParseIdError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn ids_sort_by_time_and_read_back() {
        let mut rng = StdRng::seed_from_u64(7);
        let early = Id::new(Timestamp::from_micros(1_000_000), &mut rng);
        let late = Id::new(Timestamp::from_micros(1_001_000), &mut rng);
        assert!(early < late);
        assert_eq!(late.to_string().parse(), Ok(late));
        assert!("12-34".parse::<Id>().is_err());
    }
}
