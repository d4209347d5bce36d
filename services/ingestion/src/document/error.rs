//! Why a document is refused: always a field, the rule that it breaks and the mend.

use tidemill_kernel::{ErrorKind, Violation};

/// Why [`super::prepare`] refused a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Nothing readable is left of the body.
    #[error("body is empty once markup and blank space are removed; send the text of the document")]
    Empty,
    /// The body is over a limit; both in bytes.
    #[error("body is {actual} bytes; at most {limit} are allowed: split the document, or raise `{setting}`")]
    Oversized {
        /// Bytes that came.
        actual: usize,
        /// Bytes that are allowed.
        limit: usize,
        /// The setting that says so.
        setting: &'static str,
    },
    /// A source name, external id or URL is over its limit; both in bytes.
    #[error("{field} is {actual} bytes; at most {limit} are allowed: shorten it")]
    LongName {
        /// The field at fault.
        field: &'static str,
        /// Bytes that came.
        actual: usize,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The time of publication cannot be stored.
    #[error("published_at is out of range; use a time in the years 1 to 9999, or leave it out")]
    Published,
    /// The URL cannot be used.
    #[error("url `{url}` is refused: {reason}; use an absolute http, https or file URL, or leave it empty")]
    Url {
        /// The URL as it came, cut.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl DocumentError {
    /// Always [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    /// The name of the field at fault, as in JSON.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Empty | Self::Oversized { .. } => "body",
            Self::LongName { field, .. } => field,
            Self::Published => "published_at",
            Self::Url { .. } => "url",
        }
    }

    /// Field and description for the caller.
    pub fn violation(&self) -> Violation {
        Violation { field: self.field().to_owned(), description: self.to_string() }
    }
}
