//! What a task asks for beyond its kind: a deadline, limits, memory, labels, a place, an order.
//!
//! Most tasks ask for nothing and carry none of this.

use std::sync::Arc;

use tidemill_kernel::Timestamp;

/// What a task asks for; the default asks for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Traits {
    /// When it must have started. The earliest deadline of a tenant and priority goes first; after it the task is not
    /// run any more.
    pub deadline: Option<Timestamp>,
    /// The keys under whose limits it stands, such as `model:large`.
    pub keys: Vec<Arc<str>>,
    /// The memory that it needs in bytes; 0: so little that it does not count.
    pub memory: u64,
    /// Labels that its worker must have.
    pub labels: Vec<Arc<str>>,
    /// It runs better on a worker that has run a task of the same affinity of late. Soft.
    pub affinity: Option<Arc<str>>,
    /// Where it should run.
    pub zone: Option<Zone>,
    /// Tasks of one tenant with the same order key run one at a time, in the order of their places.
    pub order_key: Option<Arc<str>>,
}

/// A zone that a task names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it must run there; otherwise it is preferred.
    pub required: bool,
}

impl Traits {
    /// The memory that is set aside for it: rounded up by at most a sixteenth, so that there are few sizes.
    pub fn reserved_memory(&self) -> u64 {
        let grain = match self.memory {
            0 => return 0,
            memory => memory.ilog2().saturating_sub(4),
        };
        self.memory.checked_next_multiple_of(1 << grain).unwrap_or(self.memory)
    }

    /// The zone outside of which it may not run.
    pub(crate) fn required_zone(&self) -> Option<&Arc<str>> {
        self.zone.as_ref().filter(|zone| zone.required).map(|zone| &zone.name)
    }

    /// Whether some workers suit it better than others that could run it.
    pub(crate) fn has_preference(&self) -> bool {
        self.affinity.is_some() || self.zone.as_ref().is_some_and(|zone| !zone.required)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn memory_is_rounded_up_by_at_most_a_sixteenth(memory in 0..=u64::MAX, shift in 0_u32..64) {
            let memory = memory >> shift;
            let reserved = Traits { memory, ..Traits::default() }.reserved_memory();
            prop_assert!(reserved >= memory && reserved - memory <= memory / 16);
            prop_assert_eq!(Traits { memory: reserved, ..Traits::default() }.reserved_memory(), reserved);
        }
    }

    #[test]
    fn powers_of_two_stand_as_they_are() {
        for shift in 0..64 {
            assert_eq!(Traits { memory: 1 << shift, ..Traits::default() }.reserved_memory(), 1 << shift);
        }
    }
}
