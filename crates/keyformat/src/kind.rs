use std::fmt;

use crate::checksum::seed;

/// What a key is for. It is in the clear at the beginning of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// `sk_live_`: a workspace key for production.
    Live,
    /// `sk_test_`: a workspace key for any other environment.
    Test,
    /// `ok_`: a credential of the operator of an installation.
    Operator,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Live, Self::Test, Self::Operator];

    /// The characters a key of this kind begins with, the issuer tag not included.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "sk_live_",
            Self::Test => "sk_test_",
            Self::Operator => "ok_",
        }
    }

    /// The kind as one lower-case word: `live`, `test`, `operator`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
            Self::Operator => "operator",
        }
    }

    /// Splits the prefix off a text.
    #[inline]
    pub(crate) fn strip(text: &[u8]) -> Option<(Self, &[u8])> {
        match text {
            [b's', b'k', b'_', b'l', b'i', b'v', b'e', b'_', rest @ ..] => Some((Self::Live, rest)),
            [b's', b'k', b'_', b't', b'e', b's', b't', b'_', rest @ ..] => Some((Self::Test, rest)),
            [b'o', b'k', b'_', rest @ ..] => Some((Self::Operator, rest)),
            _ => None,
        }
    }

    /// What the prefix alone contributes to the checksum of an untagged key.
    #[inline]
    pub(crate) const fn untagged_seed(self) -> u32 {
        const SEEDS: [u32; 3] = [seed(b"sk_live_"), seed(b"sk_test_"), seed(b"ok_")];
        SEEDS[self as usize]
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_prefix_is_split_off_as_its_own_kind() {
        for kind in KeyKind::ALL {
            let text = format!("{}rest", kind.prefix());
            assert_eq!(KeyKind::strip(text.as_bytes()), Some((kind, &b"rest"[..])));
            assert_eq!(kind.untagged_seed(), seed(kind.prefix().as_bytes()));
        }
    }

    #[test]
    fn a_prefix_must_be_whole_and_in_lower_case() {
        for text in ["", "sk_", "sk_live", "SK_LIVE_", "sk-live-", "ok", "Ok_", "sk_prod_"] {
            assert_eq!(KeyKind::strip(text.as_bytes()), None, "{text}");
        }
    }
}
