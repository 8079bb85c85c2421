use std::fmt;
use std::str::FromStr;

use crate::checksum::seed;
use crate::{KeyKind, MAX_HEAD_LENGTH, MAX_TAG_LENGTH};

/// The tag of an installation inside its keys: the `acme` of `sk_live_acme_…`.
///
/// 1 to 16 characters of `a-z` and `0-9`. `live` and `test` are refused, because `ok_live_…` would read like a mode.
#[derive(Clone, Copy)]
pub struct IssuerTag {
    /// The tag, an underscore, zeros.
    padded: [u8; MAX_TAG_LENGTH + 1],
    length: u8,
    /// What the head of a key contributes to its checksum, for each kind. Computed once here, so that parsing a
    /// tagged key costs no more than parsing an untagged one.
    seeds: [u32; KeyKind::ALL.len()],
}

impl IssuerTag {
    /// Reads a tag.
    ///
    /// # Errors
    ///
    /// [`InvalidTag::Length`] unless it has 1 to 16 characters, [`InvalidTag::Character`] for anything but `a-z` and
    /// `0-9`, [`InvalidTag::Reserved`] for `live` and `test`.
    pub fn parse(tag: &str) -> Result<Self, InvalidTag> {
        let bytes = tag.as_bytes();
        if bytes.is_empty() || bytes.len() > MAX_TAG_LENGTH {
            return Err(InvalidTag::Length { found: bytes.len() });
        }
        if let Some(position) = bytes.iter().position(|byte| !is_tag_character(*byte)) {
            return Err(InvalidTag::Character { position });
        }
        if is_reserved(bytes) {
            return Err(InvalidTag::Reserved);
        }
        let mut padded = [0; MAX_TAG_LENGTH + 1];
        padded[..bytes.len()].copy_from_slice(bytes);
        padded[bytes.len()] = b'_';
        let length = u8::try_from(bytes.len()).expect("a tag has at most 16 characters");
        let seeds = KeyKind::ALL.map(|kind| {
            let mut head = [0; MAX_HEAD_LENGTH];
            let prefix_length = kind.prefix().len();
            let head_length = prefix_length + bytes.len() + 1;
            head[..prefix_length].copy_from_slice(kind.prefix().as_bytes());
            head[prefix_length..head_length].copy_from_slice(&padded[..=bytes.len()]);
            seed(&head[..head_length])
        });
        Ok(Self { padded, length, seeds })
    }

    /// The tag.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.padded[..usize::from(self.length)]).expect("a tag is ASCII")
    }

    /// The tag and the underscore behind it, as they stand in a key.
    #[inline]
    pub(crate) fn with_underscore(&self) -> &[u8] {
        &self.padded[..=usize::from(self.length)]
    }

    /// What the prefix of a kind and this tag contribute to a checksum.
    #[inline]
    pub(crate) fn seed(&self, kind: KeyKind) -> u32 {
        self.seeds[kind as usize]
    }
}

impl PartialEq for IssuerTag {
    fn eq(&self, other: &Self) -> bool {
        self.padded == other.padded
    }
}

impl Eq for IssuerTag {}

impl std::hash::Hash for IssuerTag {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.padded.hash(state);
    }
}

impl fmt::Display for IssuerTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for IssuerTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "IssuerTag({})", self.as_str())
    }
}

impl FromStr for IssuerTag {
    type Err = InvalidTag;

    fn from_str(tag: &str) -> Result<Self, InvalidTag> {
        Self::parse(tag)
    }
}

/// Why a text is not an issuer tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidTag {
    /// Not 1 to 16 characters long.
    Length {
        /// Bytes found.
        found: usize,
    },
    /// Not a lower-case letter or digit.
    Character {
        /// Byte index of the first such character.
        position: usize,
    },
    /// `live` or `test`.
    Reserved,
}

impl fmt::Display for InvalidTag {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found } => {
                write!(formatter, "an issuer tag has 1 to {MAX_TAG_LENGTH} characters, found {found}")
            }
            Self::Character { position } => {
                write!(formatter, "an issuer tag has only a-z and 0-9, found another at position {position}")
            }
            Self::Reserved => formatter.write_str("`live` and `test` cannot be issuer tags"),
        }
    }
}

impl std::error::Error for InvalidTag {}

/// Splits `tag_` off a text whose prefix is already gone: the tag without its underscore, and the rest.
pub(crate) fn split_tag(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = text.iter().take(MAX_TAG_LENGTH + 1).position(|byte| *byte == b'_')?;
    let tag = &text[..length];
    let valid = !tag.is_empty() && tag.iter().all(|byte| is_tag_character(*byte)) && !is_reserved(tag);
    valid.then_some((tag, &text[length + 1..]))
}

fn is_tag_character(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_reserved(tag: &[u8]) -> bool {
    matches!(tag, b"live" | b"test")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_has_two_sides() {
        assert_eq!(IssuerTag::parse(""), Err(InvalidTag::Length { found: 0 }));
        assert_eq!(IssuerTag::parse("a").unwrap().as_str(), "a");
        assert_eq!(IssuerTag::parse("abcdefghijklmn09").unwrap().as_str(), "abcdefghijklmn09");
        assert_eq!(IssuerTag::parse("abcdefghijklmn090"), Err(InvalidTag::Length { found: 17 }));
    }

    #[test]
    fn only_lower_case_letters_and_digits() {
        for (tag, position) in [("Acme", 0), ("ac_me", 2), ("acme-", 4), ("acmé", 3), ("a b", 1)] {
            assert_eq!(IssuerTag::parse(tag), Err(InvalidTag::Character { position }), "{tag}");
        }
    }

    #[test]
    fn modes_are_reserved() {
        assert_eq!(IssuerTag::parse("live"), Err(InvalidTag::Reserved));
        assert_eq!(IssuerTag::parse("test"), Err(InvalidTag::Reserved));
        assert!(IssuerTag::parse("live1").is_ok());
    }

    #[test]
    fn seeds_are_those_of_the_whole_head() {
        let tag = IssuerTag::parse("acme").unwrap();
        for kind in KeyKind::ALL {
            assert_eq!(tag.seed(kind), seed(format!("{}acme_", kind.prefix()).as_bytes()));
        }
    }

    #[test]
    fn splitting_takes_what_parsing_takes() {
        assert_eq!(split_tag(b"acme_x"), Some((&b"acme"[..], &b"x"[..])));
        assert_eq!(split_tag(b"abcdefghijklmn09_"), Some((&b"abcdefghijklmn09"[..], &b""[..])));
        for text in ["", "_", "acme", "abcdefghijklmn090_", "live_x", "test_x", "Acme_x"] {
            assert_eq!(split_tag(text.as_bytes()), None, "{text}");
        }
    }
}
