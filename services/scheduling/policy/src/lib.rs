//! Which task runs next, and what becomes of it: order, fairness, leases and retries as pure decisions.
//!
//! The scheduler feeds a [`Policy`] with what its store holds and carries out what the policy picks; the simulator does
//! the same with simulated work.
//!
//! Invariants:
//! - No I/O, no clock, no runtime: every decision is a function of the history of calls (and of `now` and a seeded rng
//!   where they are parameters). The same history gives the same decisions.
//! - Nothing is picked twice, nothing is forgotten, no tenant runs more than its cap.
//! - Work-conserving: [`Policy::take`] comes back short only if no task it could pick is in memory.
//! - Memory is bounded: a queue holds a window of candidates, the rest stays in the store ([`Refill`]).
//!
//! To change the order between priorities see `shares`, between tenants `fair`, within a queue `queue`.

mod backlog;
mod candidate;
mod config;
mod error;
mod fair;
mod intern;
mod lease;
mod policy;
mod pool;
mod queue;
mod retry;
mod shares;

pub use candidate::{Candidate, Enqueued, Kind, QueueKey};
pub use config::{PolicyConfig, Shares, TenantLimits};
pub use error::Error;
pub use lease::{Lease, LeaseTable};
pub use policy::Policy;
pub use policy::refill::Refill;
pub use retry::{Failure, Retry, after_failure};
