//! Ids that sort by the time of their making: UUID version 7 (RFC 9562 §5.7), from a given time and rng.

use std::fmt;
use std::str::FromStr;

use rand::RngCore;
use uuid::Uuid;

use crate::Timestamp;

/// The bits of an id that hold a place.
const PLACE_BITS: u64 = (1 << 62) - 1;

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

    /// The id of the task at this place of the queue's log, stored at this moment: 48 bits of milliseconds, 12 bits of
    /// the millisecond's fraction (RFC 9562 §6.2, method 3), and the place in the 62 bits that are left. One id for
    /// one moment and place, so a store needs no index of ids: it looks at the place and compares.
    pub fn placed(moment: Timestamp, place: i64) -> Self {
        let micros = moment.as_micros().max(0).unsigned_abs();
        let fraction = (micros % 1_000) * 4_096 / 1_000;
        let high = (micros / 1_000) << 16 | 0x7000 | fraction;
        let low = 0b10 << 62 | place.unsigned_abs() & PLACE_BITS;
        Self(Uuid::from_u64_pair(high, low))
    }

    /// The place that [`Id::placed`] put in. Of any other id: a number that means nothing.
    pub fn place(&self) -> i64 {
        // 62 bits fit.
        i64::try_from(self.0.as_u64_pair().1 & PLACE_BITS).unwrap_or_default()
    }

    /// The moment that [`Id::placed`] put in, to the microsecond.
    pub fn moment(&self) -> Timestamp {
        let high = self.0.as_u64_pair().0;
        let micros = (high >> 16) * 1_000 + ((high & 0xfff) * 1_000).div_ceil(4_096);
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
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
    use proptest::prelude::*;
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

    proptest! {
        /// Version 7 and its variant, ordered by time, and nothing of the place is lost.
        #[test]
        fn a_placed_id_tells_its_place(micros in 0_i64..1 << 57, later in 1_i64..1 << 40, place in 0_i64..1 << 62) {
            let moment = Timestamp::from_micros(micros);
            let id = Id::placed(moment, place);
            prop_assert_eq!(id.place(), place);
            prop_assert_eq!(id.moment(), moment);
            prop_assert_eq!((id.0.get_version_num(), id.0.get_variant()), (7, uuid::Variant::RFC4122));
            prop_assert!(id < Id::placed(Timestamp::from_micros(micros + later), place));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }
}
