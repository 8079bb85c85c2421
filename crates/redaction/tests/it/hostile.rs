//! Texts made to take long. Quadratic time would take hours here; tests are not optimised.

use std::io::Write;

use keywright_redaction::{RedactWriter, Redactor, redact};

const PIECES: &[&str] = &[
    "a",
    "1",
    "@",
    "a@",
    "a@a",
    "a@a.",
    "a.a@a.a-",
    "%40",
    "a%40",
    "(at)",
    "a (at) a",
    "(",
    "[",
    "+",
    "+1",
    "1 ",
    "1-",
    "1.",
    "(1) ",
    "555-",
    "555 ",
    "4111 ",
    "0",
    "01 ",
    "00",
    "k_",
    "sk_live_",
    "ok_ok",
    "sk-",
    "sk-a",
    "sk-1",
    "eyJ",
    "eyJ.",
    "eyJa.",
    "SG.",
    "xoxb-1",
    "token=",
    "token:a",
    "api_key ",
    "bearer ",
    "secret=a1",
    "://",
    "://a:",
    "https://a:b",
    "-----BEGIN ",
    "-----BEGIN PRIVATE KEY-----",
    "-----END ",
    "\\n",
    "%3D",
    "é",
    "ж@",
    "谢",
    "\"a\":",
    "phone 1 ",
    "\u{a0}",
    "\n",
    "1\n",
    "a-1-",
    "glc_=",
    "AKIA",
];
const SIZE: usize = 32 << 10;

#[test]
fn time_is_linear() {
    for piece in PIECES {
        let text = piece.repeat(SIZE / piece.len());
        let redacted = redact(&text);
        assert!(redacted.len() <= text.len() * 6, "{piece}");
    }
}

#[test]
fn time_is_linear_in_a_stream_of_small_writes() {
    for piece in PIECES {
        let mut writer = RedactWriter::new(Vec::new(), Redactor::new());
        for _ in 0..SIZE / piece.len() {
            writer.write_all(piece.as_bytes()).unwrap();
        }
        assert!(!writer.finish().unwrap().is_empty(), "{piece}");
    }
}
