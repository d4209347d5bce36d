//! What the policy is given: candidates, and the names of their queues.

use std::fmt;
use std::sync::Arc;

use tidemill_kernel::{Id, Priority, TenantName};

use crate::traits::Traits;

/// A task that could run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The task.
    pub id: Id,
    /// Whose it is.
    pub tenant: TenantName,
    /// What has to be done.
    pub kind: Kind,
    /// How urgent it is.
    pub priority: Priority,
    /// Its place in the store's log: the lower goes first. Unique within a queue.
    pub sequence: i64,
    /// How much of its tenant's share and of its limits' rates it uses up; 0 counts as 1.
    pub cost: u32,
    /// What it asks for beyond its kind; none for most.
    pub traits: Option<Arc<Traits>>,
}

impl Candidate {
    /// The queue it belongs to.
    pub fn queue(&self) -> QueueKey {
        QueueKey { tenant: self.tenant.clone(), priority: self.priority, kind: self.kind.clone() }
    }
}

/// What became of an offered candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// It waits in memory.
    Queued,
    /// It was known already, waiting or running; nothing changed.
    Known,
    /// Its queue's window is full: it stays in the store and comes back with a refill.
    Deferred,
}

/// A kind of task, such as `collect` or `analyze`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(Arc<str>);

impl Kind {
    /// The kind with this name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a queue: candidates of one tenant, priority and kind, first come first served.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueKey {
    /// Whose it is.
    pub tenant: TenantName,
    /// Its priority.
    pub priority: Priority,
    /// Its kind.
    pub kind: Kind,
}
