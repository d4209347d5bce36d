//! The gateway's configuration. The default is a working laptop: open mode, meant for a loopback address.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemill_kernel::TenantName;

/// What the gateway allows and bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who may call.
    pub auth: Auth,
    /// The tenant of a call without a key that names none; open mode only.
    pub default_tenant: String,
    /// Host names, besides loopback ones, under which the gateway may be reached in open mode.
    pub hosts: Vec<String>,
    /// The largest JSON body of a unary call, in bytes.
    pub body_limit: usize,
    /// The longest line of an NDJSON upload, in bytes.
    pub line_limit: usize,
    /// After this many milliseconds a unary HTTP call is given up. Streams have no such limit; gRPC callers say theirs.
    pub request_timeout_ms: u64,
    /// A stream of server-sent events carries a comment after this many milliseconds of silence.
    pub keep_alive_ms: u64,
    /// How long the answer to "whose key is this" is believed, in milliseconds.
    pub key_ttl_ms: u64,
    /// How long a key that nobody has is refused without asking again, in milliseconds.
    pub unknown_key_ttl_ms: u64,
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Anybody on this machine, as operator, for the tenant that the `tidemill-tenant` header names.
    #[default]
    Open,
    /// Only holders of a key.
    Key,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            auth: Auth::Open,
            default_tenant: TenantName::DEFAULT.to_owned(),
            hosts: Vec::new(),
            body_limit: 4 << 20,
            line_limit: 4 << 20,
            request_timeout_ms: 30_000,
            keep_alive_ms: 15_000,
            key_ttl_ms: 30_000,
            unknown_key_ttl_ms: 5_000,
        }
    }
}

impl Config {
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_setting_is_refused_and_a_known_one_kept() {
        let config: Config = serde_json::from_str(r#"{"auth":"key","body_limit":10}"#).unwrap();
        assert_eq!((config.auth, config.body_limit), (Auth::Key, 10));
        assert_eq!(config.request_timeout(), Duration::from_secs(30));
        assert!(serde_json::from_str::<Config>(r#"{"bodylimit":10}"#).is_err());
    }
}
