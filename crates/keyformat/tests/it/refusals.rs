//! Every reason for a refusal, produced by its cause.

use keywright_keyformat::{IssuerTag, Malformed, parse};

const KEY: &str = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";
const OPERATOR_KEY: &str = "ok_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx4GFOsM";
const ACME_KEY: &str = "sk_live_acme_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx1UQuXL";

fn refusal(text: impl AsRef<[u8]>) -> Malformed {
    parse(text.as_ref(), None).expect_err("not a key")
}

#[test]
fn nothing() {
    assert_eq!(refusal(""), Malformed::Empty);
    assert_eq!(refusal(" \r\n\t"), Malformed::Empty);
}

#[test]
fn quotes() {
    for text in [
        format!("\"{KEY}\""),
        format!("'{KEY}'"),
        format!("`{KEY}`"),
        format!("\"{KEY}"),
        format!("{KEY}'"),
        format!("“{KEY}”"),
        format!("„{KEY}“"),
        "\"\"".to_owned(),
    ] {
        assert_eq!(refusal(&text), Malformed::Quoted, "{text}");
    }
}

#[test]
fn white_space() {
    for text in [format!(" {KEY}"), format!("{KEY} "), format!("{KEY}\n"), format!("\t{KEY}\r\n")] {
        assert_eq!(refusal(&text), Malformed::SurroundingSpace, "{text:?}");
    }
    for at in [1, 8, 20, 49] {
        let (start, end) = KEY.split_at(at);
        assert_eq!(refusal(format!("{start}\n{end}")), Malformed::InnerSpace);
        assert_eq!(refusal(format!("{start} {end}")), Malformed::InnerSpace);
    }
}

#[test]
fn headers() {
    for text in [
        format!("Bearer {KEY}"),
        format!("bearer  {KEY}"),
        format!("BEARER {KEY}"),
        format!("Bearer{KEY}"),
        format!("Bearer: {KEY}"),
        format!("Authorization: Bearer {KEY}"),
        format!("X-API-Key: {KEY}"),
        "Bearer".to_owned(),
    ] {
        assert_eq!(refusal(&text), Malformed::BearerPrefixInside, "{text}");
    }
    assert_eq!(refusal("bearerless"), Malformed::UnknownPrefix);
}

#[test]
fn beyond_ascii() {
    for text in [format!("{KEY}\u{a0}"), format!("\u{feff}{KEY}"), KEY.replacen('a', "а", 1)] {
        assert_eq!(refusal(&text), Malformed::NonAscii, "{text}");
    }
    assert_eq!(refusal([KEY.as_bytes(), b"\xFF"].concat()), Malformed::NonAscii);
}

#[test]
fn variables() {
    for text in [
        "$API_KEY",
        "${API_KEY}",
        "%API_KEY%",
        "{{ api_key }}",
        "undefined",
        "null",
        "None",
        "[object Object]",
    ] {
        assert_eq!(refusal(text), Malformed::UnexpandedVariable, "{text}");
    }
}

#[test]
fn placeholders() {
    for text in [
        "your_api_key_here",
        "YOUR_API_KEY",
        "your-api-key",
        "your api key",
        "<key>",
        "sk_live_abc123",
        "sk_live_your_key_here",
        "sk_test_xxxxxxxxxxxxxxxxxxxxxxxx",
        "sk_live_REPLACE_ME",
        "sk_live_<key>",
        "changeme",
        "ok_123",
    ] {
        assert_eq!(refusal(text), Malformed::Placeholder, "{text}");
    }
    assert_eq!(refusal(format!("sk_live_{}", "x".repeat(42))), Malformed::Placeholder);
}

/// Seven of one character in a row are still taken for a key, eight for filler.
#[test]
fn filler_has_two_sides() {
    let body =
        |run: usize| format!("{}{}", "7".repeat(run), "aB3dE6gH9k".repeat(5)).split_at(42).0.to_owned();
    assert_eq!(refusal(format!("sk_live_{}", body(7))), Malformed::WrongChecksum);
    assert_eq!(refusal(format!("sk_live_{}", body(8))), Malformed::Placeholder);
}

