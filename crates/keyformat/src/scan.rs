use std::ops::Range;

use memchr::memmem;

use crate::checksum::{holds, is_base62, seed};
use crate::issuer::split_tag;
use crate::{BODY_LENGTH, Hint, IssuerTag, KeyKind, LOCATOR_LENGTH, Locator};

/// Which keys to look for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanOptions {
    /// Whose keys.
    pub tag: TagFilter,
}

/// Whose keys to look for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagFilter {
    /// Every installation's, with or without a tag.
    #[default]
    AnyTag,
    /// Those with this tag.
    Only(IssuerTag),
    /// Those without a tag.
    Untagged,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Confidence {
    /// The checksum is right: by chance once in 4 billion texts of this shape.
    Confirmed,
    /// Shape and surroundings are right, the checksum is not: a mistyped key, a placeholder, or another vendor's key of
    /// the same shape.
    Suspect,
}

/// A key found in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Bytes before the key.
    pub offset: usize,
    /// Bytes of the key.
    pub length: usize,
    /// The kind, from the prefix.
    pub kind: KeyKind,
    /// The issuer tag.
    pub tag: Option<IssuerTag>,
    /// The public part. Of a [`Confidence::Suspect`] it may be part of another vendor's secret: do not show it.
    pub locator: Locator,
    /// How sure the finding is.
    pub confidence: Confidence,
}

impl Found {
    /// Where in the text the key is.
    pub fn span(&self) -> Range<usize> {
        self.offset..self.offset + self.length
    }

    /// The hint of the key, from the text that was scanned.
    ///
    /// # Panics
    ///
    /// If `text` is too short to be the text that was scanned.
    pub fn hint(&self, text: &[u8]) -> Hint {
        let last4 = text[self.span()].last_chunk().expect("a key is longer than four characters");
        crate::hint(self.kind, self.tag.as_ref(), self.locator, *last4)
    }
}

/// Finds keys anywhere in a text: in source code, quotes, URLs, JSON, logs, binary files.
///
/// The findings come in order. Two keys glued together may share two characters (the checksum of one ends in the `sk` the
/// next one begins with); otherwise findings do not overlap. Time is linear in the length of the text. A key must be in one piece:
/// one that is wrapped over two lines or encoded (base64, UTF-16) is not found.
///
/// A [`Confidence::Confirmed`] key is found whatever stands around it. A [`Confidence::Suspect`] must stand alone, not
/// inside a longer word.
///
/// # Streams
///
/// A text that comes in pieces can be scanned with a window: after scanning, keep the last
/// [`MAX_KEY_LENGTH`](crate::MAX_KEY_LENGTH)` + 3` bytes, put the next piece behind them, and drop findings whose offset
/// in the whole stream was reported before. A suspect cut by the end of a window is then judged again with the bytes
/// that follow it, if findings that touch the end of the window are held back until the next round.
///
/// ```
/// use keywright_keyformat::{Confidence, ScanOptions, scan};
///
/// let text = br#"{"url": "https://x.test/?key=sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH&a=1"}"#;
/// let found: Vec<_> = scan(text, ScanOptions::default()).collect();
/// assert_eq!(found.len(), 1);
/// assert_eq!((found[0].offset, found[0].length), (29, 50));
/// assert_eq!(found[0].confidence, Confidence::Confirmed);
/// assert_eq!(found[0].locator.as_str(), "07ELSZgnu18F");
/// ```
pub fn scan(text: &[u8], options: ScanOptions) -> Scan<'_> {
    Scan { candidates: Candidates::new(text), filter: options.tag }
}

/// The keys of a text, see [`scan()`].
#[derive(Clone)]
pub struct Scan<'a> {
    candidates: Candidates<'a>,
    filter: TagFilter,
}

impl Iterator for Scan<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let start = self.candidates.next()?;
            if let Some(found) = key_at(self.candidates.text, start, self.filter) {
                self.candidates.resume_behind(found.span().end);
                return Some(found);
            }
        }
    }
}

/// The well-formed key that a text consists of, with whatever tag.
pub(crate) fn confirmed_whole(text: &[u8]) -> Option<Found> {
    key_at(text, 0, TagFilter::AnyTag)
        .filter(|found| found.confidence == Confidence::Confirmed && found.length == text.len())
}

/// What [`redact`](crate::redact) takes out of a text.
pub(crate) enum Piece {
    Found(Found),
    /// Begins like a key and goes on long enough to hold part of a secret.
    Fragment {
        kind: KeyKind,
        span: Range<usize>,
    },
}

impl Piece {
    pub(crate) fn span(&self) -> Range<usize> {
        match self {
            Self::Found(found) => found.span(),
            Self::Fragment { span, .. } => span.clone(),
        }
    }
}

/// The keys and fragments of keys of a text.
pub(crate) struct Pieces<'a> {
    candidates: Candidates<'a>,
    filter: TagFilter,
}

impl<'a> Pieces<'a> {
    pub(crate) fn new(text: &'a [u8], filter: TagFilter) -> Self {
        Self { candidates: Candidates::new(text), filter }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        loop {
            let start = self.candidates.next()?;
            let text = self.candidates.text;
            let piece =
                key_at(text, start, self.filter).map(Piece::Found).or_else(|| fragment_at(text, start));
            if let Some(piece) = piece {
                self.candidates.resume_behind(piece.span().end);
                return Some(piece);
            }
        }
    }
}

