//! Discovery by configuration: a fixed list of `host:port`. Names are resolved when a connection is made, IPv6
//! addresses stand in brackets (RFC 3986, section 3.2.2).

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use http::uri::Authority;
use tidemill_kernel::ErrorKind;

/// Reads a list as a configuration has it. Every fault of the list is reported at once.
pub fn read(addresses: &[String]) -> Result<Vec<Address>, ListError> {
    let mut seen = BTreeSet::new();
    let (mut good, mut faults) = (Vec::new(), Vec::new());
    for text in addresses {
        match text.parse::<Address>() {
            Ok(address) if !seen.insert(address.0.clone()) => {
                faults.push(AddressError { text: text.clone(), mend: "it is listed twice: remove one" });
            }
            Ok(address) => good.push(address),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(good) } else { Err(ListError(faults)) }
}

/// One place where a part listens: `host:port`, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(String);

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
            Some(1..) => Ok(Self(text.to_ascii_lowercase())),
            Some(0) | None => {
                Err(refuse("expected a port from 1 to 65535 after the host, as in localhost:7000"))
            }
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

/// What is wrong with a list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ListError(Vec<AddressError>);

impl ListError {
    /// Always [`ErrorKind::Invalid`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    /// The faults, in the order of the list.
    pub fn faults(&self) -> &[AddressError] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(addresses: &[&str]) -> Result<Vec<Address>, ListError> {
        read(&addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn names_and_numbers_with_a_port_are_addresses() {
        let read = list(&["Storage:7000", "10.0.0.1:80", "[::1]:65535"]).unwrap();
        let texts: Vec<_> = read.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["storage:7000", "10.0.0.1:80", "[::1]:65535"]);
    }

    #[test]
    fn every_fault_of_a_list_is_named_with_its_mend() {
        let wrong =
            ["http://a:1", "a", "a:0", "a:65536", ":1", "::1:80", "me@a:1", "", "a b:1", "ok:1", "OK:1"];
        let fault = list(&wrong).unwrap_err();
        assert_eq!(fault.faults().len(), wrong.len() - 1);
        let text = fault.to_string();
        for part in ["`http://a:1`", "leave out the scheme", "1 to 65535", "the user", "`OK:1`", "twice"] {
            assert!(text.contains(part), "{part} in {text}");
        }
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
