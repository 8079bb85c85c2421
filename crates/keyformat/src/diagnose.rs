//! Finds out why a text is not a key. Runs only after the fast path has refused it.

use crate::checksum::is_base62;
use crate::issuer::split_tag;
use crate::scan::confirmed_whole;
use crate::vendors;
use crate::{
    BODY_LENGTH, Confidence, IssuerTag, KeyKind, LOCATOR_LENGTH, MAX_KEY_LENGTH, Malformed, ScanOptions, scan,
};

/// Bytes beyond which a text is only called too long: refusing must stay cheap.
const MAX_DIAGNOSED_LENGTH: usize = 1024;
/// One character this often in a row is no accident.
const FILLER_RUN: usize = 8;

/// Typographic quotes and what else stands at the ends of a text that was copied with its quotes.
const QUOTES: [&[u8]; 11] = [
    b"\"",
    b"'",
    b"`",
    "“".as_bytes(),
    "”".as_bytes(),
    "„".as_bytes(),
    "‘".as_bytes(),
    "’".as_bytes(),
    "«".as_bytes(),
    "»".as_bytes(),
    b"\\\"",
];
const MASKS: [&[u8]; 4] = ["…".as_bytes(), b"...", b"***", "•".as_bytes()];
const UNSET_WORDS: [&[u8]; 8] =
    [b"undefined", b"null", b"none", b"nil", b"nan", b"false", b"true", b"[object object]"];
/// Compared in lower case, with `-` and space as `_`.
const PLACEHOLDER_WORDS: [&[u8]; 17] = [
    b"your_",
    b"yourapikey",
    b"yourkey",
    b"my_api_key",
    b"api_key",
    b"apikey",
    b"key_here",
    b"secret_key",
    b"replace",
    b"changeme",
    b"change_me",
    b"insert_",
    b"placeholder",
    b"example",
    b"xxxx",
    b"dummy",
    b"todo",
];
const PLACEHOLDER_BODIES: [&[u8]; 6] = [b"abc123", b"abcdef", b"abc", b"123", b"xxx", b"foobar"];

#[cold]
#[inline(never)]
pub(crate) fn diagnose(text: &[u8], tag: Option<&IssuerTag>) -> Malformed {
    if text.len() > MAX_DIAGNOSED_LENGTH {
        return Malformed::TooLong { expected: expected_length(text, tag), found: text.len() };
    }
    let trimmed = text.trim_ascii();
    if trimmed.is_empty() {
        Malformed::Empty
    } else if trimmed.len() < text.len() {
        Malformed::SurroundingSpace
    } else if QUOTES.iter().any(|quote| text.starts_with(quote) || text.ends_with(quote)) {
        Malformed::Quoted
    } else if has_header(text) {
        Malformed::BearerPrefixInside
    } else if is_variable(text) {
        Malformed::UnexpandedVariable
    } else if MASKS.iter().any(|mask| contains(text, mask)) {
        Malformed::Masked
    } else if !text.is_ascii() {
        Malformed::NonAscii
    } else if text.iter().any(u8::is_ascii_whitespace) {
        if contains_word(text) { Malformed::Placeholder } else { Malformed::InnerSpace }
    } else if confirmed_whole(text).is_some() {
        Malformed::WrongIssuer { expected: tag.copied() }
    } else {
        match KeyKind::strip(text) {
            Some((_, rest)) => by_shape(text, rest),
            None => by_beginning(text),
        }
    }
}

/// A text that begins like none of our keys.
fn by_beginning(text: &[u8]) -> Malformed {
    let holds_key = scan(text, ScanOptions::default()).any(|found| found.confidence == Confidence::Confirmed);
    if holds_key {
        Malformed::ExtraText
    } else if contains_word(text) || is_bracketed(text) {
        Malformed::Placeholder
    } else if let Some(vendor) = vendors::by_prefix(text) {
        Malformed::OtherVendor(vendor)
    } else {
        Malformed::UnknownPrefix
    }
}

