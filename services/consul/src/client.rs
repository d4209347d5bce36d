//! The client: one pool of connections to one agent, and how a request becomes an answer or an [`Error`].

use std::error::Error as StdError;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::go_duration;
use crate::{Agent, Catalog, Config, Error, Health, KeyValue, Sessions, Status, tls};

/// A client of one agent. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    base: Url,
    /// What every request names: datacenter and namespace.
    scope: Vec<(&'static str, String)>,
    timeout: Duration,
}

/// How long a blocking query waits for news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The index of the last answer: the query is answered when there is a later one.
    pub index: u64,
    /// Answered after this long even without news (Consul adds up to a sixteenth, and takes 10 minutes at most).
    pub at_most: Duration,
}

/// A value with the index at which it was read, for the next blocking query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed<T> {
    /// `X-Consul-Index`; 0 when there was none.
    pub index: u64,
    /// The value.
    pub value: T,
}

impl Client {
    /// A client of this agent. Connects to nobody yet; reads the certificate files, if there are any.
    ///
    /// # Errors
    /// [`Error::Config`] names the setting that cannot be used.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let base = base(config)?;
        let mut headers = HeaderMap::new();
        if let Some(token) = &config.token {
            let mut value = HeaderValue::from_str(token).map_err(|_| Error::Config {
                setting: "token",
                reason: "it has characters that no HTTP header can carry; expected a UUID".to_owned(),
            })?;
            value.set_sensitive(true);
            headers.insert("x-consul-token", value);
        }
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(&config.tls, base.scheme() == "https")?)
            .default_headers(headers)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.timeout)
            .tcp_nodelay(true)
            .build()
            .map_err(|fault| Error::Config { setting: "tls", reason: explain(&fault) })?;
        let named = |name, value: &Option<String>| value.clone().map(|value| (name, value));
        let scope = [named("dc", &config.datacenter), named("ns", &config.namespace)];
        let scope = scope.into_iter().flatten().collect();
        Ok(Self(Arc::new(Inner { http, base, scope, timeout: config.timeout })))
    }

    /// The agent itself and what is registered with it.
    pub fn agent(&self) -> Agent<'_> {
        Agent(self)
    }

    /// The instances of services and their health.
    pub fn health(&self) -> Health<'_> {
        Health(self)
    }

    /// The names of services.
    pub fn catalog(&self) -> Catalog<'_> {
        Catalog(self)
    }

    /// Keys and values.
    pub fn kv(&self) -> KeyValue<'_> {
        KeyValue(self)
    }

    /// Sessions, which own locks.
    pub fn session(&self) -> Sessions<'_> {
        Sessions(self)
    }

    /// The state of the cluster.
    pub fn status(&self) -> Status<'_> {
        Status(self)
    }

    /// Where the agent is.
    pub fn address(&self) -> &str {
        self.0.base.as_str().trim_end_matches('/')
    }

    /// Begins a request to `/v1/` and these segments, which may hold any character.
    pub(crate) fn call<'a>(&self, method: Method, segments: impl IntoIterator<Item = &'a str>) -> Call<'_> {
        let mut url = self.0.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("v1").extend(segments);
        }
        let call = Call { client: self, method, url, body: None, timeout: self.0.timeout };
        self.0.scope.iter().fold(call, |call, (name, value)| call.query(name, value))
    }
}

/// A request in the making.
pub(crate) struct Call<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    body: Option<Vec<u8>>,
    timeout: Duration,
}

impl Call<'_> {
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    pub(crate) fn maybe_query(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Makes it a blocking query: the answer may take as long as Consul may hold it.
    pub(crate) fn wait(mut self, wait: Option<Wait>) -> Self {
        let Some(wait) = wait else { return self };
        self.timeout = self.timeout.saturating_add(wait.at_most).saturating_add(wait.at_most / 16);
        self.query("index", &wait.index.to_string()).query("wait", &go_duration(wait.at_most))
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Result<Self, Error> {
        match serde_json::to_vec(body) {
            Ok(body) => Ok(self.bytes(body)),
            Err(fault) => {
                Err(Error::Argument { what: format!("the body ({fault})"), reason: "it must be JSON" })
            }
        }
    }

    pub(crate) fn bytes(mut self, body: Vec<u8>) -> Self {
        self.body = Some(body);
        self
    }

    /// Sends it. A 404 is an answer, which says that there is no such thing; other failures are errors.
    pub(crate) async fn send(self) -> Result<Reply, Error> {
        let Self { client, method, url, body, timeout } = self;
        let what = format!("{method} {}", url.path());
        let lost = |fault: reqwest::Error| lost(client, &what, timeout, &fault);
        let request = client.0.http.request(method, url).timeout(timeout);
        let request = match body {
            Some(body) => request.body(body),
            None => request,
        };
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let index = response.headers().get("x-consul-index").and_then(|value| value.to_str().ok());
        let index = index.and_then(|value| value.parse().ok()).unwrap_or_default();
        let body = response.bytes().await.map_err(lost)?;
        let reply = Reply { what, status, index, body };
        if status.is_success() || status == StatusCode::NOT_FOUND { Ok(reply) } else { Err(reply.refused()) }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    what: String,
    status: StatusCode,
    pub(crate) index: u64,
    body: Bytes,
}

impl Reply {
    /// The answer, unless it is a 404.
    pub(crate) fn found(self) -> Option<Self> {
        (self.status != StatusCode::NOT_FOUND).then_some(self)
    }

    /// The answer of a call for which a 404 is an error.
    pub(crate) fn ok(self) -> Result<Self, Error> {
        if self.status == StatusCode::NOT_FOUND { Err(self.refused()) } else { Ok(self) }
    }

    /// Its value.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|fault| Error::Answer {
            request: self.what.clone(),
            reason: format!("{fault}, in `{}`", excerpt(&self.body)),
        })
    }

    /// Its value with its index.
    pub(crate) fn indexed<T: DeserializeOwned>(&self) -> Result<Indexed<T>, Error> {
        Ok(Indexed { index: self.index, value: self.json()? })
    }

    fn refused(self) -> Error {
        let (request, status, message) = (self.what, self.status.as_u16(), excerpt(&self.body));
        match status {
            401 | 403 => Error::Denied { request, message },
            429 | 500.. => Error::Failed { request, status, message },
            400..500 => Error::Refused { request, status, message },
            // An agent neither redirects nor upgrades.
            _ => Error::Answer { request, reason: format!("status {status}: {message}") },
        }
    }
}

