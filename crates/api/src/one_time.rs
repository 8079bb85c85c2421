//! One-time links: an invitation, a new password. The token is in the fragment of the link, which no browser sends, so that
//! it reaches no log; the page behind the link hands it on in a body.

use std::fmt;

use keywright_domain::{
    account::TokenDigest,
    entropy::{Entropy, random_bytes},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

const TOKEN_BYTES: usize = 32;

/// What a one-time link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To join a workspace.
    Invitation,
    /// To set a password.
    Recovery,
}

impl Purpose {
    /// What its tokens begin with.
    pub(crate) const fn prefix(self) -> &'static str {
        match self {
            Self::Invitation => "kwi_",
            Self::Recovery => "kwr_",
        }
    }

    /// The page behind the link.
    pub(crate) const fn page(self) -> &'static str {
        match self {
            Self::Invitation => "invite",
            Self::Recovery => "recover",
        }
    }
}

/// The token of a one-time link: 256 random bits. Kept as a digest only.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OneTimeToken {
    purpose: Purpose,
    text: Zeroizing<String>,
}

impl OneTimeToken {
    /// A new token.
    pub(crate) fn generate(purpose: Purpose, entropy: &dyn Entropy) -> Self {
        let mut text = Zeroizing::new(String::with_capacity(purpose.prefix().len() + 2 * TOKEN_BYTES));
        text.push_str(purpose.prefix());
        for nibble in random_bytes::<TOKEN_BYTES>(entropy).iter().flat_map(|byte| [byte >> 4, byte & 15]) {
            text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble"));
        }
        Self { purpose, text }
    }

    /// The token with this text; `None` for a text of another form.
    pub(crate) fn parse(purpose: Purpose, text: &str) -> Option<Self> {
        let digits = text.strip_prefix(purpose.prefix())?;
        let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_one = digits.len() == 2 * TOKEN_BYTES && is_hex;
        is_one.then(|| Self { purpose, text: Zeroizing::new(text.to_owned()) })
    }

    /// What the store finds it by.
    pub(crate) fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(&*self.text).into())
    }

    /// The link, for its receiver only.
    pub(crate) fn link(&self, base_url: &str) -> String {
        format!("{base_url}/{}#{}", self.purpose.page(), &*self.text)
    }
}

impl fmt::Debug for OneTimeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OneTimeToken(…)")
    }
}

#[cfg(test)]
mod tests {
    use keywright_testkit::SeededEntropy;

    use super::*;

    #[test]
    fn a_token_has_one_form_and_one_purpose() {
        let token = OneTimeToken::generate(Purpose::Invitation, &SeededEntropy::new(1));
        let link = token.link("https://keys.example");
        let (page, text) = link.split_once('#').unwrap();
        assert_eq!(page, "https://keys.example/invite");
        assert_eq!(OneTimeToken::parse(Purpose::Invitation, text), Some(token.clone()));
        assert_eq!(OneTimeToken::parse(Purpose::Recovery, text), None);
        for bad in ["", "kwi_", &text[1..], &text[..67], &format!("{text}0"), &text.to_uppercase()] {
            assert_eq!(OneTimeToken::parse(Purpose::Invitation, bad), None, "{bad}");
        }
        assert_eq!(format!("{token:?}"), "OneTimeToken(…)");
    }
}
