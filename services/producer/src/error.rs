//! What became of a task that was not acknowledged.

use tidemill_kernel::ErrorKind;
use tonic::Status;

/// What became of a task that was not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// It breaks a rule and is not queued.
    #[error("`{field}` {description}")]
    Refused {
        /// The field of the task.
        field: String,
        /// What is wrong and what would be right.
        description: String,
    },
    /// The stream was cut after it was sent: whether it is queued is not known.
    #[error(
        "the stream was cut before the task was acknowledged, so it may be queued or not: give tasks a key to have them sent again ({})",
        .0.message()
    )]
    Lost(Status),
    /// The mesh does not take this caller's tasks, or was away for too long; this one is not queued unless it was sent
    /// before, with its key.
    #[error("the mesh takes no tasks: {}", .0.message())]
    Away(Status),
    /// The runtime of the producer is being shut down.
    #[error("the producer has stopped with its runtime: submit from a runtime that is running")]
    Stopped,
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused { .. } => ErrorKind::Invalid,
            Self::Lost(_) | Self::Stopped => ErrorKind::Unavailable,
            Self::Away(status) => {
                ErrorKind::from_grpc_code(u16::try_from(i32::from(status.code())).unwrap_or(2))
            }
        }
    }
}