/// A text that begins like a key. `rest`: without the prefix.
fn by_shape(text: &[u8], rest: &[u8]) -> Malformed {
    let body = split_tag(rest).map_or(rest, |(_, body)| body);
    let body_start = text.len() - body.len();
    let expected = body_start + BODY_LENGTH;
    let invalid = body.iter().position(|byte| !is_base62(*byte));
    if invalid.is_none() && body.len() == BODY_LENGTH {
        return if has_filler(body) { Malformed::Placeholder } else { Malformed::WrongChecksum };
    }
    if let Some(vendor) = vendors::by_body(rest) {
        return Malformed::OtherVendor(vendor);
    }
    if is_placeholder(rest, body) {
        return Malformed::Placeholder;
    }
    if let Some(position) = invalid {
        let holds_key =
            scan(text, ScanOptions::default()).any(|found| found.confidence == Confidence::Confirmed);
        let position = body_start + position;
        return if holds_key { Malformed::ExtraText } else { Malformed::InvalidCharacter { position } };
    }
    match body.len() {
        LOCATOR_LENGTH => Malformed::LocatorOnly,
        length if length < BODY_LENGTH => Malformed::Truncated { expected, found: text.len() },
        _ => Malformed::TooLong { expected, found: text.len() },
    }
}

/// The length of a whole key that begins like this text, or else of a live key of this installation.
fn expected_length(text: &[u8], tag: Option<&IssuerTag>) -> usize {
    match KeyKind::strip(&text[..text.len().min(MAX_KEY_LENGTH)]) {
        Some((kind, rest)) => {
            kind.prefix().len() + split_tag(rest).map_or(0, |(tag, _)| tag.len() + 1) + BODY_LENGTH
        }
        None => KeyKind::Live.prefix().len() + tag.map_or(0, |tag| tag.with_underscore().len()) + BODY_LENGTH,
    }
}

/// `Bearer …`, `Authorization: …`, `X-API-Key: …`, and `Bearer` glued to a key.
fn has_header(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    if lower.starts_with(b"authorization:") || lower.starts_with(b"x-api-key:") {
        return true;
    }
    lower.strip_prefix(b"bearer").is_some_and(|rest| {
        rest.is_empty() || rest.starts_with(b" ") || rest.starts_with(b":") || KeyKind::strip(rest).is_some()
    })
}

/// `$NAME`, `${NAME}`, `%NAME%`, `{{ name }}`, `process.env.NAME`, `undefined`.
fn is_variable(text: &[u8]) -> bool {
    UNSET_WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
        || text.starts_with(b"$")
        || text.starts_with(b"{{")
        || (text.len() > 2 && text.starts_with(b"%") && text.ends_with(b"%"))
        || text.starts_with(b"process.env.")
        || text.starts_with(b"os.environ")
}

/// `<your key>`, `[key]`, `{key}`.
fn is_bracketed(text: &[u8]) -> bool {
    matches!(text, [b'<', .., b'>'] | [b'[', .., b']'] | [b'{', .., b'}'])
}

fn is_placeholder(rest: &[u8], body: &[u8]) -> bool {
    // A cut-off key may well begin with `abc`; only a body too short for a locator is judged by its beginning.
    let is_short = body.len() < LOCATOR_LENGTH;
    contains_word(rest)
        || has_filler(body)
        || is_bracketed(rest)
        || (is_short && PLACEHOLDER_BODIES.iter().any(|start| body.to_ascii_lowercase().starts_with(start)))
}

fn contains_word(text: &[u8]) -> bool {
    let normal: Vec<u8> = text
        .iter()
        .map(|byte| if matches!(byte, b'-' | b' ') { b'_' } else { byte.to_ascii_lowercase() })
        .collect();
    PLACEHOLDER_WORDS.iter().any(|word| contains(&normal, word))
}

fn has_filler(text: &[u8]) -> bool {
    text.windows(FILLER_RUN).any(|run| run.iter().all(|byte| *byte == run[0]))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}
