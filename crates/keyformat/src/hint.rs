//! Forms of a key that are safe to show.

use std::borrow::Cow;
use std::fmt;

use crate::scan::{Piece, Pieces, confirmed_whole};
use crate::{Confidence, IssuerTag, KeyKind, Locator, MAX_HEAD_LENGTH, TagFilter};

/// The short form of a key for people, lists and logs: `sk_live_aB3dE6gH9kLm…wXyZ`.
///
/// The last four characters belong to the checksum, so a hint holds no character of the secret part. Through the
/// checksum they tell at most 24 of its 142 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hint {
    head: [u8; MAX_HEAD_LENGTH],
    head_length: u8,
    locator: Locator,
    last4: [u8; 4],
}

/// The hint of a key whose public parts are known, for instance from a stored record.
///
/// Bytes of `last4` that are not ASCII letters or digits are shown as `?`.
///
/// ```
/// use keywright_keyformat::{KeyKind, Locator, hint};
///
/// let locator = Locator::parse("aB3dE6gH9kLm")?;
/// assert_eq!(hint(KeyKind::Live, None, locator, *b"wXyZ").to_string(), "sk_live_aB3dE6gH9kLm…wXyZ");
/// # Ok::<(), keywright_keyformat::InvalidLocator>(())
/// ```
pub fn hint(kind: KeyKind, tag: Option<&IssuerTag>, locator: Locator, last4: [u8; 4]) -> Hint {
    let prefix = kind.prefix().as_bytes();
    let tag = tag.map_or(&b""[..], IssuerTag::with_underscore);
    let mut head = [0; MAX_HEAD_LENGTH];
    head[..prefix.len()].copy_from_slice(prefix);
    head[prefix.len()..prefix.len() + tag.len()].copy_from_slice(tag);
    Hint::new(&head[..prefix.len() + tag.len()], locator, last4)
}

/// Makes any text safe to log, whatever a client sent as its key.
///
/// A well-formed key (right checksum, any issuer tag) becomes its prefix and locator; a text that merely begins like
/// one becomes the prefix; anything else becomes `…`, and an empty text stays empty.
///
/// ```
/// use keywright_keyformat::mask;
///
/// assert_eq!(mask("sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH"), "sk_live_07ELSZgnu18F…");
/// assert_eq!(mask("sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxA"), "sk_live_…");
/// assert_eq!(mask("hunter2"), "…");
/// ```
pub fn mask(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    if let Some(found) = confirmed_whole(text) {
        return found.hint(text).without_last4().to_string();
    }
    match KeyKind::strip(text) {
        Some((kind, _)) => format!("{}…", kind.prefix()),
        None if text.is_empty() => String::new(),
        None => "…".to_owned(),
    }
}

/// Takes the keys out of a text that is to be logged or shown. A text without keys is handed back as it is.
///
/// A key with a right checksum becomes its [`Hint`]. Whatever else begins like a key and goes on long enough to hold
/// part of a secret (mistyped, cut off, too long, another vendor's) becomes its prefix and `…`. Unlike [`scan()`](crate::scan()),
/// this rather takes too much than too little.
///
/// ```
/// use keywright_keyformat::redact;
///
/// let line = "401 for key=sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH from 192.0.2.7";
/// assert_eq!(redact(line), "401 for key=sk_live_07ELSZgnu18F…0MxH from 192.0.2.7");
/// ```
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut redacted = String::new();
    let mut copied = 0;
    for piece in Pieces::new(text.as_bytes(), TagFilter::AnyTag) {
        let span = piece.span();
        // Pieces begin and end in ASCII, so these are character boundaries.
        redacted.push_str(&text[copied..span.start.max(copied)]);
        match piece {
            Piece::Found(found) if found.confidence == Confidence::Confirmed => {
                redacted.push_str(&found.hint(text.as_bytes()).to_string());
            }
            Piece::Found(found) => push_prefix(&mut redacted, found.kind),
            Piece::Fragment { kind, .. } => push_prefix(&mut redacted, kind),
        }
        copied = span.end;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    redacted.push_str(&text[copied..]);
    Cow::Owned(redacted)
}

