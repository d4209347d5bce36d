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

/// The part of a limit that one of several schedulers may use. It is bounded by the limit itself, so that the whole is
/// never named: what is more than the limit allows is all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How many tasks may run at once here.
    pub concurrency: u32,
    /// How fast they may start here.
    pub rate: Rate,
}

impl Share {
    /// The whole limit.
    pub const ALL: Self =
        Self { concurrency: u32::MAX, rate: Rate { per_second: u64::MAX, burst: u64::MAX } };
    /// Nothing of it.
    pub const NONE: Self = Self { concurrency: 0, rate: Rate { per_second: 0, burst: 0 } };

    /// What either of two shares lets be used.
    pub(crate) fn most(self, other: Self) -> Self {
        let rate = Rate {
            per_second: self.rate.per_second.max(other.rate.per_second),
            burst: self.rate.burst.max(other.rate.burst),
        };
        Self { concurrency: self.concurrency.max(other.concurrency), rate }
    }

    /// What of a limit this share lets be used.
    pub fn of(self, limit: Limit) -> Limit {
        let rate = |whole: Rate| Rate {
            per_second: whole.per_second.min(self.rate.per_second),
            burst: whole.burst.min(self.rate.burst),
        };
        Limit {
            concurrency: limit.concurrency.map(|whole| whole.min(self.concurrency)),
            rate: limit.rate.map(rate),
            ..limit
        }
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
    /// So many run as may here: other schedulers hold the rest of the limit, or nobody does yet.
    Part {
        /// How many run here.
        running: u32,
        /// How many may here.
        part: u32,
        /// How many may in all.
        whole: u32,
    },
    /// The tokens are used up that this scheduler has of the rate.
    PartOfRate {
        /// There will be enough at this moment; `None` without a part of the rate.
        until: Option<Timestamp>,
        /// Tokens that are gained here in a second.
        part: u64,
        /// Tokens that are gained in all.
        whole: u64,
    },
}

impl Verdict {
    /// When time alone ends it, if it does.
    pub fn until(self) -> Option<Timestamp> {
        match self {
            Self::Closed { until } | Self::Rate { until } => Some(until),
            Self::PartOfRate { until, .. } => until,
            Self::Paused | Self::Concurrency { .. } | Self::Part { .. } => None,
        }
    }
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

/// How a limit was used since this was asked last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitUse {
    /// How many tasks under it wait in memory.
    pub queued: usize,
    /// How many run.
    pub running: u32,
    /// How many ran at once, at most.
    pub peak: u32,
    /// How many have started.
    pub started: u32,
    /// Whether it let nothing start at some moment, because so many ran as may.
    pub was_full: bool,
}
