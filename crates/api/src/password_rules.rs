//! Which passwords are accepted: long enough, not one that everybody tries first, and in no list of breached ones.
//!
//! As NIST SP 800-63B advises: length and lists, no rules about letters and digits, no end by the calendar.

use std::fmt::{self, Write as _};

use async_trait::async_trait;
use ring::digest;

use crate::{
    caps::{PASSWORD_MAX_BYTES, PASSWORD_MIN_CHARS},
    error::{ApiError, ErrorCode},
    password::Password,
};

/// Passwords that are tried first, in lower case. Shorter ones are too short anyway.
const COMMON: &str = include_str!("password_rules/common.txt");

/// A list of breached passwords that an installation brings.
#[async_trait]
pub trait BreachList: Send + Sync {
    /// Whether a password is in it.
    ///
    /// # Errors
    /// [`BreachListUnavailable`] when the list cannot be asked; no password is set then.
    async fn contains(&self, password: &HashedPassword) -> Result<bool, BreachListUnavailable>;
}

/// The list of breached passwords cannot be asked. The text is for operators.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of breached passwords: {0}")]
pub struct BreachListUnavailable(pub String);

/// SHA-1 of a password, which is what lists of breached passwords hold. It opens nothing here.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword(String);

impl HashedPassword {
    /// Of this password.
    pub fn of(password: &str) -> Self {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        Self(hash.as_ref().iter().fold(String::with_capacity(40), |mut text, byte| {
            write!(text, "{byte:02X}").expect("a string takes everything");
            text
        }))
    }

    /// 40 hexadecimal digits in upper case.
    pub fn hex(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HashedPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HashedPassword(…)")
    }
}

/// Checks a password that somebody chooses. `email` is the address of the account, if it is known.
///
/// # Errors
/// `password_refused`, which says why; `unavailable` when the list of breached passwords cannot be asked.
pub async fn check(
    password: &Password,
    email: Option<&str>,
    list: Option<&dyn BreachList>,
) -> Result<(), ApiError> {
    check_text(password.expose(), email).map_err(refused)?;
    let Some(list) = list else { return Ok(()) };
    match list.contains(&HashedPassword::of(password.expose())).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(refused("it is in a list of passwords that were stolen somewhere")),
        Err(error) => {
            tracing::error!(%error, "a password could not be checked");
            Err(ApiError::new(ErrorCode::Unavailable).retry_after_seconds(5))
        }
    }
}

fn refused(why: &str) -> ApiError {
    ApiError::with_detail(ErrorCode::PasswordRefused, format!("This password is not accepted: {why}."))
}

fn check_text(password: &str, email: Option<&str>) -> Result<(), &'static str> {
    if password.chars().count() < PASSWORD_MIN_CHARS {
        return Err(
            "it has fewer than 12 characters; several words make a long one that is easy to remember",
        );
    }
    if password.len() > PASSWORD_MAX_BYTES {
        return Err("it has more than 1,024 bytes");
    }
    let folded = password.to_lowercase();
    if is_monotonous(&folded) {
        return Err("it repeats itself");
    }
    if COMMON.lines().any(|common| common == folded) {
        return Err("it is one of those that are tried first");
    }
    let local = email.and_then(|email| email.split_once('@')).map(|(local, _)| local.to_lowercase());
    let is_from_email = email.is_some_and(|email| email.to_lowercase() == folded)
        || local.is_some_and(|local| local.chars().count() >= 4 && is_mostly(&folded, &local));
    if is_from_email { Err("it is made of the e-mail address") } else { Ok(()) }
}

/// Whether at most two different characters, or a short piece over and over, make up the whole.
fn is_monotonous(text: &str) -> bool {
    let letters: Vec<char> = text.chars().collect();
    let mut different = letters.clone();
    different.sort_unstable();
    different.dedup();
    let repeats =
        |piece: usize| letters.iter().zip(letters.iter().skip(piece)).all(|(left, right)| left == right);
    different.len() <= 2 || (1..=4).any(repeats)
}

/// Whether nothing but a few characters is left when `part` is taken out.
fn is_mostly(text: &str, part: &str) -> bool {
    text.replace(part, "").chars().count() < 4
}

const _: () = assert!(PASSWORD_MIN_CHARS == 12 && PASSWORD_MAX_BYTES == 1_024, "the texts above name them");

#[cfg(test)]
mod tests {
    use super::*;

    fn why(password: &str) -> Option<&'static str> {
        check_text(password, Some("ada.lovelace@example.com")).err()
    }

    #[test]
    fn length_has_two_ends() {
        assert!(why("kestrelwing").is_some_and(|why| why.contains("fewer than 12")));
        assert_eq!(why("kestrelwings"), None);
        assert_eq!(why("æøåæøåøæåøåæ"), None, "characters are counted, not bytes");
        let longest = format!("{}x{}", "ab3".repeat(300), "c7d".repeat(41));
        assert_eq!((longest.len(), why(&longest)), (PASSWORD_MAX_BYTES, None));
        assert!(why(&format!("{longest}!")).is_some_and(|why| why.contains("1,024")));
    }

    #[test]
    fn what_is_tried_first_is_refused() {
        for bad in [
            "password1234",
            "PassWord1234",
            "qwertyuiop123",
            "123456789012",
            "aaaaaaaaaaaa",
            "abababababab",
            "abc1abc1abc1",
            "ada.lovelace",
            "Ada.Lovelace12",
            "ada.lovelace@example.com",
        ] {
            assert!(why(bad).is_some(), "{bad}");
        }
        for good in ["correct horse battery staple", "Ada.Lovelace wrote notes", "3f9a-77c1-b0e2"] {
            assert_eq!(why(good), None, "{good}");
        }
        assert!(
            COMMON
                .lines()
                .all(|line| line.chars().count() >= PASSWORD_MIN_CHARS && line == line.to_lowercase())
        );
        assert!(COMMON.lines().count() >= 100);
    }

    struct List(Result<bool, BreachListUnavailable>);

    #[async_trait]
    impl BreachList for List {
        async fn contains(&self, password: &HashedPassword) -> Result<bool, BreachListUnavailable> {
            assert_eq!(password.hex(), "ABF7AAD6438836DBE526AA231ABDE2D0EEF74D42", "SHA-1 of the password");
            self.0.clone()
        }
    }

    #[tokio::test]
    async fn a_list_of_breached_passwords_is_asked() {
        let password = Password::from("correct horse battery staple".to_owned());
        let outcome = async |answer| {
            let list = List(answer);
            check(&password, None, Some(&list)).await.map_err(|error| error.code())
        };
        assert_eq!(outcome(Ok(false)).await, Ok(()));
        assert_eq!(outcome(Ok(true)).await, Err(ErrorCode::PasswordRefused));
        let lost = Err(BreachListUnavailable("gone".to_owned()));
        assert_eq!(outcome(lost).await, Err(ErrorCode::Unavailable), "never set unchecked");
    }
}