fn push_prefix(text: &mut String, kind: KeyKind) {
    text.push_str(kind.prefix());
    text.push('…');
}

impl Hint {
    /// `head`: prefix and tag as they stand in the key.
    pub(crate) fn new(head: &[u8], locator: Locator, last4: [u8; 4]) -> Self {
        let mut padded = [0; MAX_HEAD_LENGTH];
        padded[..head.len()].copy_from_slice(head);
        let head_length = u8::try_from(head.len()).expect("a head has at most 25 characters");
        let last4 = last4.map(|byte| if byte.is_ascii_alphanumeric() { byte } else { b'?' });
        Self { head: padded, head_length, locator, last4 }
    }

    /// Prefix and locator alone: `sk_live_aB3dE6gH9kLm…`.
    pub fn without_last4(&self) -> impl fmt::Display + use<> {
        WithoutLast4(*self)
    }

    fn head(&self) -> &str {
        str::from_utf8(&self.head[..usize::from(self.head_length)]).expect("a head is ASCII")
    }
}

struct WithoutLast4(Hint);

impl fmt::Display for WithoutLast4 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}{}…", self.0.head(), self.0.locator)
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last4 = str::from_utf8(&self.last4).expect("letters and digits are ASCII");
        write!(formatter, "{}{last4}", self.without_last4())
    }
}

impl fmt::Debug for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Hint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";

    #[test]
    fn longest_head_fits() {
        let tag = IssuerTag::parse("abcdefghijklmn09").unwrap();
        let locator = Locator::parse("aB3dE6gH9kLm").unwrap();
        let hint = hint(KeyKind::Test, Some(&tag), locator, *b"wXyZ");
        assert_eq!(hint.to_string(), "sk_test_abcdefghijklmn09_aB3dE6gH9kLm…wXyZ");
        assert_eq!(format!("{hint:?}"), "Hint(sk_test_abcdefghijklmn09_aB3dE6gH9kLm…wXyZ)");
    }

    #[test]
    fn strange_last_characters_are_not_shown() {
        let locator = Locator::parse("aB3dE6gH9kLm").unwrap();
        assert_eq!(hint(KeyKind::Operator, None, locator, *b"a\n\xFFz").to_string(), "ok_aB3dE6gH9kLm…a??z");
    }

    #[test]
    fn mask_shows_at_most_prefix_and_locator() {
        for (text, masked) in [
            ("", ""),
            ("x", "…"),
            ("sk_live_", "sk_live_…"),
            ("sk_test_short", "sk_test_…"),
            ("ok_secret", "ok_…"),
            (&KEY[..49], "sk_live_…"),
            (&format!("{KEY}x"), "sk_live_…"),
            (&format!(" {KEY}"), "…"),
            (KEY, "sk_live_07ELSZgnu18F…"),
        ] {
            assert_eq!(mask(text), masked, "{text}");
        }
    }

    #[test]
    fn redact_keeps_what_is_no_key() {
        let text = "book_keeping, ok_to_send_a_notification_email, sk_live_, täsk_…";
        assert!(matches!(redact(text), Cow::Borrowed(same) if same == text));
    }

    #[test]
    fn redact_takes_whole_and_damaged_keys() {
        let text = format!("a={KEY};b={};c={KEY}1é", &KEY[..49]);
        assert_eq!(redact(&text), "a=sk_live_07ELSZgnu18F…0MxH;b=sk_live_…;c=sk_live_07ELSZgnu18F…0MxH1é");
    }

    #[test]
    fn redact_leaves_a_fragment_only_while_it_is_short() {
        let shortest = "sk_live_".len() + 20;
        assert_eq!(redact(&KEY[..shortest - 1]), &KEY[..shortest - 1]);
        assert_eq!(redact(&KEY[..shortest]), "sk_live_…");
    }
}
