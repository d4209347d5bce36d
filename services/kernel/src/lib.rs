//! What every Tidemill crate shares and nothing more: words (ids, tenants, priorities, time, error kinds, pages) and
//! the pure mechanisms of resilience and balancing.
//!
//! Invariants:
//! - No I/O, no runtime, no network, no SQL, no protobuf, and no service is known here.
//! - Time and randomness are parameters: a mechanism is a state machine `(state, event, now) -> decision`, so that
//!   production, property tests and the simulator run the same code.
//!
//! To add a mechanism: one file, its algorithm and source in the module doc, a property test against a naive model
//! or a closed form beside it.

pub mod backoff;
pub mod breaker;
pub mod bucket;
pub mod concurrency;
pub mod deadline;
pub mod error;
pub mod ewma;
pub mod id;
pub mod p2c;
pub mod page;
pub mod priority;
pub mod quantile;
pub mod retry_budget;
pub mod shard;
pub mod tenant;
pub mod time;
mod window;

pub use deadline::Deadline;
pub use error::{ErrorKind, Fault, Violation};
pub use id::Id;
pub use page::{Page, PageRequest};
pub use priority::Priority;
pub use shard::Shard;
pub use tenant::{TenantName, Tier};
pub use time::{Clock, ManualClock, Timestamp};
