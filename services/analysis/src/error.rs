//! What the service answers instead of an analysis.

use tidemill_chassis::FaultExt;
use tidemill_kernel::{ErrorKind, Fault};
use tonic::Status;

use crate::recipe::RecipeError;

/// Result within this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no analysis, or no service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Fault),
    /// The recipe gave no result.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// Settings that cannot work: each key, what is wrong with it, what would be right.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    /// A provider's configuration cannot work.
    #[error("[analysis] {0}")]
    Provider(#[from] tidemill_llm::Error),
    /// A computation ended without a result: a defect, or the process is going down.
    #[error("the analysis broke off: {0}; try again, and report it with the text if it happens again")]
    Interrupted(String),
}

impl Error {
    /// The kind that crosses service boundaries.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(fault) => fault.kind,
            Self::Recipe(error) => error.kind(),
            Self::Config(_) => ErrorKind::Invalid,
            Self::Provider(error) => error.kind(),
            Self::Interrupted(_) => ErrorKind::Internal,
        }
    }

    /// The failure as it crosses a service boundary.
    pub fn fault(self) -> Fault {
        match self {
            Self::Invalid(fault) => fault,
            Self::Recipe(error) => error.fault(),
            Self::Provider(error) => error.fault(),
            Self::Config(_) | Self::Interrupted(_) => Fault::new(self.kind(), self.to_string()),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        error.fault().into_status()
    }
}
