//! Why a call or a collection failed, and how that looks to whoever asked.

use tidemill_chassis::FaultExt;
use tidemill_chassis::fault::from_status;
use tidemill_kernel::{ErrorKind, Fault};
use tonic::Status;

use crate::document::DocumentError;
use crate::feed::FeedError;
use crate::feed::fetch::FetchError;
use crate::folder::FolderError;
use crate::query::QueryError;

/// Why the service did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request breaks a rule.
    #[error(transparent)]
    Invalid(#[from] Fault),
    /// Settings that cannot work: each key, what is wrong with it, what would be right.
    #[error("[ingestion] {}", .0.join("; "))]
    Config(Vec<String>),
    /// The expression of a query cannot be read.
    #[error("{error}\n{caret}")]
    Query {
        /// What is wrong, and where.
        error: QueryError,
        /// The expression with a mark under the fault: two lines.
        caret: String,
    },
    /// A document is refused.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A folder cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What was fetched is no feed.
    #[error(transparent)]
    Feed(#[from] FeedError),
    /// A feed could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Another service refused or failed.
    #[error("{}", .0.message())]
    Call(#[from] Status),
    /// A defect of ours.
    #[error("{0} stopped before its end; the log of the ingestion service says more")]
    Stopped(&'static str),
}

impl Error {
    /// The error of an expression that was refused.
    pub fn query(expression: &str, error: QueryError) -> Self {
        Self::Query { caret: error.caret(expression), error }
    }

    /// The kind that crosses service boundaries.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid(fault) => fault.kind,
            Self::Config(_) => ErrorKind::Invalid,
            Self::Query { error, .. } => error.kind(),
            Self::Document(error) => error.kind(),
            Self::Folder(error) => error.kind(),
            Self::Feed(error) => error.kind(),
            Self::Fetch(error) => error.kind(),
            Self::Call(status) => from_status(status).kind,
            Self::Stopped(_) => ErrorKind::Internal,
        }
    }

    /// What the caller is told, with the field at fault where there is one.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Invalid(fault) => fault.clone(),
            Self::Query { .. } => Fault::invalid("expression", self.to_string()),
            Self::Document(error) => Fault::invalid(format!("document.{}", error.field()), error.to_string()),
            Self::Call(status) => from_status(status),
            other => Fault::new(other.kind(), other.to_string()),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            // As it came: it may carry details that a fault does not know.
            Error::Call(status) => status,
            other => other.fault().into_status(),
        }
    }
}
