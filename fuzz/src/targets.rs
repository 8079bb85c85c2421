//! Bodies of the fuzz targets, without the fuzzer: the crate's tests replay the corpus through the same functions.
//!
//! Each compares the crate with a slow, obvious reading of the format that shares no code with it.

use keywright_keyformat::{
    Confidence, Found, IssuerTag, KeyKind, MAX_KEY_LENGTH, MIN_KEY_LENGTH, Malformed, ScanOptions, TagFilter,
};

/// A parsed text is a key exactly when the oracle says so, and a refusal says why without showing the text.
///
/// The first byte chooses the issuer tag.
pub(crate) fn parse(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else {
        return;
    };
    let tag = match choice % 3 {
        0 => None,
        1 => Some("acme"),
        _ => Some("abcdefghijklmn09"),
    };
    let issuer = tag.map(|tag| IssuerTag::parse(tag).expect("a valid tag"));
    let expected = oracle_key(text).filter(|key| key.tag == tag && key.length == text.len());
    match keywright_keyformat::parse(text, issuer.as_ref()) {
        Ok(key) => {
            let expected = expected.expect("accepted what the oracle refuses");
            assert_eq!(key.text(), text);
            assert_eq!(key.kind(), expected.kind);
            assert_eq!(key.locator().as_bytes(), &text[text.len() - 42..text.len() - 30]);
            assert!((MIN_KEY_LENGTH..=MAX_KEY_LENGTH).contains(&text.len()));
            let secret = key.to_secret();
            assert_eq!(secret.expose().as_bytes(), text);
            assert_eq!(secret.tag(), issuer.as_ref());
            let secret_part = &secret.expose()[text.len() - 30..text.len() - 6];
            for shown in [format!("{key:?}"), format!("{secret:?}"), secret.hint().to_string()] {
                assert!(!shown.contains(secret_part), "the secret part is shown");
            }
        }
        Err(why) => {
            assert!(expected.is_none(), "refused what the oracle accepts: {why:?}");
            check_refusal(why, text);
        }
    }
}

/// Every key the oracle sees is found, and every finding is what it claims to be.
pub(crate) fn scan(data: &[u8]) {
    let any = find(data, TagFilter::AnyTag);
    let mut reached = 0;
    for found in &any {
        assert!(found.span().end <= data.len());
        assert!(found.offset + 2 >= reached, "findings overlap by more than two characters");
        reached = found.span().end;
        check_found(found, data);
    }
    for start in 0..data.len() {
        if oracle_key(&data[start..]).is_some() {
            let covered = any.iter().any(|found| found.offset <= start && start < found.span().end);
            assert!(covered, "the key at {start} is not found");
        }
    }
    let acme = IssuerTag::parse("acme").expect("a valid tag");
    for (filter, tag) in [(TagFilter::Untagged, None), (TagFilter::Only(acme), Some(acme))] {
        for found in find(data, filter) {
            assert_eq!(found.tag, tag);
            check_found(&found, data);
        }
    }
}

/// Nothing masked or redacted is a key, and masking shows at most the public part.
pub(crate) fn mask(data: &[u8]) {
    let masked = keywright_keyformat::mask(data);
    match oracle_key(data).filter(|key| key.length == data.len()) {
        Some(key) => {
            let public = std::str::from_utf8(&data[..key.length - 30]).expect("a key is ASCII");
            assert_eq!(masked, format!("{public}…"));
        }
        None => assert!(["", "…", "sk_live_…", "sk_test_…", "ok_…"].contains(&masked.as_str()), "{masked}"),
    }
    let text = String::from_utf8_lossy(data);
    let redacted = keywright_keyformat::redact(&text);
    for start in 0..redacted.len() {
        assert!(oracle_key(&redacted.as_bytes()[start..]).is_none(), "a key is left standing at {start}");
    }
}

fn find(data: &[u8], tag: TagFilter) -> Vec<Found> {
    keywright_keyformat::scan(data, ScanOptions { tag }).collect()
}

fn check_found(found: &Found, data: &[u8]) {
    let text = &data[found.span()];
    let parsed = keywright_keyformat::parse(text, found.tag.as_ref());
    match found.confidence {
        Confidence::Confirmed => {
            let key = parsed.expect("a confirmed finding is a key");
            assert_eq!((key.kind(), key.locator()), (found.kind, found.locator));
        }
        Confidence::Suspect => {
            let why = parsed.expect_err("a suspect has a wrong checksum");
            assert!(matches!(why, Malformed::WrongChecksum | Malformed::Placeholder), "{why:?}");
        }
    }
}

fn check_refusal(why: Malformed, text: &[u8]) {
    assert!(why.code().bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase()));
    assert!(why.hint().len() < 400);
    match why {
        Malformed::Truncated { expected, found } => assert!(found < expected && found == text.len()),
        Malformed::TooLong { expected, found } => assert!(found > expected && found == text.len()),
        Malformed::InvalidCharacter { position } => assert!(!text[position].is_ascii_alphanumeric()),
        _ => {}
    }
}

/// What the oracle reads at the beginning of a text.
struct OracleKey<'a> {
    kind: KeyKind,
    tag: Option<&'a str>,
    length: usize,
}

/// The format, read slowly: the key at the beginning of a text, whatever follows it.
fn oracle_key(text: &[u8]) -> Option<OracleKey<'_>> {
    let ascii = text.iter().position(|byte| !byte.is_ascii()).unwrap_or(text.len());
    let text = std::str::from_utf8(&text[..ascii]).expect("cut before the first other byte");
    let kind = KeyKind::ALL.into_iter().find(|kind| text.starts_with(kind.prefix()))?;
    let rest = &text[kind.prefix().len()..];
    let (tag, body) = match rest.split_once('_') {
        Some((tag, body)) if is_tag(tag) => (Some(tag), body),
        _ => (None, rest),
    };
    let body = body.get(..42)?;
    let length = text.len() - rest.len() + tag.map_or(0, |tag| tag.len() + 1) + body.len();
    let is_key = body.chars().all(|character| character.is_ascii_alphanumeric())
        && oracle_checksum(&text[..length - 6]) == body[36..];
    is_key.then_some(OracleKey { kind, tag, length })
}

fn is_tag(tag: &str) -> bool {
    (1..=16).contains(&tag.len())
        && tag.chars().all(|character| character.is_ascii_lowercase() || character.is_ascii_digit())
        && !["live", "test"].contains(&tag)
}

/// CRC-32, bit by bit, in base62.
fn oracle_checksum(text: &str) -> String {
    let mut register = u32::MAX;
    for byte in text.bytes() {
        register ^= u32::from(byte);
        for _ in 0..8 {
            register = if register & 1 == 1 { (register >> 1) ^ 0xEDB8_8320 } else { register >> 1 };
        }
    }
    let digits = ('0'..='9').chain('A'..='Z').chain('a'..='z').collect::<Vec<_>>();
    let mut value = !register as usize;
    let mut reversed = String::new();
    for _ in 0..6 {
        reversed.push(digits[value % 62]);
        value /= 62;
    }
    reversed.chars().rev().collect()
}