/// The beginning of what the agent says, for a message.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.trim().chars().take(200).collect()
}

/// A request without a whole answer.
fn lost(client: &Client, what: &str, timeout: Duration, fault: &reqwest::Error) -> Error {
    let address = client.address().to_owned();
    if fault.is_timeout() && !fault.is_connect() {
        return Error::Timeout { address, request: what.to_owned(), after: timeout };
    }
    Error::Unreachable { address, reason: explain(fault) }
}

/// What lies at the bottom of a fault: reqwest's own words only repeat the address.
fn explain(fault: &reqwest::Error) -> String {
    let chain = iter::successors(fault.source(), |&fault| fault.source());
    let mut reasons: Vec<String> = chain.map(ToString::to_string).collect();
    reasons.dedup();
    if reasons.is_empty() { fault.to_string() } else { reasons.join(": ") }
}

/// The agent's address as a URL.
fn base(config: &Config) -> Result<Url, Error> {
    let refuse = |reason: String| Error::Config { setting: "address", reason };
    let text = config.address.trim();
    let scheme = if config.tls.ca_file.is_some() { "https" } else { "http" };
    let whole = if text.contains("://") { text.to_owned() } else { format!("{scheme}://{text}") };
    let expected = "expected http://host:port or https://host:port";
    let url: Url = whole.parse().map_err(|fault| refuse(format!("`{text}`: {fault}; {expected}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(refuse(format!("`{text}`: {expected}")));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(refuse(
            "it has a user or a query: leave them out; a token has a setting of its own".to_owned(),
        ));
    }
    if url.scheme() == "http" && config.tls.ca_file.is_some() {
        return Err(refuse(format!(
            "`{text}` is plain HTTP, but a CA is set: write https://, or leave out the CA"
        )));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(address: &str) -> String {
        Client::new(&Config::at(address)).unwrap_err().to_string()
    }

    #[test]
    fn an_address_needs_no_scheme_and_a_wrong_one_is_named() {
        for (text, address) in [
            ("127.0.0.1:8500", "http://127.0.0.1:8500"),
            ("http://consul:8500/", "http://consul:8500"),
            ("http://proxy/consul", "http://proxy/consul"),
        ] {
            assert_eq!(Client::new(&Config::at(text)).unwrap().address(), address);
        }
        assert!(refused("ftp://a:1").contains("expected http://"));
        assert!(refused("").contains("address"));
        assert!(refused("http://me:secret@a:1").contains("user"));
        assert!(!refused("http://me:secret@a:1").contains("secret"));
    }

    #[test]
    fn certificates_that_cannot_be_read_are_named_by_setting_and_file() {
        let mut config = Config::at("https://a:1");
        config.tls.ca_file = Some("nowhere.pem".into());
        let fault = Client::new(&config).unwrap_err().to_string();
        assert!(fault.contains("tls.ca_file") && fault.contains("nowhere.pem"), "{fault}");
        config.address = "http://a:1".to_owned();
        assert!(Client::new(&config).unwrap_err().to_string().contains("plain HTTP"));
        let mut half = Config::at("https://a:1");
        half.tls.key_file = Some("key.pem".into());
        assert!(Client::new(&half).unwrap_err().to_string().contains("set both"));
    }

    #[test]
    fn a_token_is_never_shown() {
        let config = Config { token: Some("open-sesame".to_owned()), ..Config::default() };
        let client = Client::new(&config).unwrap();
        assert!(!format!("{config:?} {client:?}").contains("sesame"));
        let wrong = Config { token: Some("open\nsesame".to_owned()), ..Config::default() };
        assert!(!Client::new(&wrong).unwrap_err().to_string().contains("sesame"));
    }
}
