//! Time-based one-time passwords ([RFC 6238](https://www.rfc-editor.org/rfc/rfc6238)): HMAC-SHA-1, 30 seconds, six digits,
//! which is what every authenticator knows; and recovery codes for the day it is lost.

use std::fmt::Write as _;

use keywright_domain::{
    account::{FactorUse, TokenDigest},
    entropy::{Entropy, random_bytes},
    time::Timestamp,
};
use ring::hmac;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::caps::{RECOVERY_CODES, TOTP_DRIFT_STEPS};

/// Length of a secret, in bytes: as long as the hash (RFC 4226, section 4, R6).
const SECRET_BYTES: usize = 20;
/// Length of a time step, in seconds.
const STEP_SECONDS: u64 = 30;
/// Digits of a code.
const DIGITS: usize = 6;
/// Letters of a recovery code: 80 bits, so that nobody finds one by its digest.
const RECOVERY_LETTERS: usize = 16;
const RECOVERY_GROUP: usize = 4;
/// Base 32 as authenticators read it (RFC 4648).
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A new secret.
pub(crate) fn new_secret(entropy: &dyn Entropy) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(random_bytes::<SECRET_BYTES>(entropy).to_vec())
}

/// The secret as a person types it.
pub(crate) fn base32(secret: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(secret.len().div_ceil(5) * 8));
    let (mut bits, mut count) = (0_u32, 0);
    for byte in secret {
        bits = (bits << 8) | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(letter(bits >> count));
        }
    }
    if count > 0 {
        text.push(letter(bits << (5 - count)));
    }
    text
}

fn letter(bits: u32) -> char {
    char::from(BASE32[usize::try_from(bits & 31).expect("five bits")])
}

/// The address that an authenticator reads the secret from, as a QR code or by a tap.
pub(crate) fn otpauth(secret: &[u8], issuer: &str, account: &str) -> Zeroizing<String> {
    let (issuer, account) = (escape(issuer), escape(account));
    Zeroizing::new(format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}",
        &*base32(secret)
    ))
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes everything");
        }
    }
    escaped
}

/// The time step of a moment.
pub(crate) fn step_of(now: Timestamp) -> u64 {
    u64::try_from(now.unix_ms()).unwrap_or(0) / 1_000 / STEP_SECONDS
}

/// The code of a time step, with so many digits.
fn code(secret: &[u8], step: u64, digits: usize) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let hash = hmac::sign(&key, &step.to_be_bytes());
    let hash = hash.as_ref();
    let offset = usize::from(hash[hash.len() - 1] & 15);
    let bytes: [u8; 4] = hash[offset..offset + 4].try_into().expect("four bytes");
    let number = u32::from_be_bytes(bytes) & 0x7fff_ffff;
    let modulus = 10_u32.pow(u32::try_from(digits).expect("a few digits"));
    format!("{:0digits$}", number % modulus)
}

/// The step whose code `typed` is: the present one, or one beside it, for clocks that differ.
pub(crate) fn matching_step(secret: &[u8], typed: &str, now: Timestamp) -> Option<u64> {
    let present = step_of(now);
    let steps = present.saturating_sub(TOTP_DRIFT_STEPS)..=present.saturating_add(TOTP_DRIFT_STEPS);
    // All are looked at, whichever matches.
    steps.fold(None, |found, step| {
        let is_it: bool = code(secret, step, DIGITS).as_bytes().ct_eq(typed.as_bytes()).into();
        if is_it { Some(step) } else { found }
    })
}

/// What somebody typed as a second factor: a code of the authenticator, or a recovery code.
///
/// `None`: it is neither.
pub(crate) fn recognise(secret: &[u8], typed: &str, now: Timestamp) -> Option<FactorUse> {
    let plain: Zeroizing<String> =
        Zeroizing::new(typed.chars().filter(|letter| !letter.is_whitespace() && *letter != '-').collect());
    if plain.len() == DIGITS {
        return matching_step(secret, &plain, now).map(FactorUse::Step);
    }
    let folded = Zeroizing::new(plain.to_ascii_uppercase());
    let is_one = folded.len() == RECOVERY_LETTERS && folded.bytes().all(|byte| BASE32.contains(&byte));
    is_one.then(|| FactorUse::RecoveryCode(digest(&folded)))
}

