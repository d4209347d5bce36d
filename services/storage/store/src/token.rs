//! Page tokens: the key of the last item shown, tied to its listing.
//!
//! A page goes on behind a key, never at an offset, so that items added or removed in the meantime neither repeat nor
//! hide others. The token is hexadecimal: a 64-bit FNV-1a hash of the listing's scope (its name, tenant and filters),
//! then the key as JSON. The hash is no secret; it only refuses a token that was made by another listing.

use std::fmt::Write;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

/// The token for the page behind `key` of the listing `scope`.
pub fn encode<K: Serialize>(scope: &[&str], key: &K) -> String {
    let mut token = format!("{:016x}", hash(scope));
    // Keys are tuples of numbers and texts, which always serialise.
    for byte in serde_json::to_vec(key).unwrap_or_default() {
        let _ = write!(token, "{byte:02x}");
    }
    token
}

/// The key of a token of this listing; none for the empty token of a first page.
pub fn decode<K: DeserializeOwned>(scope: &[&str], token: &str) -> Result<Option<K>> {
    if token.is_empty() {
        return Ok(None);
    }
    let refuse = || Error::PageToken(token.chars().take(80).collect());
    let (head, key) = token.split_at_checked(16).ok_or_else(refuse)?;
    if head != format!("{:016x}", hash(scope)) {
        return Err(refuse());
    }
    let json = unhex(key).ok_or_else(refuse)?;
    serde_json::from_slice(&json).map(Some).map_err(|_| refuse())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
    rest.is_empty().then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// FNV-1a, 64 bits (draft-eastlake-fnv); a zero byte ends each part.
fn hash(scope: &[&str]) -> u64 {
    let bytes = scope.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_reads_back_in_its_own_listing_only(name: String, number: i64, scope: String) {
            let key = (name, number);
            let token = encode(&["queries", &scope], &key);
            prop_assert_eq!(decode(&["queries", &scope], &token).unwrap(), Some(key));
            prop_assert!(decode::<(String, i64)>(&["sources", &scope], &token).is_err());
            prop_assert!(decode::<(String, i64)>(&["queries", &scope, ""], &token).is_err());
        }

        #[test]
        fn no_text_makes_it_panic(token in ".{0,40}", hex in "[0-9a-f]{0,40}") {
            let _ = decode::<(i64, i64)>(&["tasks"], &token);
            let _ = decode::<(i64, i64)>(&["tasks"], &(encode(&["tasks"], &()) + &hex));
        }
    }

    #[test]
    fn the_empty_token_is_the_first_page() {
        assert_eq!(decode::<i64>(&["tasks"], "").unwrap(), None);
        assert!(matches!(decode::<i64>(&["tasks"], "next"), Err(Error::PageToken(_))));
    }
}
