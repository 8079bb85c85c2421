//! Finds and replaces e-mail addresses, phone numbers, payment cards and API keys in texts and in streams of log lines.
//!
//! ```
//! use keywright_redaction::{Kind, findings, redact};
//!
//! let line = "ana@example.com paid with 3782 822463 10005, call (555) 123-4567";
//! assert_eq!(redact(line), "[EMAIL_REDACTED] paid with [CARD_REDACTED], call [PHONE_REDACTED]");
//!
//! let found = findings(line);
//! assert_eq!((found[0].kind, found[0].range.clone()), (Kind::Email, 0..15));
//!
//! // Numbers that are something else stay.
//! let log = "2024-05-17T14:30:00Z ts=1715941800 id=5551234567 v=10.4.2.1183 ip=192.0.2.17 isbn 978-3-16-148410-0";
//! assert_eq!(redact(log), log);
//! ```
//!
//! # What is found
//!
//! | kind | what | what it takes |
//! |---|---|---|
//! | e-mail | `ana@example.com`, also with letters like ü and ж, with `%40` for the `@`, and `ana [at] example [dot] com` | a domain with a last label of letters; not `git@host:path`, `logo@2x.png`, `user@1000.service` |
//! | phone | `+49 (0)30 23125 123`, `(555) 123-4567`, `555-123-4567`, `030 23125 123`, `01 99 00 12 34`, extensions | country codes and lengths of E.164; without a sign of its own, the words before it decide |
//! | card | 13 to 19 digits in one piece or as printed, American Express and Diners Club included | a range some network issues, and the check digit (Luhn) |
//! | API key | Keywright's own, by [`keywright_keyformat::scan`]; those of the vendors it knows; JSON Web Tokens; private keys; the value behind `api_key=`, `Bearer`, …; the password in a URL | checksum, or prefix and length, or name and randomness |
//!
//! Words before a number are read in English and German.
//!
//! # What it guarantees
//!
//! * Time is linear in the length of the text, whatever it contains: there are no patterns that could backtrack.
//! * Everything outside of findings stays byte for byte. Findings begin and end between two characters.
//! * [`RedactWriter`] finds what is cut in two by writes.
//! * No I/O, no clock. A [`Finding`] and every `Debug` hold no piece of the text.
//!
//! # What it does not
//!
//! Names, postal addresses and dates of birth are not looked for. Rules err: `cargo run -p keywright-redaction --example
//! figures` prints precision and recall on the labelled corpus in `corpus/`. Redaction makes a log less dangerous; it does
//! not make it public.

mod card;
mod email;
mod finding;
mod key;
mod number;
mod phone;
mod redactor;
mod surroundings;
mod writer;

use std::borrow::Cow;

pub use finding::{Confidence, Finding, Kind};
pub use redactor::Redactor;
pub use writer::RedactWriter;

/// Replaces all that is found with the default tokens, see [`Redactor::new`].
pub fn redact(text: &str) -> Cow<'_, str> {
    const { &Redactor::new() }.redact(text)
}

/// All that is found in a text, see [`Redactor::findings`].
pub fn findings(text: &str) -> Vec<Finding> {
    const { &Redactor::new() }.findings(text)
}
