//! The text of a Keywright API key: generate, parse, checksum, mask, and scan a text for keys.
//!
//! This crate knows only text. It does no I/O, reads no clock and has no random source: random bytes are an
//! argument. It can be used alone, for instance in a secret scanner or a client SDK.
//!
//! # The format
//!
//! ```text
//! sk_live_acme_aB3dE6gH9kLm0123456789abcdefghijklmn4rT0xQ
//! └──┬───┘└─┬─┘└────┬─────┘└──────────┬───────────┘└─┬──┘
//!   kind  issuer  locator           secret        checksum
//!  3 or 8  0..17     12               24              6      characters
//! ```
//!
//! * **kind**: `sk_live_`, `sk_test_`, or `ok_` for operator credentials ([`KeyKind`]).
//! * **issuer**: an installation may set a tag ([`IssuerTag`]) so that its keys can be told apart. Most have none, and
//!   an untagged `sk_` key is exactly 50 characters.
//! * **locator**: public. It is what lists, logs and leak reports show, and what a key is looked up by ([`Locator`]).
//! * **secret**: 24 base62 characters, 142.9 bits.
//! * **checksum**: the CRC-32 (IEEE 802.3, as in zip and PNG) of every character before it, as 6 base62 digits, most
//!   significant first, alphabet `0-9A-Za-z`.
//!
//! # What the checksum guarantees
//!
//! It is no secret and no proof of origin: anybody can compute it. It tells a damaged key from a wrong one before
//! anything is looked up. These are *always* refused, not merely probably:
//!
//! * any change within four neighbouring characters of the covered text (a burst of at most 32 bits), so any one
//!   mistyped character;
//! * any two characters of the covered text swapped, near or far: the difference is `e(x)·(1 + x^8k)`, and the
//!   primitive CRC-32 polynomial divides neither factor at these lengths;
//! * any change of the six checksum digits alone.
//!
//! Every other damage (a swap across the border between covered text and checksum, two distant mistyped characters)
//! passes with a probability of about 2⁻³².
//!
//! # Example
//!
//! ```
//! use keywright_keyformat::{KeyKind, Malformed, Secret, parse};
//!
//! // Use a CSPRNG. This counter only makes the example repeatable.
//! let mut next = 0_u8;
//! let secret = Secret::generate(KeyKind::Live, None, |bytes| {
//!     for byte in bytes {
//!         *byte = next;
//!         next = next.wrapping_add(7);
//!     }
//! });
//! assert_eq!(secret.expose(), "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH");
//!
//! let key = parse(secret.expose().as_bytes(), None)?;
//! assert_eq!(key.kind(), KeyKind::Live);
//! assert_eq!(key.locator().as_str(), "07ELSZgnu18F");
//! assert_eq!(key.hint().to_string(), "sk_live_07ELSZgnu18F…0MxH");
//!
//! // A text that is not a key says why.
//! let why = parse(b"\"sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH\"", None).unwrap_err();
//! assert_eq!(why, Malformed::Quoted);
//! assert_eq!(why.code(), "quoted");
//! # Ok::<(), Malformed>(())
//! ```

mod checksum;
mod diagnose;
mod hint;
mod issuer;
mod kind;
mod locator;
mod malformed;
mod parse;
mod scan;
mod secret;
mod vendors;

pub use hint::{Hint, hint, mask, redact};
pub use issuer::{InvalidTag, IssuerTag};
pub use kind::KeyKind;
pub use locator::{InvalidLocator, Locator};
pub use malformed::Malformed;
pub use parse::{ParsedKey, parse};
pub use scan::{Confidence, Found, Scan, ScanOptions, TagFilter, scan};
pub use secret::Secret;
pub use vendors::vendor_prefixes;

/// Characters of the public part a key is found by.
pub const LOCATOR_LENGTH: usize = 12;
/// Characters of the part that must stay secret.
pub const SECRET_PART_LENGTH: usize = 24;
/// Characters of the checksum.
pub const CHECKSUM_LENGTH: usize = 6;
/// Characters after the prefix and the issuer tag: locator, secret part and checksum.
pub const BODY_LENGTH: usize = LOCATOR_LENGTH + SECRET_PART_LENGTH + CHECKSUM_LENGTH;
/// Most characters an issuer tag may have.
pub const MAX_TAG_LENGTH: usize = 16;
/// Characters of the shortest key: an operator credential without an issuer tag.
pub const MIN_KEY_LENGTH: usize = "ok_".len() + BODY_LENGTH;
/// Characters of the longest key. Whoever scans a stream in pieces lets neighbouring pieces overlap by this much, see
/// [`scan()`].
pub const MAX_KEY_LENGTH: usize = MAX_HEAD_LENGTH + BODY_LENGTH;

/// Most characters before the locator: `sk_live_`, a tag, an underscore.
const MAX_HEAD_LENGTH: usize = "sk_live_".len() + MAX_TAG_LENGTH + 1;
