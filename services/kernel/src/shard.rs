//! Shards: the queue in parts that different schedulers run. A tenant belongs to one shard for ever, so its order and
//! its limits are decided in one place.
//!
//! The hash is FNV-1a (Fowler, Noll, Vo), folded; it is part of the stored data and must not change.

use std::ops::RangeInclusive;

use crate::TenantName;

/// How many shards there are: the most schedulers that can share the work. Part of the stored data.
pub const SHARDS: u16 = 16;

/// The bits of a place below the number of its shard.
const COUNTER_BITS: u32 = 48;

/// One of the [`SHARDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Shard(u16);

impl Shard {
    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SHARDS).map(Self)
    }

    /// The shard with this number; none if there is none.
    pub fn new(number: u16) -> Option<Self> {
        (number < SHARDS).then_some(Self(number))
    }

    /// The shard of a tenant.
    pub fn of_tenant(name: &TenantName) -> Self {
        Self::of_name(name.as_str())
    }

    /// The shard of whatever has this name.
    pub fn of_name(name: &str) -> Self {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
        // The remainder is below 16.
        Self(u16::try_from((hash ^ hash >> 32) % u64::from(SHARDS)).unwrap_or_default())
    }

    /// The shard that a place of the log belongs to.
    pub fn of_place(place: i64) -> Self {
        Self(u16::try_from(place >> COUNTER_BITS).unwrap_or_default() % SHARDS)
    }

    /// Its number, from 0.
    pub fn number(self) -> u16 {
        self.0
    }

    /// Its place with this count, from 1 on.
    pub fn place(self, count: i64) -> i64 {
        i64::from(self.0) << COUNTER_BITS | count
    }

    /// The places that belong to it.
    pub fn places(self) -> RangeInclusive<i64> {
        self.place(0)..=self.place((1 << COUNTER_BITS) - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tenants_shard_is_what_it_was_yesterday() {
        let shard = |name: &str| Shard::of_tenant(&name.parse().unwrap()).number();
        assert_eq!(["default", "acme", "umbra", "t1", "t2"].map(shard), [8, 12, 5, 1, 4]);
    }

    #[test]
    fn tenants_are_spread_evenly() {
        let mut counts = [0; 16];
        for number in 0..16_000 {
            counts[Shard::of_tenant(&format!("tenant-{number}").parse().unwrap()).0 as usize] += 1;
        }
        assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn a_place_tells_its_shard(number in 0..SHARDS, count in 1_i64..1 << 48) {
            let shard = Shard::new(number).unwrap();
            prop_assert_eq!(Shard::of_place(shard.place(count)), shard);
            prop_assert!(shard.places().contains(&shard.place(count)));
        }
    }
}
