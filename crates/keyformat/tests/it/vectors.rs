//! Fixed keys. They were computed by an independent implementation (Python's `zlib.crc32`). If one of these changes, every
//! key ever issued stops working.

use keywright_keyformat::{IssuerTag, KeyKind, MAX_KEY_LENGTH, MIN_KEY_LENGTH, Secret, parse};

/// Kind, tag, first byte, step from byte to byte, key.
const VECTORS: [(KeyKind, Option<&str>, u8, u8, &str); 9] = [
    (KeyKind::Live, None, 0, 7, "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH"),
    (KeyKind::Test, None, 0, 7, "sk_test_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx2Fa5bw"),
    (KeyKind::Operator, None, 0, 7, "ok_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx4GFOsM"),
    (KeyKind::Live, Some("acme"), 0, 7, "sk_live_acme_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx1UQuXL"),
    (KeyKind::Test, Some("acme"), 0, 7, "sk_test_acme_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0RUImM"),
    (KeyKind::Operator, Some("acme"), 0, 7, "ok_acme_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx09UbqO"),
    (
        KeyKind::Live,
        Some("abcdefghijklmn09"),
        0,
        7,
        "sk_live_abcdefghijklmn09_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx3vky89",
    ),
    (KeyKind::Operator, None, 5, 11, "ok_5GRcny9KVgr2DOZkv6HSdoz2DOZkv6HSdozA19tuYW"),
    (KeyKind::Live, Some("0"), 9, 13, "sk_live_0_9MZmzCPcp2FSfs5IViv0DQdq3GTgt6JWjw9M17WcXz"),
];

#[test]
fn the_same_bytes_make_the_same_key() {
    for (kind, tag, first, step, expected) in VECTORS {
        let tag = tag.map(|tag| IssuerTag::parse(tag).unwrap());
        let secret = Secret::generate(kind, tag.as_ref(), counter(first, step));
        assert_eq!(secret.expose(), expected);
        assert_eq!((secret.kind(), secret.tag()), (kind, tag.as_ref()));
    }
}

#[test]
fn every_vector_parses() {
    for (kind, tag, _, _, text) in VECTORS {
        let tag = tag.map(|tag| IssuerTag::parse(tag).unwrap());
        let key = parse(text.as_bytes(), tag.as_ref()).unwrap();
        assert_eq!(key.kind(), kind);
        assert_eq!(key.locator().as_str(), &text[text.len() - 42..text.len() - 30]);
        assert_eq!(key.last4(), text.as_bytes()[text.len() - 4..]);
    }
}

#[test]
fn lengths_are_those_of_the_format() {
    let length = |kind, tag: Option<&str>| {
        let tag = tag.map(|tag| IssuerTag::parse(tag).unwrap());
        Secret::generate(kind, tag.as_ref(), counter(0, 7)).expose().len()
    };
    assert_eq!(length(KeyKind::Live, None), 50);
    assert_eq!(length(KeyKind::Test, None), 50);
    assert_eq!(length(KeyKind::Operator, None), MIN_KEY_LENGTH);
    assert_eq!(length(KeyKind::Live, Some("abcdefghijklmn09")), MAX_KEY_LENGTH);
    assert_eq!((MIN_KEY_LENGTH, MAX_KEY_LENGTH), (45, 67));
}

/// 248 bytes are used, each of them for the character it stands for; the other eight are skipped. So a source that gives
/// every byte equally often gives every character equally often, exactly.
#[test]
fn characters_are_uniform() {
    let mut counts = [0_u32; 128];
    let mut next = 0_u8;
    // 62 keys of 36 characters use 9 times 248 bytes.
    for _ in 0..62 {
        let mut used = 0;
        let secret = Secret::generate(KeyKind::Live, None, |bytes| {
            // Whole rounds are asked for; going back to what was really used keeps the count exact.
            used = next;
            for byte in bytes {
                *byte = next;
                next = next.wrapping_add(1);
            }
        });
        let covered = &secret.expose().as_bytes()[8..44];
        for character in covered {
            counts[usize::from(*character)] += 1;
        }
        next = skip_usable(used, 36);
    }
    for (character, count) in counts.iter().enumerate() {
        let expected = if u8::try_from(character).unwrap().is_ascii_alphanumeric() { 36 } else { 0 };
        assert_eq!(*count, expected, "character {character}");
    }
}

#[test]
fn bytes_from_248_up_are_skipped() {
    let mut skipped = false;
    let secret = Secret::generate(KeyKind::Live, None, |bytes| {
        bytes.fill(if skipped { 247 } else { 248 });
        skipped = true;
    });
    assert_eq!(&secret.expose()[8..44], "z".repeat(36));
}

#[test]
#[should_panic(expected = "fewer than 36 below 248")]
fn a_source_stuck_at_unusable_bytes_is_noticed() {
    let _ = Secret::generate(KeyKind::Live, None, |bytes| bytes.fill(255));
}

#[test]
fn the_largest_checksum_value_is_no_way_around() {
    // The same value as the right checksum plus 2^32, which six digits can also write.
    let (_, _, _, _, text) = VECTORS[0];
    let digits = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let value = text[44..].bytes().fold(0_u64, |value, byte| {
        value * 62 + digits.iter().position(|digit| *digit == byte).unwrap() as u64
    });
    let mut rest = value + (1 << 32);
    let mut alias = text.as_bytes().to_vec();
    for position in (44..50).rev() {
        alias[position] = digits[usize::try_from(rest % 62).unwrap()];
        rest /= 62;
    }
    assert_eq!(rest, 0);
    assert_eq!(parse(&alias, None).unwrap_err().code(), "wrong_checksum");
}

fn counter(first: u8, step: u8) -> impl FnMut(&mut [u8]) {
    let mut next = first;
    move |bytes| {
        for byte in bytes {
            *byte = next;
            next = next.wrapping_add(step);
        }
    }
}

/// The byte after `count` usable bytes from here.
fn skip_usable(mut byte: u8, count: usize) -> u8 {
    let mut left = count;
    while left > 0 {
        left -= usize::from(byte < 248);
        byte = byte.wrapping_add(1);
    }
    byte
}
