//! Passwords: hashing them with Argon2id, off the workers, a few at a time.

use std::sync::{Arc, LazyLock};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::phc::PasswordHash,
};
use keywright_domain::entropy::{Entropy, random_bytes};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::{
    caps::{ARGON2_MEMORY_KIB, ARGON2_PASSES, PASSWORD_HASHES_AT_ONCE, PASSWORD_HASHES_WAITING},
    error::{ApiError, ErrorCode},
};

/// A password as it was typed: never shown, wiped when it is not needed any more.
#[derive(Clone)]
pub struct Password(Arc<Zeroizing<String>>);

impl Password {
    /// The text, for those who judge it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Password(…)")
    }
}

impl<'de> serde::Deserialize<'de> for Password {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// Whether a password is the one of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordCheck {
    /// It is.
    Right,
    /// It is not, or the account has none.
    Wrong,
}

/// Hashes passwords, a few at a time.
#[derive(Debug)]
pub struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            running: Arc::new(Semaphore::new(PASSWORD_HASHES_AT_ONCE)),
            waiting: Arc::new(Semaphore::new(PASSWORD_HASHES_WAITING)),
        }
    }
}

impl Passwords {
    /// The hash under which a password is stored, in PHC string format.
    ///
    /// # Errors
    /// `unavailable` when too many wait already.
    pub async fn hash(&self, password: &Password, entropy: &dyn Entropy) -> Result<String, ApiError> {
        let (password, salt) = (password.clone(), random_bytes::<16>(entropy));
        self.run(move || hash_now(password.expose(), &salt)).await?
    }

    /// Whether `password` has this hash. Takes as long without a hash as with one, so that nobody learns from the time
    /// whether there is such an account.
    ///
    /// # Errors
    /// `unavailable` when too many wait already.
    pub async fn check(&self, password: &Password, hash: Option<String>) -> Result<PasswordCheck, ApiError> {
        let password = password.clone();
        self.run(move || {
            let known = hash.as_deref().unwrap_or(&DUMMY);
            let parsed = PasswordHash::new(known);
            let is_right = parsed
                .is_ok_and(|parsed| argon2().verify_password(password.expose().as_bytes(), &parsed).is_ok());
            if is_right && hash.is_some() { PasswordCheck::Right } else { PasswordCheck::Wrong }
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let too_many = || ApiError::new(ErrorCode::Unavailable).retry_after_seconds(1);
        let _place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| too_many())?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| too_many())?;
        let task = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        task.await.map_err(|error| ApiError::internal(format!("a password's task: {error}")))
    }
}

/// The hash of no password that anybody has.
static DUMMY: LazyLock<String> = LazyLock::new(|| hash_now("", &[0; 16]).unwrap_or_default());

fn argon2() -> Argon2<'static> {
    let params =
        Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, None).expect("parameters within Argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_now(password: &str, salt: &[u8; 16]) -> Result<String, ApiError> {
    let hash: argon2::password_hash::Result<PasswordHash> =
        argon2().hash_password_with_salt(password.as_bytes(), salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| ApiError::internal(format!("a password cannot be hashed: {error}")))
}

#[cfg(test)]
mod tests {
    use keywright_testkit::SeededEntropy;

    use super::*;

    #[tokio::test]
    async fn a_password_has_its_hash_and_no_other() {
        let passwords = Passwords::default();
        let password = Password::from("correct horse battery".to_owned());
        let hash = passwords.hash(&password, &SeededEntropy::new(1)).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "the parameters of the caps");
        let check =
            async |text: &str, hash| passwords.check(&Password::from(text.to_owned()), hash).await.unwrap();
        assert_eq!(check("correct horse battery", Some(hash.clone())).await, PasswordCheck::Right);
        assert_eq!(check("correct horse batterz", Some(hash)).await, PasswordCheck::Wrong);
        assert_eq!(check("", None).await, PasswordCheck::Wrong, "the dummy's own password opens nothing");
        assert_eq!(check("x", Some("no hash".to_owned())).await, PasswordCheck::Wrong);
        assert_eq!(format!("{password:?}"), "Password(…)");
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let passwords = Passwords::default();
        let all = Arc::clone(&passwords.waiting)
            .acquire_many_owned(u32::try_from(PASSWORD_HASHES_WAITING).unwrap());
        let places = all.await.unwrap();
        let password = Password::from("x".to_owned());
        assert_eq!(passwords.check(&password, None).await.unwrap_err().code(), ErrorCode::Unavailable);
        drop(places);
        assert_eq!(passwords.check(&password, None).await.unwrap(), PasswordCheck::Wrong);
    }
}
