//! The other schedulers, as far as this one needs them.

use async_trait::async_trait;
use tidemill_chassis::Wire;
use tidemill_kernel::Id;

/// Tells other schedulers of work that is theirs.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Tells the scheduler at this address that there are new tasks for it. A hint: one that gets lost costs a second.
    async fn wake(&self, address: &str);

    /// Tells the scheduler at this address that tasks of its were changed by hand, cancelled perhaps. Returns those that it does
    /// not run, which are all if it could not be told.
    async fn tell_changed(&self, address: &str, tasks: &[Id], are_cancelled: bool) -> Vec<Id>;

    /// Tells the scheduler at this address that settings were changed. A hint: one that gets lost costs ten seconds.
    async fn tell_settings(&self, address: &str);

    /// The way to the scheduler at this address; none if it is no address.
    fn wire(&self, address: &str) -> Option<Wire>;
}