/// New recovery codes, as they are shown once, and what is kept of them.
pub(crate) fn new_codes(entropy: &dyn Entropy) -> (Vec<Zeroizing<String>>, Vec<TokenDigest>) {
    (0..RECOVERY_CODES).map(|_| new_code(entropy)).unzip()
}

fn new_code(entropy: &dyn Entropy) -> (Zeroizing<String>, TokenDigest) {
    let plain = base32(&random_bytes::<10>(entropy));
    let mut shown = Zeroizing::new(String::with_capacity(RECOVERY_LETTERS + 3));
    for (position, letter) in plain.chars().enumerate() {
        if position > 0 && position % RECOVERY_GROUP == 0 {
            shown.push('-');
        }
        shown.push(letter);
    }
    (shown, digest(&plain))
}

fn digest(code: &str) -> TokenDigest {
    let hash = Sha256::new().chain_update(b"keywright recovery code v1\0").chain_update(code).finalize();
    TokenDigest(hash.into())
}

#[cfg(test)]
mod tests {
    use keywright_testkit::SeededEntropy;

    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1_000)
    }

    /// RFC 6238, appendix B: the vectors of SHA-1.
    #[test]
    fn the_vectors_of_rfc_6238() {
        for (seconds, expected) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(code(SECRET, step_of(at(seconds)), 8), expected, "{seconds}");
        }
    }

    /// RFC 4226, appendix D: the first ten values.
    #[test]
    fn the_vectors_of_rfc_4226() {
        let expected = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (step, expected) in (0..).zip(expected) {
            assert_eq!(code(SECRET, step, 6), expected, "{step}");
        }
    }

    /// RFC 4648, section 10.
    #[test]
    fn the_vectors_of_base_32() {
        for (plain, expected) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(*base32(plain.as_bytes()), expected);
        }
    }

    #[test]
    fn clocks_may_differ_by_one_step_and_no_more() {
        let now = at(1_234_567_890);
        let present = step_of(now);
        for (offset, is_good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let step = present.checked_add_signed(offset).unwrap();
            let found = matching_step(SECRET, &code(SECRET, step, DIGITS), now);
            assert_eq!(found, is_good.then_some(step), "{offset}");
        }
        assert_eq!(recognise(SECRET, "005924", now), Some(FactorUse::Step(present)));
        assert_eq!(recognise(SECRET, "005 924", now), Some(FactorUse::Step(present)), "as some show it");
        for bad in ["", "5924", "005925", "00592x", "0059240"] {
            assert_eq!(recognise(SECRET, bad, now), None, "{bad}");
        }
    }

    #[test]
    fn recovery_codes_are_read_as_people_type_them() {
        let (shown, kept) = new_codes(&SeededEntropy::new(1));
        assert_eq!((shown.len(), kept.len()), (RECOVERY_CODES, RECOVERY_CODES));
        let plain = shown[3].replace('-', "").to_lowercase();
        for typed in [shown[3].as_str(), &plain, &format!(" {plain} ")] {
            assert_eq!(recognise(SECRET, typed, at(0)), Some(FactorUse::RecoveryCode(kept[3])));
        }
        assert_ne!(recognise(SECRET, &shown[3], at(0)), Some(FactorUse::RecoveryCode(kept[4])));
        assert_eq!(recognise(SECRET, &plain[1..], at(0)), None);
        assert_eq!(recognise(SECRET, &plain.replace(&plain[..1], "1"), at(0)), None, "no letter of base 32");
    }

    #[test]
    fn an_authenticator_reads_the_address() {
        assert_eq!(
            *otpauth(b"foobar", "Keywright", "ada@example.com"),
            "otpauth://totp/Keywright:ada%40example.com?secret=MZXW6YTBOI&issuer=Keywright&algorithm=SHA1&digits=6&period=30"
        );
    }
}
