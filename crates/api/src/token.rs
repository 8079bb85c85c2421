//! The text of the tokens that this crate hands out: a prefix, and 256 random bits in lower-case hexadecimal. What is kept of
//! one is its digest.

use keywright_domain::{
    account::TokenDigest,
    entropy::{Entropy, random_bytes},
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::wire::hex;

const RANDOM_BYTES: usize = 32;

/// The text of a new token.
pub(crate) fn generate(prefix: &str, entropy: &dyn Entropy) -> Zeroizing<String> {
    let digits = Zeroizing::new(hex(&random_bytes::<RANDOM_BYTES>(entropy)));
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + digits.len()));
    text.push_str(prefix);
    text.push_str(&digits);
    text
}

/// The text of a token, if it has the form of one with this prefix.
pub(crate) fn parse(prefix: &str, text: &str) -> Option<Zeroizing<String>> {
    let digits = text.strip_prefix(prefix)?;
    let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (digits.len() == 2 * RANDOM_BYTES && is_hex).then(|| Zeroizing::new(text.to_owned()))
}

/// What the store finds a token by.
pub(crate) fn digest(text: &str) -> TokenDigest {
    TokenDigest(Sha256::digest(text).into())
}
