//! Keys inside other texts.

use keywright_keyformat::{
    Confidence, Found, IssuerTag, KeyKind, MAX_KEY_LENGTH, ScanOptions, Secret, TagFilter, redact, scan,
};
use proptest::prelude::*;

use crate::random::XorShift;

const KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";
const BAD_KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxI";
const OPERATOR_KEY: &str = "ok_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx4GFOsM";
const ACME_KEY: &str = "sk_live_acme_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx1UQuXL";

fn find(text: impl AsRef<[u8]>, tag: TagFilter) -> Vec<Found> {
    scan(text.as_ref(), ScanOptions { tag }).collect()
}

fn find_any(text: impl AsRef<[u8]>) -> Vec<Found> {
    find(text, TagFilter::AnyTag)
}

#[test]
fn a_right_checksum_is_found_whatever_stands_around() {
    for (before, after) in [
        ("", ""),
        ("\"", "\""),
        ("key=", "&x=1"),
        ("\\n", "\\n"),
        ("%3D", "%26"),
        ("\r\n", "\r\n"),
        ("xyz", "xyz"),
        ("_", "_"),
        ("ключ", "ключ"),
        ("\0", "\0"),
        ("sk_live_", ""),
        ("k_", "k_"),
        ("sk_test_ok_", "sk_"),
        ("https://user:", "@x.test/"),
    ] {
        let found = find_any(format!("{before}{KEY}{after}"));
        assert_eq!(found.len(), 1, "{before:?} {after:?}");
        assert_eq!(found[0].span(), before.len()..before.len() + 50);
        assert_eq!((found[0].kind, found[0].confidence), (KeyKind::Live, Confidence::Confirmed));
        assert_eq!(found[0].locator.as_str(), "07ELSZgnu18F");
    }
}

#[test]
fn a_wrong_checksum_is_found_only_alone() {
    for (before, after, count) in [
        ("", "", 1),
        ("\"", "\"", 1),
        ("key=", "&", 1),
        ("\\n", "\\n", 1),
        ("%3D", "", 1),
        ("-", "-", 1),
        ("é", "é", 1),
        ("x", "", 0),
        ("", "x", 0),
        ("_", "", 0),
        ("", "_", 0),
        ("", "0", 0),
        ("%3", "", 0),
        ("n", "", 0),
    ] {
        let found = find_any(format!("{before}{BAD_KEY}{after}"));
        assert_eq!(found.len(), count, "{before:?} {after:?}");
        assert!(found.iter().all(|found| found.confidence == Confidence::Suspect));
    }
    assert!(find_any(&KEY[..49]).is_empty());
}

#[test]
fn tags_are_filtered() {
    let text = [KEY, ACME_KEY, OPERATOR_KEY].join(" ");
    let acme = IssuerTag::parse("acme").unwrap();
    let other = IssuerTag::parse("acm").unwrap();
    let tags = |filter| find(&text, filter).iter().map(|found| found.tag).collect::<Vec<_>>();
    assert_eq!(tags(TagFilter::AnyTag), [None, Some(acme), None]);
    assert_eq!(tags(TagFilter::Untagged), [None, None]);
    assert_eq!(tags(TagFilter::Only(acme)), [Some(acme)]);
    assert_eq!(tags(TagFilter::Only(other)), []);
}

/// `sk_live_b` before an operator credential reads like a key with the tag `bok`.
#[test]
fn an_operator_key_behind_what_reads_as_a_tag_is_found() {
    for before in ["sk_live_", "sk_live_b", "sk_test_bo"] {
        let found = find_any(format!("{before}{OPERATOR_KEY}"));
        assert_eq!(found.len(), 1, "{before}");
        assert_eq!((found[0].offset, found[0].kind), (before.len(), KeyKind::Operator));
        assert_eq!(found[0].confidence, Confidence::Confirmed);
    }
}

#[test]
fn ordinary_text_holds_no_key() {
    let text =
        "fn task_ok_handler(sk_live_key: &str) { book_keeping(ok_to_go) } // sk_live_…, sk_test_abc123";
    assert!(find_any(text).is_empty());
    assert!(find_any("k_".repeat(1000)).is_empty());
    assert!(find_any("").is_empty());
}

/// Quadratic time would take hours here.
#[test]
fn hostile_text_takes_linear_time() {
    for piece in [
        "ok_",
        "sk_live_",
        "ok_ok",
        "sk_live_a_",
        "ok_aaaaaaaaaaaaaaaa_",
        "k_",
        "xok_aaaaaaaaaaaaaaaaaaaaaaaa-",
    ] {
        let text = piece.repeat((2 << 20) / piece.len());
        assert!(find_any(&text).is_empty(), "{piece}");
        assert!(redact(&text).len() <= text.len(), "{piece}");
    }
}

/// The recipe of the documentation, with every way to cut a text in two.
#[test]
fn a_stream_in_pieces_gives_the_same_findings() {
    let text = format!("a {KEY}\n{BAD_KEY} {ACME_KEY}{KEY};x\\n{BAD_KEY}x {OPERATOR_KEY}");
    let whole = find_any(&text);
    assert_eq!(whole.len(), 5);
    for cut in 0..=text.len() {
        let (first, second) = text.as_bytes().split_at(cut);
        let mut findings: Vec<Found> =
            find_any(first).into_iter().filter(|found| found.span().end < first.len()).collect();
        let kept = first.len().saturating_sub(MAX_KEY_LENGTH + 3);
        let reported = findings.last().map_or(0, |found| found.offset + 1);
        findings.extend(
            find_any([&first[kept..], second].concat())
                .into_iter()
                .map(|found| Found { offset: found.offset + kept, ..found })
                .filter(|found| found.offset >= reported),
        );
        assert_eq!(findings, whole, "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn every_embedded_key_is_found(
        pieces in prop::collection::vec("[ -~\n\u{e9}]{0,30}", 1..8), seed: u64, tagged: bool,
    ) {
        let mut random = XorShift::new(seed);
        let acme = IssuerTag::parse("acme").unwrap();
        let mut text = String::new();
        let mut expected = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            text.push_str(piece);
            let kind = KeyKind::ALL[index % 3];
            let secret = Secret::generate(kind, tagged.then_some(&acme), |bytes| random.fill(bytes));
            expected.push((text.len(), kind, secret.locator()));
            text.push_str(secret.expose());
        }
        let found: Vec<_> = find_any(&text)
            .iter()
            .filter(|found| found.confidence == Confidence::Confirmed)
            .map(|found| (found.offset, found.kind, found.locator))
            .collect();
        prop_assert_eq!(found, expected);
        prop_assert!(find_any(&*redact(&text)).is_empty());
    }
}
