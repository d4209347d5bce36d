//! Limits as they are set and shown: how much may run at once, how fast, until when not at all.
//!
//! A limit is named by its scope; everything that falls under a scope passes its gate. Limits may be set, changed and
//! shared out while tasks run: what runs goes on, what is to start obeys.

use std::sync::Arc;

use tidemill_kernel::{TenantName, Timestamp};

use crate::candidate::{Kind, QueueKey};

/// What a limit, a pause or a closing applies to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// All tasks of a tenant.
    Tenant(TenantName),
    /// All tasks of a kind, of all tenants together.
    Kind(Kind),
    /// A tenant's tasks of a kind.
    TenantKind(TenantName, Kind),
    /// A tenant's tasks with a key.
    TenantKey(TenantName, Arc<str>),
    /// Tasks with a key, of all tenants together.
    Key(Arc<str>),
    /// A queue: tenant, priority and kind.
    Queue(QueueKey),
}

/// What a scope may use; the default is everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limit {
    /// How many of its tasks may run at once; 0: none.
    pub concurrency: Option<u32>,
    /// How fast they may start.
    pub rate: Option<Rate>,
    /// What becomes of a task that is submitted when `concurrency` tasks wait or run already.
    pub on_full: OnFull,
}

/// How fast tasks may start, in cost: a task takes as many tokens as it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens gained in a second.
    pub per_second: u64,
    /// Tokens that gather while nothing starts, which may be used at once.
    pub burst: u64,
}

/// What becomes of a task that is submitted while its key is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFull {
    /// It waits.
    #[default]
    Queue,
    /// It is refused.
    Reject,
    /// It takes the place of the oldest, which is to be cancelled.
    ReplaceOldest,
}

/// The part of a limit that one of several schedulers uses: from `from` to `to` of `of` parts. Disjoint parts add up to
/// exactly the limit, however it divides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Where the part begins.
    pub from: u32,
    /// Where it ends.
    pub to: u32,
    /// How many parts there are.
    pub of: u32,
}

impl Share {
    /// The whole limit.
    pub const ALL: Self = Self { from: 0, to: 1, of: 1 };

    /// What this part of a whole comes to.
    pub fn of(self, whole: u64) -> u64 {
        let of = u128::from(self.of.max(1));
        let end = |part: u32| u128::from(whole) * u128::from(part).min(of) / of;
        u64::try_from(end(self.to).saturating_sub(end(self.from))).unwrap_or(whole)
    }
}

/// Why nothing starts under a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is paused until it is resumed.
    Paused,
    /// It is closed.
    Closed {
        /// Until then.
        until: Timestamp,
    },
    /// So many run as may.
    Concurrency {
        /// How many run.
        running: u32,
        /// How many may.
        cap: u32,
    },
    /// The tokens are used up.
    Rate {
        /// There will be enough at this moment if nobody takes any before.
        until: Timestamp,
    },
}

/// How a limit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitStatus {
    /// What it applies to.
    pub scope: Scope,
    /// The limit.
    pub limit: Limit,
    /// The part of it that is used here.
    pub share: Share,
    /// How many tasks under it wait in memory.
    pub queued: usize,
    /// How many run.
    pub running: u32,
    /// Why it lets nothing start, if it does not.
    pub verdict: Option<Verdict>,
    /// How many of those that wait are held back by this limit (perhaps by others as well).
    pub held_back: usize,
}

impl LimitStatus {
    /// The concurrency that this scheduler holds on to: its part, or what runs if that is more. Another one may use only
    /// what is left.
    pub fn in_use(&self) -> Option<u32> {
        let part = self.share.of(u64::from(self.limit.concurrency?));
        Some(u32::try_from(part).unwrap_or(u32::MAX).max(self.running))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn disjoint_shares_add_up_to_the_whole(
            whole in 0..=u64::MAX, mut cuts in prop::collection::vec(0_u32..=1_000, 0..8),
        ) {
            cuts.extend([0, 1_000]);
            cuts.sort_unstable();
            let parts = cuts.windows(2).map(|cut| Share { from: cut[0], to: cut[1], of: 1_000 }.of(whole));
            prop_assert_eq!(parts.sum::<u64>(), whole);
        }
    }
}
