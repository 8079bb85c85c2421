//! What holds for every text.

use keywright_redaction::{Kind, Redactor, findings, redact};
use proptest::prelude::*;

/// Pieces from which texts that matter are made.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]{0,12}",
        2 => "[0-9 .()+-]{1,16}",
        1 => "\\PC{0,6}",
        1 => Just("\n".to_owned()),
        3 => prop::sample::select(vec![
            "ana@example.com", "ü@ö.example", "x%40example.com", "a [at] example.org", "https://u:p4ssw0rd@h.example/",
            "555-123-4567", "+49 (0)30 23125 123", "(555) 123-4567", "030 23125 123", "5551234567",
            "4111 1111 1111 1111", "378282246310005", "card ", "phone ", "id=", "token=", "Bearer ",
            "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH", "ghp_0123456789abcdefghijABCDEFGHIJ012345",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
        ]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn findings_are_in_order_apart_and_between_characters(text in text()) {
        let mut reached = 0;
        for finding in findings(&text) {
            prop_assert!(finding.range.start >= reached && !finding.range.is_empty());
            prop_assert!(text.get(finding.range.clone()).is_some(), "{:?}", finding);
            reached = finding.range.end;
        }
    }

    #[test]
    fn everything_else_stays(text in text()) {
        let redactor = Kind::ALL.into_iter().fold(Redactor::new(), |redactor, kind| redactor.token(kind, ""));
        let mut rest = text.clone();
        for finding in findings(&text).into_iter().rev() {
            rest.replace_range(finding.range, "");
        }
        prop_assert_eq!(redactor.redact(&text), rest);
    }

    #[test]
    fn no_key_of_ours_is_left(before in text(), after in text()) {
        let key = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";
        let text = format!("{before}{key}{after}");
        prop_assert!(!redact(&text).contains(key), "{}", redact(&text));
    }

    #[test]
    fn an_address_that_stands_alone_is_found(local in "[a-z0-9]([a-z0-9._+-]{0,20}[a-z0-9])?", host in "[a-z][a-z0-9]{0,12}",
        top in "(com|org|net|example|de|io)", before in "( |\"|<|\\(|mail: |\n)", after in "( |\"|>|\\)|, |\\. |\n)") {
        let address = format!("{local}@{host}.{top}");
        let text = format!("x{before}{address}{after}y");
        let found: Vec<_> = findings(&text).into_iter().map(|finding| text[finding.range].to_owned()).collect();
        prop_assert!(found.contains(&address), "{:?} in {}", found, text);
    }

    /// With 19 digits and every way to write it in groups of four.
    #[test]
    fn an_issued_card_is_found(middle in "[0-9]{11}", separator in "( |-|)", before in "( |\"|card: )", after in "( |\"|,|\\.|)") {
        let unchecked = format!("4111{middle}");
        let card = (0..10).map(|digit| format!("{unchecked}{digit}")).find(|card| luhn(card)).expect("one digit of ten fits");
        let groups: Vec<&str> = (0..4).map(|group| &card[group * 4..group * 4 + 4]).collect();
        let written = groups.join(&separator);
        let text = format!("x{before}{written}{after}");
        let found = findings(&text);
        prop_assert!(found.iter().any(|finding| finding.kind == Kind::Card && text[finding.range.clone()] == written), "{}", text);
    }
}

fn luhn(card: &str) -> bool {
    let digit = |(place, digit): (usize, char)| {
        let digit = digit.to_digit(10).expect("digits") * if place % 2 == 1 { 2 } else { 1 };
        digit / 10 + digit % 10
    };
    card.chars().rev().enumerate().map(digit).sum::<u32>() % 10 == 0
}
