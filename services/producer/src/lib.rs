//! Submits tasks for whoever makes them: many callers share one stream, so that what they submit at the same moment is sent
//! together and made durable by one commit, and a call costs a fraction of a call of its own.
//!
//! Invariants:
//! - A caller is answered when his task is durable, or with what became of it.
//! - A cut of the stream is mended by itself: what may be sent again without being made twice is sent again, anything else is
//!   answered with [`Error::Lost`].
//! - Tasks of one caller who awaits each are queued in his order.
//! - Knows nothing of what any kind of task does.
//!
//! `line` is the state, free of I/O; `talk` holds the stream.

pub mod error;
mod line;
mod talk;

use std::sync::Arc;
use std::time::Duration;

use tidemill_chassis::Wire;
use tidemill_proto::types::v1::NewTask;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tonic::metadata::MetadataMap;

pub use error::Error;
pub use tidemill_proto::scheduling::v1::SubmittedTask;

use line::{Line, Order};

/// How a producer behaves.
#[derive(Debug, Clone)]
pub struct Config {
    /// What goes with the stream: a key (`authorization`) or, in open mode, a tenant (`tidemill-tenant`).
    pub metadata: MetadataMap,
    /// How many tasks may be without an answer at once, 1 or more; callers beyond them wait.
    pub in_flight: usize,
    /// How long a mesh that is away is tried again before callers are told of it.
    pub patience: Duration,
}

impl Default for Config {
    /// For the mesh's own tenant, 10,000 tasks, half a minute.
    fn default() -> Self {
        Self { metadata: MetadataMap::new(), in_flight: 10_000, patience: Duration::from_secs(30) }
    }
}

/// A tenant's way into the queue. Cheap to clone; the stream ends when the last clone is gone and all are answered.
#[derive(Debug, Clone)]
pub struct Producer {
    orders: mpsc::UnboundedSender<Order>,
    room: Arc<Semaphore>,
}

impl Producer {
    /// Opens a stream over this wire, and another one whenever it is cut. Must be called within a tokio runtime.
    pub fn start(wire: Wire, config: Config) -> Self {
        let (orders, ordered) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(config.in_flight.clamp(1, Semaphore::MAX_PERMITS)));
        tokio::spawn(talk::talk(wire, config, Line::new(ordered)));
        Self { orders, room }
    }

    /// Queues a task; it is durable when this returns. A caller who stops waiting may find it queued all the same.
    ///
    /// A full queue is waited for: set a time limit around the call where that is too long. Give a task a key to have it
    /// sent again after a cut without harm; `duplicate` is then also said of one that an earlier try of this call made.
    ///
    /// # Errors
    /// [`Error`] says what became of the task.
    pub async fn submit(&self, task: NewTask) -> Result<SubmittedTask, Error> {
        let _room = self.room.acquire().await.map_err(|_| Error::Stopped)?;
        let (answer, answered) = oneshot::channel();
        self.orders.send(Order { task, answer }).map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?
    }
}
