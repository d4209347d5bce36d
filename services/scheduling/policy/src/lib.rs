//! Which task runs next, and what becomes of it: order, fairness, limits, matching and retries as pure decisions.
//!
//! The scheduler feeds a [`Policy`] with what its store holds and carries out what the policy picks; the simulator does
//! the same with simulated work.
//!
//! Invariants:
//! - No I/O, no clock, no runtime: every decision is a function of the history of calls (and of `now` and a seeded rng
//!   where they are parameters). The same history gives the same decisions.
//! - Nothing is picked twice, nothing is forgotten, no limit is exceeded, tasks of one order key run one at a time.
//! - Work-conserving: [`Policy::take`] comes back short only if no task in memory could be picked by that worker. What is
//!   held back holds nothing else back.
//! - Memory is bounded: a queue holds a window of candidates, the rest stays in the store ([`Refill`]).
//!
//! What cannot run costs nothing to skip. It is left out as a whole, at the level at which it is blocked: a *shape* (tasks
//! of all tenants that are of one kind, fit the same workers and stand under the same global keys), a *bunch* (one tenant's
//! tasks of a shape in one priority), a *line* (those of a bunch with the same keys), or the followers of an order key.
//!
//! To change the order between priorities see `shares`, between tenants `fair`, within a line `line`; for limits see
//! `gate`, for those that several schedulers share `division`, for who may run what `shape` and `pool`, for the window over the store `queue`.

mod bunch;
mod candidate;
mod config;
mod division;
mod error;
mod fair;
mod gate;
mod heap;
mod intern;
mod limits;
mod line;
mod meter;
mod order_key;
mod policy;
mod pool;
mod queue;
mod retry;
mod shape;
mod shares;
mod tasks;
mod traits;
mod worker;

pub use candidate::{Candidate, Enqueued, Kind, QueueKey};
pub use config::{Overload, PolicyConfig, Shares, TenantLimits};
pub use division::{Ask, Division};
pub use error::Error;
pub use limits::{Limit, LimitStatus, LimitUse, OnFull, Rate, Scope, Share, Verdict};
pub use policy::Policy;
pub use policy::admission::{Admit, Arrival, Refusal};
pub use policy::explain::{Explanation, Reason};
pub use policy::refill::Refill;
pub use retry::{Failure, Retry, after_failure};
pub use traits::{Traits, Zone};
pub use worker::{Lack, Worker, fits_nowhere};