#[test]
fn hints_and_locators() {
    for text in [
        format!("{}…{}", &KEY[..20], &KEY[46..]),
        format!("{}...", &KEY[..20]),
        "sk_live_************MxH".to_owned(),
        "sk_live_••••••••".to_owned(),
    ] {
        assert_eq!(refusal(&text), Malformed::Masked, "{text}");
    }
    assert_eq!(refusal(&KEY[..20]), Malformed::LocatorOnly);
    assert_eq!(refusal(&KEY[..19]), Malformed::Truncated { expected: 50, found: 19 });
    assert_eq!(refusal(&KEY[..21]), Malformed::Truncated { expected: 50, found: 21 });
}

#[test]
fn other_vendors() {
    let a = |count| "a".repeat(count);
    for (text, vendor) in [
        (format!("sk-proj-{}", a(48)), "OpenAI"),
        (format!("sk-{}", a(48)), "OpenAI"),
        (format!("sk-ant-api03-{}", a(40)), "Anthropic"),
        (format!("ghp_{}", a(36)), "GitHub"),
        (format!("github_pat_{}", a(60)), "GitHub"),
        ("AKIAAAAAAAAAAAAAAAAA".to_owned(), "AWS"),
        (format!("xoxb-{}", a(20)), "Slack"),
        (format!("AIza{}", a(35)), "Google"),
        (format!("pk_live_{}", a(24)), "Stripe"),
        (format!("sk_live_51{}", a(97)), "Stripe"),
        (format!("sk_test_{}", "a1".repeat(20)), "Paystack"),
        ("eyJhbGciOiJIUzI1NiJ9.e30.c2ln".to_owned(), "JSON Web Token"),
    ] {
        assert_eq!(refusal(&text), Malformed::OtherVendor(vendor), "{text}");
    }
}

/// An old Stripe key has the shape of one of ours cut off, so the sentence names both.
#[test]
fn an_old_stripe_key_may_be_a_cut_off_one() {
    let refusal = refusal(format!("sk_live_{}", "aB3dE6gH9kLm".repeat(2)));
    assert_eq!(refusal, Malformed::Truncated { expected: 50, found: 32 });
    assert!(refusal.hint().contains("cut off, or it is another vendor's"), "{refusal}");
}

#[test]
fn unknown_beginnings() {
    for text in
        ["hunter2", "sk_prod_x", &KEY.to_ascii_uppercase(), &KEY.replace('_', "-"), &KEY[3..], "ok", "s"]
    {
        assert!(
            matches!(refusal(text), Malformed::UnknownPrefix | Malformed::OtherVendor(_)),
            "{text}: {:?}",
            refusal(text)
        );
    }
    assert_eq!(refusal(KEY.to_ascii_uppercase()), Malformed::UnknownPrefix);
}

#[test]
fn issuers() {
    let acme = IssuerTag::parse("acme").unwrap();
    let other = IssuerTag::parse("acm3").unwrap();
    assert!(parse(ACME_KEY.as_bytes(), Some(&acme)).is_ok());
    assert_eq!(refusal(ACME_KEY), Malformed::WrongIssuer { expected: None });
    for (text, tag) in [(ACME_KEY, other), (KEY, acme), (OPERATOR_KEY, acme)] {
        assert_eq!(
            parse(text.as_bytes(), Some(&tag)).unwrap_err(),
            Malformed::WrongIssuer { expected: Some(tag) }
        );
    }
    // A damaged tag is damage, not another issuer.
    assert_eq!(
        parse(ACME_KEY.replace("acme", "acne").as_bytes(), Some(&acme)).unwrap_err(),
        Malformed::WrongChecksum
    );
}

#[test]
fn lengths_have_two_sides() {
    assert!(parse(KEY.as_bytes(), None).is_ok());
    assert_eq!(refusal(&KEY[..49]), Malformed::Truncated { expected: 50, found: 49 });
    assert_eq!(refusal(format!("{KEY}0")), Malformed::TooLong { expected: 50, found: 51 });
    assert!(parse(OPERATOR_KEY.as_bytes(), None).is_ok());
    assert_eq!(refusal(&OPERATOR_KEY[..44]), Malformed::Truncated { expected: 45, found: 44 });
    assert_eq!(refusal(format!("{OPERATOR_KEY}0")), Malformed::TooLong { expected: 45, found: 46 });
    let acme = IssuerTag::parse("acme").unwrap();
    let cut = parse(&ACME_KEY.as_bytes()[..54], Some(&acme)).unwrap_err();
    assert_eq!(cut, Malformed::Truncated { expected: 55, found: 54 });
    assert_eq!(refusal("sk_live_"), Malformed::Truncated { expected: 50, found: 8 });
}

