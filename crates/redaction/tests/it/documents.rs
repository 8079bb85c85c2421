//! What the documents publish: seed 002, L254-273 (requirements 235-244), and what is said against its patterns
//! (contradiction S12): they take Unix timestamps and miss `(555) 123-4567`, `+15551234567`, cards of 15 digits and keys.

use keywright_redaction::{Kind, Redactor, redact};

/// One text for each way through the published patterns.
#[test]
fn what_the_published_patterns_match_is_redacted() {
    for (text, redacted) in [
        // `\b[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Z|a-z]{2,}\b`
        ("user@example.com", "[EMAIL_REDACTED]"),
        ("Mail a.b_c%d+e-f@sub.example.co.uk now", "Mail [EMAIL_REDACTED] now"),
        ("UPPER@EXAMPLE.COM", "[EMAIL_REDACTED]"),
        // `\b\d{3}[-.]?\d{3}[-.]?\d{4}\b`
        ("555-123-4567", "[PHONE_REDACTED]"),
        ("123-456-7890", "[PHONE_REDACTED]"),
        ("555.123.4567", "[PHONE_REDACTED]"),
        ("555-1234567", "[PHONE_REDACTED]"),
        ("5551234567", "[PHONE_REDACTED]"),
        ("555234-4567", "[PHONE_REDACTED]"),
        // `\b\d{4}[-\s]?\d{4}[-\s]?\d{4}[-\s]?\d{4}\b`
        ("4111111111111111", "[CARD_REDACTED]"),
        ("4111-1111-1111-1111", "[CARD_REDACTED]"),
        ("4111 1111 1111 1111", "[CARD_REDACTED]"),
        ("card 1234 5678 9012 3456", "card [CARD_REDACTED]"),
    ] {
        assert_eq!(redact(text), redacted, "{text}");
    }
}

#[test]
fn what_the_published_patterns_miss_is_redacted() {
    for (text, redacted) in [
        ("(555) 123-4567", "[PHONE_REDACTED]"),
        ("+15551234567", "[PHONE_REDACTED]"),
        ("+1 555 123 4567", "[PHONE_REDACTED]"),
        ("3782 822463 10005", "[CARD_REDACTED]"),
        ("378282246310005", "[CARD_REDACTED]"),
        ("sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH", "[API_KEY_REDACTED]"),
        ("ENV BAYT_API_KEY=sk_live_abc123", "ENV BAYT_API_KEY=[API_KEY_REDACTED]"),
    ] {
        assert_eq!(redact(text), redacted, "{text}");
    }
}

#[test]
fn what_the_published_patterns_take_wrongly_stays() {
    for text in [
        "ts=1715941800",
        "created 1715941800",
        "id 5551234567",
        "{\"order_id\":5551234567}",
        "0000 1111 2222 3333",
        "logo@2x.png",
        "git@github.com:example/repo.git",
        "10.4.2.1183",
        "192.168.100.200",
        "$1,234,567.89",
        "978-3-16-148410-0",
    ] {
        assert_eq!(redact(text), text);
    }
}

/// Requirement 244: `logger.info(f"User query: {redact_sensitive_data(user_query)}")`.
#[test]
fn the_documents_log_line() {
    let query = redact("I'm ana@example.com, call 555-123-4567, card 4111 1111 1111 1111");
    assert_eq!(
        format!("User query: {query}"),
        "User query: I'm [EMAIL_REDACTED], call [PHONE_REDACTED], card [CARD_REDACTED]"
    );
}

#[test]
fn tokens_and_kinds_are_chosen() {
    let redactor = Redactor::new().token(Kind::Phone, "☎").without(Kind::Email);
    assert_eq!(redactor.redact("ana@example.com 555-123-4567"), "ana@example.com ☎");
}
