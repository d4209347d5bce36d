//! Why a feed could not be fetched, told so that its owner knows what to do.

use std::error::Error;
use std::io;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use tidemill_kernel::ErrorKind;
use url::Url;

use crate::feed::guard::Private;

/// A longer wait says nothing about when to come back.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a feed could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The address cannot be used.
    #[error("`{url}` is not an address to fetch: {reason}; use an absolute http or https URL")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The host is inside the network, and that is not allowed.
    #[error(
        "the host `{host}` is not on the public internet; use a public address, or have the operator set `ingestion.private_feeds`"
    )]
    Private {
        /// The host.
        host: String,
    },
    /// No connection could be made.
    #[error(
        "{url}: the host cannot be reached ({reason}); check the name and the port, it is tried again later"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// The encrypted connection failed.
    #[error(
        "{url}: no secure connection ({reason}); the server's certificate or TLS set-up must be corrected"
    )]
    Tls {
        /// The address.
        url: String,
        /// What TLS said.
        reason: String,
    },
    /// It took too long.
    #[error("{url}: no complete answer in time; it is tried again later")]
    Timeout {
        /// The address.
        url: String,
    },
    /// The server answers with a failure.
    #[error("{url}: the server answers with status {status}; {mend}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// When the server asks to come back.
        retry_after: Option<Duration>,
        /// What to do about it.
        mend: &'static str,
    },
    /// The answer is over the limit, in bytes.
    #[error("{url}: the answer is over {limit} bytes; use a feed with fewer entries")]
    TooLarge {
        /// The address.
        url: String,
        /// Bytes that are allowed.
        limit: usize,
    },
    /// The redirects lead nowhere.
    #[error("{url}: {reason}; use the address that they should lead to")]
    Redirect {
        /// The address.
        url: String,
        /// What is wrong with them.
        reason: String,
    },
    /// The connection broke or the answer makes no sense.
    #[error("{url}: the answer broke off ({reason}); it is tried again later")]
    Broken {
        /// The address.
        url: String,
        /// What the client said.
        reason: String,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read: {reason}; check the path and its permissions")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// No client could be made.
    #[error("no HTTP client can be made: {reason}; install the system's CA certificates")]
    Setup {
        /// What the client said.
        reason: String,
    },
}

/// More redirects than this many.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} redirects")]
pub(super) struct Redirects(pub(super) usize);

/// A scheme that is not fetched.
#[derive(Debug, thiserror::Error)]
#[error("the scheme `{0}` is not allowed")]
pub(super) struct Scheme(pub(super) String);

impl FetchError {
    /// Which kind of failure it is; transient kinds are worth a retry.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Url { .. } | Self::TooLarge { .. } | Self::Redirect { .. } => ErrorKind::Invalid,
            Self::Private { .. } => ErrorKind::Denied,
            Self::Unreachable { .. } | Self::Tls { .. } | Self::Broken { .. } => ErrorKind::Unavailable,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::File { .. } => ErrorKind::NotFound,
            Self::Setup { .. } => ErrorKind::Internal,
            Self::Status { status, .. } => match status {
                401 | 403 => ErrorKind::Denied,
                404 | 410 => ErrorKind::NotFound,
                429 => ErrorKind::Exhausted,
                408 | 500..=599 => ErrorKind::Unavailable,
                _ => ErrorKind::Invalid,
            },
        }
    }

    /// When the server asks to come back, if it does.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// For an answer that is neither a success nor "not modified".
    pub(super) fn status(url: &str, status: u16, headers: &HeaderMap) -> Self {
        let url = url.to_owned();
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        if (300..400).contains(&status) {
            // The client hands out only redirects that it does not follow.
            let reason =
                format!("it redirects to `{}`, which is not fetched", text(LOCATION).unwrap_or_default());
            return Self::Redirect { url, reason };
        }
        let wait = text(RETRY_AFTER).and_then(|value| value.trim().parse().ok());
        let wait = wait.map(Duration::from_secs).filter(|wait| *wait <= LONGEST_WAIT);
        let mend = match status {
            401 | 403 => "use an address that is open to everybody",
            404 | 410 => "the feed has gone: correct the address or remove the source",
            429 => "it is asked too often: let more time pass between fetches",
            408 | 500..=599 => "it is tried again later",
            _ => "check the address in a browser",
        };
        Self::Status { url, status, retry_after: wait, mend }
    }

    /// Finds the cause that says most in what the HTTP client gave.
    pub(super) fn from_client(url: &str, error: &reqwest::Error) -> Self {
        let url = url.to_owned();
        for cause in chain(error) {
            if let Some(private) = cause.downcast_ref::<Private>() {
                return Self::Private { host: private.0.clone() };
            }
            if cause.is::<Redirects>() || cause.is::<Scheme>() {
                return Self::Redirect { url, reason: cause.to_string() };
            }
            if let Some(fault) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls { url, reason: fault.to_string() };
            }
        }
        let reason = causes(error);
        match error {
            error if error.is_timeout() => Self::Timeout { url },
            error if error.is_connect() => Self::Unreachable { url, reason },
            error if error.is_redirect() => Self::Redirect { url, reason },
            _ => Self::Broken { url, reason },
        }
    }
}

/// The error and its causes, those inside of I/O errors too, which `source` passes over.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source())
    })
}

/// The deepest cause, in its own words.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map(ToString::to_string).unwrap_or_default()
}

/// The address without user, password and query, which may be secret.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    // Refused only for URLs that cannot hold a user, which then hold none.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