/// The places where a prefix may begin: before each `k_`, the two rarest neighbours that all prefixes share.
#[derive(Clone)]
struct Candidates<'a> {
    text: &'a [u8],
    needles: memmem::FindIter<'a, 'static>,
    resume_at: usize,
}

impl<'a> Candidates<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text, needles: memmem::find_iter(text, b"k_"), resume_at: 0 }
    }

    /// Goes on behind a key that ends here. Its last two characters may be the `sk` or `ok` of the next one.
    fn resume_behind(&mut self, end: usize) {
        self.resume_at = end - "sk".len();
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let (text, resume_at) = (self.text, self.resume_at);
        self.needles.by_ref().filter_map(|needle| needle.checked_sub(1)).find(|start| {
            *start >= resume_at
                && matches!(text[*start], b's' | b'o')
                && KeyKind::strip(&text[*start..]).is_some()
        })
    }
}

/// The key that begins here, if one does.
fn key_at(text: &[u8], start: usize, filter: TagFilter) -> Option<Found> {
    let (kind, after_prefix) = KeyKind::strip(&text[start..])?;
    let (tag_text, rest) = match split_tag(after_prefix) {
        Some((tag, rest)) => (Some(tag), rest),
        None => (None, after_prefix),
    };
    let body = rest.first_chunk::<BODY_LENGTH>()?;
    if !body.iter().all(|byte| is_base62(*byte)) || !admits(filter, tag_text) {
        return None;
    }
    let body_start = text.len() - rest.len();
    let end = body_start + BODY_LENGTH;
    let confidence = if holds(seed(&text[start..body_start]), body) {
        Confidence::Confirmed
    } else if stands_alone(text, start, end) && !hides_operator_key(text, body_start, tag_text, filter) {
        Confidence::Suspect
    } else {
        return None;
    };
    let tag = tag_text.map(|tag| {
        IssuerTag::parse(str::from_utf8(tag).expect("a tag is ASCII"))
            .expect("split_tag takes valid tags only")
    });
    let locator =
        Locator::from_base62(*body.first_chunk::<LOCATOR_LENGTH>().expect("begins with its locator"));
    Some(Found { offset: start, length: end - start, kind, tag, locator, confidence })
}

fn admits(filter: TagFilter, tag: Option<&[u8]>) -> bool {
    match filter {
        TagFilter::AnyTag => true,
        TagFilter::Only(only) => tag == Some(only.as_str().as_bytes()),
        TagFilter::Untagged => tag.is_none(),
    }
}

/// In `sk_live_book_…` the end of what reads as a tag may be the prefix of a real operator credential.
fn hides_operator_key(text: &[u8], body_start: usize, tag: Option<&[u8]>, filter: TagFilter) -> bool {
    tag.is_some_and(|tag| tag.ends_with(b"ok"))
        && key_at(text, body_start - "ok_".len(), filter)
            .is_some_and(|inner| inner.confidence == Confidence::Confirmed)
}

/// Whether a key is not part of a longer word.
fn stands_alone(text: &[u8], start: usize, end: usize) -> bool {
    !begins_inside_word(&text[..start]) && !text.get(end).is_some_and(|byte| is_word(*byte))
}

/// Whether what follows `before` goes on with a word. The letter of an escape (`\n`, `%3D`) is not part of a word.
fn begins_inside_word(before: &[u8]) -> bool {
    match before {
        [] | [.., b'\\', b'n' | b'r' | b't'] => false,
        [.., b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => false,
        [.., last] => is_word(*last),
    }
}

fn is_word(byte: u8) -> bool {
    is_base62(byte) || byte == b'_'
}

/// Characters after the prefix from which on a text is taken for part of a key. At most 7 of them are of the secret part
/// in what is left standing.
const FRAGMENT_LENGTH: usize = LOCATOR_LENGTH + 8;

/// The piece of a key that begins here, if it is long enough. `ok_` is common in names, so there it takes a run of letters
/// and digits at the beginning of a word.
fn fragment_at(text: &[u8], start: usize) -> Option<Piece> {
    let (kind, after_prefix) = KeyKind::strip(&text[start..])?;
    let rest = split_tag(after_prefix).map_or(after_prefix, |(_, rest)| rest);
    // Measured only to the threshold first: measuring every `ok_ok_ok_…` to its end would take quadratic time.
    let beginning = &rest[..rest.len().min(FRAGMENT_LENGTH)];
    let long_enough = match kind {
        KeyKind::Live | KeyKind::Test => run_length(beginning, is_fragment) == FRAGMENT_LENGTH,
        KeyKind::Operator => {
            run_length(beginning, is_base62) == FRAGMENT_LENGTH && !begins_inside_word(&text[..start])
        }
    };
    if !long_enough {
        return None;
    }
    let end = text.len() - rest.len() + run_length(rest, is_fragment);
    Some(Piece::Fragment { kind, span: start..end })
}

/// What a damaged key is taken to go on with.
fn is_fragment(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

fn run_length(text: &[u8], belongs: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|byte| !belongs(*byte)).unwrap_or(text.len())
}
