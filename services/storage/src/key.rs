//! API keys: how they are made and what of them is stored.
//!
//! A key is `tm_` and 32 letters and digits drawn evenly, 190 bits: far beyond guessing, so a plain SHA-256 protects
//! it; slow password hashes are for secrets that people choose.

use rand::CryptoRng;
use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};

/// What every key begins with, so that secret scanners can find leaked ones.
pub const PREFIX: &str = "tm_";

/// How many letters and digits follow.
const LENGTH: usize = 32;

/// A new key.
pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> String {
    let mut key = PREFIX.to_owned();
    Alphanumeric.append_string(rng, &mut key, LENGTH);
    key
}

/// What is stored of a key: its SHA-256.
pub fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn keys_have_the_prefix_and_differ() {
        let mut rng = StdRng::seed_from_u64(5);
        let (first, second) = (generate(&mut rng), generate(&mut rng));
        for key in [&first, &second] {
            let body = key.strip_prefix(PREFIX).unwrap();
            assert!(body.len() == 32 && body.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{key}");
        }
        assert_ne!(first, second);
    }

    #[test]
    fn the_hash_is_sha_256() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash("abc")[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
