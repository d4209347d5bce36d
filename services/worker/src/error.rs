//! Why a worker cannot be built.

use tidemill_kernel::ErrorKind;

/// Why a worker cannot be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A worker without slots.
    #[error("`slots` is 0, so that no task would ever be taken: set 1 or more")]
    NoSlots,
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoSlots => ErrorKind::Invalid,
        }
    }
}
