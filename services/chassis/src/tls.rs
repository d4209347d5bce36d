//! TLS between processes: certificates from files, read again when these change, one rustls provider (ring).
//!
//! Invariants:
//! - A port with an authority asks its callers for a certificate of that authority and refuses those without one,
//!   except that anyone may ask for its health: probes have no certificates ([`Guard`]).
//! - A change of the files is taken in by the next connection; files that cannot be used are said once, and what was
//!   read before goes on being used.

pub mod accept;
pub mod certificates;
pub mod config;
pub mod connect;
mod files;
pub mod guard;

pub use certificates::Certificates;
pub use config::TlsConfig;
pub use connect::Connector;
pub use guard::{Guard, Peer};

use std::path::PathBuf;

use tidemill_kernel::ErrorKind;

/// The certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read, or is not what it should be.
    #[error("{setting} {file}: {reason}", file = .file.display())]
    File {
        /// The key of the configuration.
        setting: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong, and what was expected.
        reason: String,
    },
    /// The files do not go together, or rustls refuses them.
    #[error("{setting}: {reason}")]
    Setting {
        /// The key of the configuration.
        setting: &'static str,
        /// What is wrong, and what was expected.
        reason: String,
    },
}

impl Error {
    /// Always [`ErrorKind::Invalid`]: a matter of configuration.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

#[cfg(test)]
mod tests;
