//! The other schedulers, as far as this one needs them.

use async_trait::async_trait;
use tidemill_chassis::Wire;

/// Tells other schedulers of work that is theirs.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Tells the scheduler at this address that there are new tasks for it. A hint: one that gets lost costs a second.
    async fn wake(&self, address: &str);

    /// The way to the scheduler at this address; none if it is no address.
    fn wire(&self, address: &str) -> Option<Wire>;
}
