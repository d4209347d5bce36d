//! Under which address others reach a service of this process.
//!
//! In this order: what the configuration says; the address that is listened on, if it is a definite one; the address that
//! this machine has towards Consul's agent; if that is loopback, the one on its way out. A datagram socket that is
//! connected tells the latter two without sending anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::discovery::{Address, AddressError};

/// Addresses set aside for documentation (RFC 5737, RFC 3849): nobody is there, but the way to them is the way out.
const OUTSIDE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const OUTSIDE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// Host (without brackets) and port under which others reach what listens on `bound`. `agent` is a URL.
pub(super) async fn find(
    configured: Option<&str>,
    bound: SocketAddr,
    agent: &str,
) -> Result<(String, u16), String> {
    if let Some(text) = configured {
        return parse(text, bound.port()).map_err(|fault| fault.to_string());
    }
    if !bound.ip().is_unspecified() {
        return Ok((bound.ip().to_string(), bound.port()));
    }
    let outside = if bound.is_ipv6() { OUTSIDE_V6 } else { OUTSIDE_V4 };
    let mut found = None;
    for target in [authority(agent), SocketAddr::new(outside, 9).to_string()] {
        match towards(&target).await {
            Ok(ip) if !ip.is_loopback() => return Ok((ip.to_string(), bound.port())),
            Ok(ip) => found = found.or(Some(ip)),
            Err(fault) => tracing::debug!(%target, %fault, "no way there"),
        }
    }
    match found {
        Some(ip) => Ok((ip.to_string(), bound.port())),
        None => {
            Err(format!("it listens on {bound}, and this machine has no way to Consul's agent at {agent}"))
        }
    }
}

/// Reads `host` or `host:port`.
pub(super) fn parse(text: &str, port: u16) -> Result<(String, u16), AddressError> {
    let is_host = !text.contains(':') || text.ends_with(']') || text.parse::<Ipv6Addr>().is_ok();
    let whole = if is_host { Address::of(text, port) } else { text.parse() }?;
    let text = whole.to_string();
    let (host, port) = text.rsplit_once(':').unwrap_or((&text, ""));
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, port.parse().unwrap_or_default()))
}

/// `host:port` of a URL.
fn authority(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let authority = rest.split('/').next().unwrap_or_default();
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:{}", if scheme == "https" { 443 } else { 80 })
    }
}

/// The address that this machine has on the way to a target.
async fn towards(target: &str) -> std::io::Result<IpAddr> {
    let mut last = std::io::Error::other("it has no address");
    for address in tokio::net::lookup_host(target).await? {
        let any: IpAddr =
            if address.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket.local_addr()?.ip()),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: &str = "http://127.0.0.1:8500";

    #[test]
    fn a_host_may_have_a_port() {
        for (text, host, port) in [
            ("me", "me", 7),
            ("Me.example:80", "me.example", 80),
            ("10.0.0.1", "10.0.0.1", 7),
            ("::1", "::1", 7),
            ("fe80::1:80", "fe80::1:80", 7),
            ("[::1]:80", "::1", 80),
        ] {
            assert_eq!(parse(text, 7), Ok((host.to_owned(), port)), "{text}");
        }
        for text in ["", "http://a:1", "a:0", "a:b", "a/b", "me@a"] {
            assert!(parse(text, 7).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_configured_goes_before_what_is_listened_on() {
        let bound = SocketAddr::from(([127, 0, 0, 1], 7));
        assert_eq!(find(None, bound, AGENT).await, Ok(("127.0.0.1".to_owned(), 7)));
        assert_eq!(find(Some("me"), bound, AGENT).await, Ok(("me".to_owned(), 7)));
        assert_eq!(find(Some("me:80"), bound, AGENT).await, Ok(("me".to_owned(), 80)));
    }

    #[tokio::test]
    async fn who_listens_everywhere_is_found_under_an_address_of_this_machine() {
        let (host, port) = find(None, SocketAddr::from(([0, 0, 0, 0], 7)), AGENT).await.unwrap();
        assert!(!host.parse::<IpAddr>().unwrap().is_unspecified());
        assert_eq!(port, 7);
    }

    #[test]
    fn the_agents_authority_has_a_port() {
        assert_eq!(authority("https://consul/x"), "consul:443");
        assert_eq!(authority("http://[::1]:8500"), "[::1]:8500");
        assert_eq!(authority("consul:8500"), "consul:8500");
    }
}