/// Up to a kilobyte is looked at closely; beyond that only the length is reported.
#[test]
fn diagnosis_has_two_sides() {
    let quoted = |length: usize| format!("\"{}", "k".repeat(length - 1));
    assert_eq!(refusal(quoted(1024)), Malformed::Quoted);
    assert_eq!(refusal(quoted(1025)), Malformed::TooLong { expected: 50, found: 1025 });
    let operator = format!("ok_acme_{}", "k".repeat(2000));
    assert_eq!(refusal(operator), Malformed::TooLong { expected: 50, found: 2008 });
}

#[test]
fn invalid_characters() {
    for position in [8, 19, 20, 43, 44, 49] {
        for character in ["_", "-", ".", "/", "\0"] {
            let mut text = KEY.to_owned();
            text.replace_range(position..=position, character);
            assert_eq!(refusal(&text), Malformed::InvalidCharacter { position }, "{text}");
        }
    }
}

#[test]
fn more_than_the_key() {
    for text in [
        format!("API_KEY={KEY}"),
        format!("{KEY},"),
        format!("{KEY},{KEY}"),
        format!("https://x.test/?k={KEY}"),
    ] {
        assert_eq!(refusal(&text), Malformed::ExtraText, "{text}");
    }
}

#[test]
fn checksums() {
    assert_eq!(refusal(KEY.replace("live", "test")), Malformed::WrongChecksum);
    assert_eq!(refusal(KEY.replace("MxH", "MxI")), Malformed::WrongChecksum);
    assert_eq!(refusal(KEY.replace("07EL", "70EL")), Malformed::WrongChecksum);
}

#[test]
fn codes_are_stable_and_hints_say_what_to_do() {
    let acme = IssuerTag::parse("acme").unwrap();
    let all = [
        (Malformed::Empty, "empty", "set"),
        (Malformed::Quoted, "quoted", "Remove them"),
        (Malformed::SurroundingSpace, "surrounding_space", "Remove it"),
        (Malformed::InnerSpace, "inner_space", "Copy the key again"),
        (Malformed::BearerPrefixInside, "bearer_prefix_inside", "store the key alone"),
        (Malformed::NonAscii, "non_ascii", "Copy the key again"),
        (Malformed::UnexpandedVariable, "unexpanded_variable", "Check that the variable is set"),
        (Malformed::Placeholder, "placeholder", "Put your own key"),
        (Malformed::Masked, "masked", "rotate the key"),
        (Malformed::LocatorOnly, "locator_only", "rotate the key"),
        (Malformed::OtherVendor("Stripe"), "other_vendor", "(Stripe)"),
        (Malformed::UnknownPrefix, "unknown_prefix", "sk_live_"),
        (Malformed::WrongIssuer { expected: None }, "wrong_issuer", "no tag"),
        (Malformed::WrongIssuer { expected: Some(acme) }, "wrong_issuer", "sk_live_acme_…"),
        (Malformed::ExtraText, "extra_text", "Use the key alone"),
        (Malformed::Truncated { expected: 50, found: 49 }, "truncated", "50 characters expected, 49 found"),
        (Malformed::TooLong { expected: 50, found: 51 }, "too_long", "50 characters expected, 51 found"),
        (Malformed::InvalidCharacter { position: 9 }, "invalid_character", "position 9"),
        (Malformed::WrongChecksum, "wrong_checksum", "Copy the key again"),
    ];
    for (refusal, code, sentence) in all {
        assert_eq!(refusal.code(), code);
        assert!(refusal.hint().contains(sentence), "{refusal}");
        assert_eq!(refusal.to_string(), refusal.hint());
    }
}
