use std::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::checksum::{ALPHABET, COVERED_LENGTH, checksum, encode};
use crate::parse::recognize;
use crate::{BODY_LENGTH, Hint, IssuerTag, KeyKind, Locator, ParsedKey};

/// Random bytes asked for at once. 248 of 256 values are used, so one round is nearly always enough.
const ROUND_LENGTH: usize = 48;
/// After this many rounds without 36 usable bytes, the source is not random: the chance is below 2⁻¹⁰⁰⁰.
const MAX_ROUNDS: usize = 16;
/// The largest multiple of 62 a byte can count to. Bytes from here on are thrown away: they would make the first
/// eight digits of the alphabet likelier than the others.
const USABLE_BYTES: u8 = 248;

/// The whole text of a key, secret part included.
///
/// No `Display`, no `Clone`, nothing that serializes it; `Debug` shows the public part only; the memory is wiped on
/// drop. Comparing is done in constant time ([`ConstantTimeEq`]).
pub struct Secret {
    /// Allocated once at its full length: growing would leave a copy behind.
    text: Zeroizing<String>,
    kind: KeyKind,
    tag: Option<IssuerTag>,
    locator: Locator,
}

impl Secret {
    /// Makes a new key from random bytes.
    ///
    /// `fill` must fill the slice from a cryptographically secure source. The same bytes make the same key: each byte
    /// below 248 is a character, `0-9A-Za-z` at `byte % 62`, in the order of the text; other bytes are skipped.
    ///
    /// # Panics
    ///
    /// If `fill` gives nearly nothing but bytes from 248 up, which a random source never does.
    pub fn generate(kind: KeyKind, tag: Option<&IssuerTag>, fill: impl FnMut(&mut [u8])) -> Self {
        let covered = random_base62(fill);
        let (head_seed, tag_text) = match tag {
            Some(tag) => (tag.seed(kind), tag.with_underscore()),
            None => (kind.untagged_seed(), &b""[..]),
        };
        let digits = encode(checksum(head_seed, &covered));
        let mut text =
            Zeroizing::new(String::with_capacity(kind.prefix().len() + tag_text.len() + BODY_LENGTH));
        text.push_str(kind.prefix());
        for part in [tag_text, &covered[..], &digits[..]] {
            text.push_str(str::from_utf8(part).expect("tags and base62 are ASCII"));
        }
        let locator = *covered.first_chunk().expect("the covered part begins with the locator");
        Self { text, kind, tag: tag.copied(), locator: Locator::from_base62(locator) }
    }

    /// The whole text, for the one place that hands it to its owner or digests it. Never log it.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The public part by which the record is found.
    pub fn locator(&self) -> Locator {
        self.locator
    }

    /// The kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The issuer tag.
    pub fn tag(&self) -> Option<&IssuerTag> {
        self.tag.as_ref()
    }

    /// The last four characters, as shown in hints. They belong to the checksum.
    pub fn last4(&self) -> [u8; 4] {
        *self.text.as_bytes().last_chunk().expect("a key is longer than four characters")
    }

    /// The short form for people and logs: prefix, locator, last four characters.
    pub fn hint(&self) -> Hint {
        crate::hint(self.kind, self.tag(), self.locator, self.last4())
    }

    /// The key as the parser sees it.
    pub fn parsed(&self) -> ParsedKey<'_> {
        recognize(self.text.as_bytes(), self.tag()).expect("a secret is a well-formed key")
    }

    pub(crate) fn from_parsed(key: &ParsedKey<'_>) -> Self {
        let text = str::from_utf8(key.text()).expect("a well-formed key is ASCII");
        let tag = key.tag_text().map(|tag| IssuerTag::parse(tag).expect("a well-formed key has a valid tag"));
        Self { text: Zeroizing::new(text.to_owned()), kind: key.kind(), tag, locator: key.locator() }
    }
}

impl ConstantTimeEq for Secret {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.text.as_bytes().ct_eq(other.text.as_bytes())
    }
}

/// Prefix and locator, never the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({})", self.hint().without_last4())
    }
}

/// 36 characters, each of the 62 equally likely (rejection sampling).
fn random_base62(mut fill: impl FnMut(&mut [u8])) -> Zeroizing<[u8; COVERED_LENGTH]> {
    let mut characters = Zeroizing::new([0; COVERED_LENGTH]);
    let mut random = Zeroizing::new([0; ROUND_LENGTH]);
    let mut length = 0;
    for _ in 0..MAX_ROUNDS {
        fill(&mut random[..]);
        for byte in random.iter().filter(|byte| **byte < USABLE_BYTES) {
            characters[length] = ALPHABET[usize::from(byte % 62)];
            length += 1;
            if length == COVERED_LENGTH {
                return characters;
            }
        }
    }
    panic!("the random source gave {} bytes and fewer than 36 below 248", MAX_ROUNDS * ROUND_LENGTH);
}
