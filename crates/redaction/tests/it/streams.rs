//! Texts that come in pieces.

use std::io::Write;

use keywright_redaction::{RedactWriter, Redactor, redact};
use proptest::prelude::*;

use crate::laws::text;

const KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";

fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut writer = RedactWriter::new(Vec::new(), Redactor::new());
    for piece in pieces {
        writer.write_all(piece).expect("a vector takes everything");
        writer.flush().expect("a vector takes everything");
    }
    writer.finish().expect("a vector takes everything")
}

#[test]
fn every_way_to_cut_a_text_in_two_gives_the_same() {
    let text = format!(
        "to ana@example.com or (555) 123-4567\ncard 4111 1111 1111 1111 and {KEY}\n-----BEGIN PRIVATE KEY-----\nMIIabc\n\
         -----END PRIVATE KEY-----\nbye +49 30 23125 123"
    );
    let whole = redact(&text);
    assert_eq!(whole.matches("_REDACTED]").count(), 6, "{whole}");
    for cut in 0..=text.len() {
        let (first, second) = text.as_bytes().split_at(cut);
        assert_eq!(in_pieces([first, second]), whole.as_bytes(), "cut at {cut}");
    }
    assert_eq!(in_pieces(text.as_bytes().chunks(1)), whole.as_bytes());
}

/// Wherever a secret stands in a line that is too long to be held back, and however the line is cut.
#[test]
fn a_secret_in_an_endless_line_is_found() {
    for before in (0..140_000).step_by(9973).chain(40_920..40_970).chain(64 << 10..(64 << 10) + 5) {
        let text = format!("{} {KEY} {}", "x".repeat(before), "y".repeat(30_000));
        for size in [7777, text.len()] {
            let out = String::from_utf8(in_pieces(text.as_bytes().chunks(size))).unwrap();
            assert!(!out.contains(&KEY[30..]), "{before} {size}");
            assert_eq!(out, text.replace(KEY, "[API_KEY_REDACTED]"));
        }
    }
}

#[test]
fn what_is_not_complete_is_held_back_and_comes_out_when_dropped() {
    let mut out = Vec::new();
    let mut writer = RedactWriter::new(&mut out, Redactor::new());
    writer.write_all(b"one\ncall 555-123").unwrap();
    writer.flush().unwrap();
    drop(writer);
    assert_eq!(out, b"one\ncall 555-123");
}

#[test]
fn bytes_that_are_no_text_stay() {
    let bytes = b"\xFF\xFE ana@example.com \x80\xC3\n\xC3";
    assert_eq!(in_pieces([&bytes[..]]), b"\xFF\xFE [EMAIL_REDACTED] \x80\xC3\n\xC3");
}

#[test]
fn a_private_key_without_an_end_does_not_hold_the_log_back_for_ever() {
    let mut text = "-----BEGIN PRIVATE KEY-----\n".to_owned();
    text.push_str(&"MIIabcMIIabcMIIabc\n".repeat(10_000));
    text.push_str("2024-05-17T14:30:00Z the next line.\n");
    let out = String::from_utf8(in_pieces(text.as_bytes().chunks(1000))).unwrap();
    assert!(out.starts_with("[API_KEY_REDACTED]") && out.ends_with("the next line.\n"));
}

#[test]
fn what_is_held_back_is_not_shown() {
    let mut writer = RedactWriter::new(Vec::new(), Redactor::new());
    writer.write_all(KEY.as_bytes()).unwrap();
    assert!(!format!("{writer:?}").contains("sk_live"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn pieces_do_not_matter(text in text(), sizes in prop::collection::vec(1_usize..40, 1..20)) {
        let whole = in_pieces([text.as_bytes()]);
        let mut rest = text.as_bytes();
        let mut sizes = sizes.iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let size = (*sizes.next()?).min(rest.len());
            let (piece, behind) = rest.split_at(size);
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(in_pieces(pieces.collect::<Vec<_>>()), whole);
    }

    /// Line by line it is the same as at once, but for private keys, which may have any lines in them.
    #[test]
    fn a_stream_gives_what_a_text_gives(text in text()) {
        prop_assume!(!text.contains("-----"));
        prop_assert_eq!(String::from_utf8(in_pieces([text.as_bytes()])).unwrap(), redact(&text));
    }
}
