use std::fmt;

use crate::checksum::holds;
use crate::diagnose::diagnose;
use crate::{BODY_LENGTH, Hint, IssuerTag, KeyKind, LOCATOR_LENGTH, Locator, Malformed, Secret};

/// A text that has the shape of a key and a right checksum. Borrows the text and allocates nothing.
///
/// It says nothing about whether such a key was ever issued.
#[derive(Clone, Copy)]
pub struct ParsedKey<'a> {
    text: &'a [u8],
    kind: KeyKind,
    locator: Locator,
}

/// Reads a key of the installation with this issuer tag (`None`: an installation without one).
///
/// The text must be the key and nothing else: whoever reads it from a header or a file decides what may be trimmed.
///
/// # Errors
///
/// [`Malformed`] says why the text is not such a key. The error never holds a piece of the text.
///
/// ```
/// use keywright_keyformat::{IssuerTag, Malformed, parse};
///
/// let text = b"sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";
/// assert_eq!(parse(text, None)?.locator().as_str(), "07ELSZgnu18F");
/// assert_eq!(parse(&text[..49], None).unwrap_err(), Malformed::Truncated { expected: 50, found: 49 });
///
/// let acme = IssuerTag::parse("acme").expect("four letters");
/// assert_eq!(parse(text, Some(&acme)).unwrap_err(), Malformed::WrongIssuer { expected: Some(acme) });
/// # Ok::<(), Malformed>(())
/// ```
#[inline]
pub fn parse<'a>(text: &'a [u8], tag: Option<&IssuerTag>) -> Result<ParsedKey<'a>, Malformed> {
    match recognize(text, tag) {
        Some(key) => Ok(key),
        None => Err(diagnose(text, tag)),
    }
}

impl<'a> ParsedKey<'a> {
    /// The kind, from the prefix.
    #[inline]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public part by which the record is found.
    #[inline]
    pub fn locator(&self) -> Locator {
        self.locator
    }

    /// The whole text, **secret included**: what is digested. Never log it.
    #[inline]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The last four characters, as shown in hints. They belong to the checksum.
    pub fn last4(&self) -> [u8; 4] {
        *self.text.last_chunk().expect("a key is longer than four characters")
    }

    /// The short form for people and logs: prefix, locator, last four characters.
    pub fn hint(&self) -> Hint {
        Hint::new(&self.text[..self.text.len() - BODY_LENGTH], self.locator, self.last4())
    }

    /// Copies the key into a [`Secret`], which is wiped on drop. The borrowed text is the caller's to wipe.
    pub fn to_secret(&self) -> Secret {
        Secret::from_parsed(self)
    }

    /// The issuer tag as it stands in the text.
    pub(crate) fn tag_text(&self) -> Option<&'a str> {
        let tag = self.text[self.kind.prefix().len()..self.text.len() - BODY_LENGTH].strip_suffix(b"_")?;
        Some(str::from_utf8(tag).expect("a tag is ASCII"))
    }
}

/// Prefix and locator, never the secret.
impl fmt::Debug for ParsedKey<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ParsedKey({})", self.hint().without_last4())
    }
}

/// The whole of the fast path: shape, alphabet, checksum.
#[inline]
pub(crate) fn recognize<'a>(text: &'a [u8], tag: Option<&IssuerTag>) -> Option<ParsedKey<'a>> {
    let (head, body) = text.split_last_chunk::<BODY_LENGTH>()?;
    let (kind, rest) = KeyKind::strip(head)?;
    let seed = match tag {
        None if rest.is_empty() => kind.untagged_seed(),
        Some(tag) if rest == tag.with_underscore() => tag.seed(kind),
        _ => return None,
    };
    if !holds(seed, body) {
        return None;
    }
    let locator = *body.first_chunk::<LOCATOR_LENGTH>().expect("a body begins with its locator");
    Some(ParsedKey { text, kind, locator: Locator::from_base62(locator) })
}
