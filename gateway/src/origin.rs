//! Protects open mode from web pages. Pure.
//!
//! In open mode whoever reaches the port is an operator, and the loopback address is meant to keep everybody else out.
//! But a browser on the same machine carries strangers' code: a page may send requests to `127.0.0.1` (cross-site
//! request forgery), or let its own name resolve to it and then read the answers too (DNS rebinding). Browsers say where
//! a request comes from in `Origin`, and by which name they reach us in `Host`, and pages can forge neither. So in open
//! mode both must be names of this machine, or names that the operator listed.
//!
//! Source: the Fetch standard, §3.2 (`Origin`); RFC 6761 §6.3 (`localhost`).

use std::net::{Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, Uri, header};

use crate::error::Error;

/// Refuses requests from, or by, a name that is neither this machine's nor listed.
pub(crate) fn check(headers: &HeaderMap, uri: &Uri, listed: &[String]) -> Result<(), Error> {
    let is_ours = |authority: &str| {
        host(authority).is_some_and(|host| {
            is_loopback(host) || listed.iter().any(|name| name.eq_ignore_ascii_case(host))
        })
    };
    let text = |name| headers.get(name).map(|value: &http::HeaderValue| value.to_str().unwrap_or_default());
    if let Some(origin) = text(header::ORIGIN) {
        let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
        if !is_ours(authority) {
            return Err(Error::Foreign(format!(
                "a web page from `{origin}` may not use Tidemill in open mode: require keys (auth = \"key\"), or add its \
                 host to the gateway's hosts"
            )));
        }
    }
    // HTTP/2 has the authority in place of the header. Without either it is no browser.
    let reached = uri.authority().map(http::uri::Authority::as_str).or_else(|| text(header::HOST));
    match reached {
        Some(authority) if !is_ours(authority) => Err(Error::Foreign(format!(
            "in open mode Tidemill answers only as localhost, not as `{authority}`: require keys (auth = \"key\"), or \
             add the name to the gateway's hosts"
        ))),
        _ => Ok(()),
    }
}

/// The host of `host`, `host:port`, `[v6]` and `[v6]:port`.
fn host(authority: &str) -> Option<&str> {
    if let Some(v6) = authority.strip_prefix('[') {
        return v6.split_once(']').map(|(host, _)| host);
    }
    let host = authority.split(':').next()?;
    (!host.is_empty() && !authority.contains(['@', '/'])).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(name: header::HeaderName, value: &str) -> bool {
        let headers = HeaderMap::from_iter([(name, value.parse().unwrap())]);
        check(&headers, &Uri::from_static("/v1/tasks"), &["mill.example".to_owned()]).is_ok()
    }

    #[test]
    fn only_this_machine_s_names_and_listed_ones_are_answered_to() {
        for host in [
            "localhost",
            "LOCALHOST:7070",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:80",
            "a.localhost",
            "mill.example:1",
        ] {
            assert!(allowed(header::HOST, host), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "localhost@evil.example",
            "",
            "[::2]",
            "[::1",
        ] {
            assert!(!allowed(header::HOST, host), "{host}");
        }
        assert!(check(&HeaderMap::new(), &Uri::from_static("/"), &[]).is_ok());
        assert!(check(&HeaderMap::new(), &Uri::from_static("http://127.0.0.1:1/a.B/C"), &[]).is_ok());
        assert!(check(&HeaderMap::new(), &Uri::from_static("http://evil.example/a.B/C"), &[]).is_err());
    }

    #[test]
    fn only_pages_of_this_machine_and_of_listed_hosts_may_ask() {
        for origin in ["http://localhost:3000", "https://127.0.0.1", "http://mill.example"] {
            assert!(allowed(header::ORIGIN, origin), "{origin}");
        }
        for origin in ["null", "https://evil.example", "http://localhost.evil.example", "file://", ""] {
            assert!(!allowed(header::ORIGIN, origin), "{origin}");
        }
    }
}
