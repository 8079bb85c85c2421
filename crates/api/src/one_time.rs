//! One-time links: an invitation, a new password. The token is in the fragment of the link, which no browser sends, so that
//! it reaches no log; the page behind the link hands it on in a body.

use std::fmt;

use keywright_domain::{account::TokenDigest, entropy::Entropy};
use zeroize::Zeroizing;

use crate::token;

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
        Self { purpose, text: token::generate(purpose.prefix(), entropy) }
    }

    /// The token with this text; `None` for a text of another form.
    pub(crate) fn parse(purpose: Purpose, text: &str) -> Option<Self> {
        token::parse(purpose.prefix(), text).map(|text| Self { purpose, text })
    }

    /// What the store finds it by.
    pub(crate) fn digest(&self) -> TokenDigest {
        token::digest(&self.text)
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
