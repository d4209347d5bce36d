//! One address: `host:port`. Names are resolved when a connection is made, IPv6 addresses stand in brackets (RFC 3986,
//! section 3.2.2).

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::sync::Arc;

use http::uri::Authority;

/// One place where a part listens: `host:port`, lower case.
///
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(Arc<str>);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = |mend| AddressError { text: text.chars().take(80).collect(), mend };
        if text.contains("://") || text.contains('/') {
            return Err(refuse("leave out the scheme and the path: only host:port"));
        }
        let authority: Authority =
            text.parse().map_err(|_| refuse("expected host:port, an IPv6 host in brackets"))?;
        if text.contains('@') {
            return Err(refuse("leave out the user: only host:port"));
        }
        if authority.host().is_empty() {
            return Err(refuse("the host is missing: expected host:port"));
        }
        match authority.port_u16() {
            Some(1..) => Ok(Self(text.to_ascii_lowercase().into())),
            Some(0) | None => {
                Err(refuse("expected a port from 1 to 65535 after the host, as in localhost:7000"))
            }
        }
    }
}

impl Address {
    /// An address of a host, whose IPv6 address may come without brackets, and a port.
    pub fn of(host: &str, port: u16) -> Result<Self, AddressError> {
        if host.parse::<Ipv6Addr>().is_ok() {
            format!("[{host}]:{port}").parse()
        } else {
            format!("{host}:{port}").parse()
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an address: {mend}")]
pub struct AddressError {
    text: String,
    mend: &'static str,
}

impl AddressError {
    /// A fault of a list rather than of the address itself.
    pub(super) fn of(address: &Address, mend: &'static str) -> Self {
        Self { text: address.to_string(), mend }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_and_a_port_make_an_address_with_brackets_where_they_belong() {
        for (host, text) in
            [("::1", "[::1]:7"), ("[::1]", "[::1]:7"), ("10.0.0.1", "10.0.0.1:7"), ("A.b", "a.b:7")]
        {
            assert_eq!(Address::of(host, 7).unwrap().to_string(), text);
        }
        assert!(
            Address::of("", 7).is_err() && Address::of("a", 0).is_err() && Address::of("a/b", 7).is_err()
        );
    }

    proptest! {
        #[test]
        fn an_address_reads_back_and_any_text_is_handled(host in "[a-z][a-z0-9.-]{0,20}[a-z0-9]", port: u16, any: String) {
            let text = format!("{host}:{port}");
            prop_assert_eq!(text.parse::<Address>().map(|address| address.to_string()).ok(), (port > 0).then_some(text));
            if let Ok(address) = any.parse::<Address>() {
                let uri = format!("http://{address}");
                prop_assert!(http::Uri::try_from(uri).is_ok());
            }
        }
    }
}
