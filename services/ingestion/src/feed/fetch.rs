//! Brings a feed's bytes: over HTTP with conditional requests (RFC 9110 §13), or from a file.
//!
//! Invariants: at most [`FetchOptions::max_bytes`] are held, also of a compressed answer; redirects are counted; only
//! http and https are followed; without [`FetchOptions::allow_private`] no connection is made to an address that is
//! not on the public internet. The process must have a default rustls provider.

mod error;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{ACCEPT, ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use url::Url;

use super::guard::{self, PublicOnly};
pub use error::FetchError;
use error::{Redirects, Scheme};

/// How to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// The time for one fetch as a whole, redirects and body included.
    pub timeout: Duration,
    /// The time for one connection to stand.
    pub connect_timeout: Duration,
    /// The largest answer in bytes, uncompressed.
    pub max_bytes: usize,
    /// How many redirects are followed.
    pub max_redirects: usize,
    /// Whether hosts inside (loopback, private and link-local addresses) may be reached, and whether the system's
    /// proxy is used: a proxy would resolve names out of our sight.
    pub allow_private: bool,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            max_bytes: 16 << 20,
            max_redirects: 5,
            allow_private: false,
        }
    }
}

/// What is known of a feed's state at the last fetch; store it beside the source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedCursor {
    /// The entity tag, as the server wrote it; for a file its size and time of change.
    pub etag: Option<String>,
    /// The time of change, as the server wrote it.
    pub last_modified: Option<String>,
}

/// The outcome of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Nothing changed since the cursor.
    NotModified,
    /// The feed as it is now.
    Modified {
        /// Its bytes, not decoded.
        bytes: Vec<u8>,
        /// The address that answered, after redirects: the base for relative links.
        url: String,
        /// For the next fetch.
        cursor: FeedCursor,
    },
}

/// An HTTP client for feeds. Cheap to clone; keeps connections.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client,
    options: FetchOptions,
}

impl Fetcher {
    /// A fetcher with these options; fails where the system offers no TLS roots.
    pub fn new(options: FetchOptions) -> Result<Self, FetchError> {
        let (max, private) = (options.max_redirects, options.allow_private);
        let mut client = Client::builder()
            .user_agent(concat!("tidemill/", env!("CARGO_PKG_VERSION")))
            .timeout(options.timeout)
            .connect_timeout(options.connect_timeout)
            .redirect(Policy::custom(move |attempt| redirect(attempt, max, private)));
        if !options.allow_private {
            client = client.dns_resolver(Arc::new(PublicOnly)).no_proxy();
        }
        let client = client.build().map_err(|error| FetchError::Setup { reason: error::causes(&error) })?;
        Ok(Self { client, options })
    }

    /// Fetches the feed unless it is as `cursor` says.
    pub async fn fetch(&self, url: &str, cursor: &FeedCursor) -> Result<Fetched, FetchError> {
        let bad = |reason: String| FetchError::Url { url: url.to_owned(), reason };
        let target = Url::parse(url).map_err(|fault| bad(fault.to_string()))?;
        check(&target, self.options.allow_private).map_err(|fault| match fault {
            Blocked::Scheme(fault) => bad(fault.to_string()),
            Blocked::Private(host) => FetchError::Private { host: host.0 },
        })?;
        let shown = error::shown(&target);
        let mut request = self.client.get(target);
        request = request
            .header(ACCEPT, "application/atom+xml, application/rss+xml, application/feed+json, */*;q=0.5");
        if let Some(etag) = &cursor.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(time) = &cursor.last_modified {
            request = request.header(IF_MODIFIED_SINCE, time);
        }
        let response = request.send().await.map_err(|error| FetchError::from_client(&shown, &error))?;
        match response.status() {
            StatusCode::NOT_MODIFIED => Ok(Fetched::NotModified),
            status if status.is_success() => self.body(response, &shown).await,
            status => Err(FetchError::status(&shown, status.as_u16(), response.headers())),
        }
    }

    async fn body(&self, mut response: reqwest::Response, shown: &str) -> Result<Fetched, FetchError> {
        let limit = self.options.max_bytes;
        let too_large = || FetchError::TooLarge { url: shown.to_owned(), limit };
        if response
            .content_length()
            .is_some_and(|length| usize::try_from(length).map_or(true, |size| size > limit))
        {
            return Err(too_large());
        }
        let cursor = cursor(response.headers());
        let url = response.url().to_string();
        let mut bytes = Vec::new();
        while let Some(chunk) =
            response.chunk().await.map_err(|error| FetchError::from_client(shown, &error))?
        {
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Fetched::Modified { bytes, url, cursor })
    }
}

/// Reads a feed from a file unless its size and time of change are as `cursor` says.
pub async fn fetch_file(path: &Path, max_bytes: usize, cursor: &FeedCursor) -> Result<Fetched, FetchError> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| FetchError::File { path: shown.clone(), reason: error.to_string() };
    let path = tokio::fs::canonicalize(path).await.map_err(failed)?;
    let file = tokio::fs::File::open(&path).await.map_err(failed)?;
    let metadata = file.metadata().await.map_err(failed)?;
    let changed =
        metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let etag = Some(format!("{}-{}", metadata.len(), changed.as_nanos()));
    if etag == cursor.etag {
        return Ok(Fetched::NotModified);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).await.map_err(failed)?;
    if bytes.len() > max_bytes {
        return Err(FetchError::TooLarge { url: shown, limit: max_bytes });
    }
    let url = Url::from_file_path(&path).map(String::from).unwrap_or_default();
    Ok(Fetched::Modified { bytes, url, cursor: FeedCursor { etag, last_modified: None } })
}

enum Blocked {
    Scheme(Scheme),
    Private(guard::Private),
}

fn check(url: &Url, allow_private: bool) -> Result<(), Blocked> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Blocked::Scheme(Scheme(url.scheme().to_owned())));
    }
    if allow_private { Ok(()) } else { guard::check(url).map_err(Blocked::Private) }
}

fn redirect(attempt: Attempt<'_>, max: usize, allow_private: bool) -> reqwest::redirect::Action {
    if attempt.previous().len() > max {
        return attempt.error(Redirects(max));
    }
    match check(attempt.url(), allow_private) {
        Ok(()) => attempt.follow(),
        Err(Blocked::Scheme(fault)) => attempt.error(fault),
        Err(Blocked::Private(fault)) => attempt.error(fault),
    }
}

fn cursor(headers: &HeaderMap) -> FeedCursor {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    FeedCursor { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}
