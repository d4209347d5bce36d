//! Where the instances of a service can be reached, and who joins and leaves while the process runs.
//!
//! [`Discovery`] is the port; each way of finding out is one file here, and all of them pass one suite (`conformance`):
//! [`fixed`] lists of the configuration (or all that their names stand for: [`resolved`]), [`consul`]'s catalog.
//!
//! Invariants: a set is sorted by address and has each address once; a set that did not change wakes nobody; who
//! starts to follow late begins with what is known.

pub mod address;
#[cfg(any(test, feature = "conformance"))]
#[expect(clippy::unwrap_used, clippy::panic, reason = "a test suite, though not this crate's own")]
pub mod conformance;
pub mod consul;
pub mod fixed;
pub mod resolved;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

pub use address::{Address, AddressError};

/// A way of finding the instances of services.
pub trait Discovery: fmt::Debug + Send + Sync + 'static {
    /// Begins to follow a service, known or not. Must be called within a tokio runtime; what runs for it ends when the
    /// answer and its clones are dropped.
    fn follow(&self, service: &str) -> Follow;
}

/// One place where a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// Where it is; this is what tells instances apart.
    pub address: Address,
    /// The zone that it runs in, where that is known.
    pub zone: Option<String>,
    /// Its share of the load, relative to the others'; 1 is usual.
    pub weight: u32,
    /// What else it tells about itself.
    pub meta: BTreeMap<String, String>,
}

impl Instance {
    /// An instance of which only the address is known.
    pub fn at(address: Address) -> Self {
        Self { address, zone: None, weight: 1, meta: BTreeMap::new() }
    }
}

/// All instances of a service.
pub type Instances = Arc<[Instance]>;

/// A service that is followed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Follow(watch::Receiver<Option<Instances>>);

impl Follow {
    /// Follows what is sent; `None` stands for "not known yet".
    pub fn new(receiver: watch::Receiver<Option<Instances>>) -> Self {
        Self(receiver)
    }

    /// A set that never changes.
    pub fn always(instances: Vec<Instance>) -> Self {
        Self(watch::channel(Some(arrange(instances))).1)
    }

    /// The instances now; `None` as long as nothing has been heard at all.
    pub fn current(&self) -> Option<Instances> {
        self.0.borrow().clone()
    }

    /// Whether the instances now are other ones than these.
    pub(crate) fn differs(&self, known: Option<&Instances>) -> bool {
        match (&*self.0.borrow(), known) {
            (Some(current), Some(known)) => !Arc::ptr_eq(current, known),
            (current, known) => current.is_some() != known.is_some(),
        }
    }

    /// Waits for a change that this clone has not seen; false when there will be none any more.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }

    /// Waits until anything is known; false when it never will be.
    pub async fn known(&mut self) -> bool {
        self.0.wait_for(Option::is_some).await.is_ok()
    }
}

/// Instances as a set is told: by address, each once.
pub(crate) fn arrange(mut instances: Vec<Instance>) -> Instances {
    instances.sort_by(|one, other| one.address.cmp(&other.address));
    instances.dedup_by(|later, kept| later.address == kept.address);
    instances.into()
}
