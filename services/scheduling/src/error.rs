//! Why the service cannot be built.

use tidemill_kernel::ErrorKind;

/// Why the service cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// Settings that cannot work: each key, what is wrong with it, what would be right.
    #[error("[scheduling] {}", .0.join("; "))]
    Config(Vec<String>),
    /// The policy refuses its own part of them.
    #[error("[scheduling] {0}")]
    Policy(#[from] tidemill_policy::Error),
}

impl Error {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Config(_) => ErrorKind::Invalid,
            Self::Policy(fault) => fault.kind(),
        }
    }
}
