//! The one-time set-up token: whoever holds it may create the first operator credential.

use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Closed, or open for the one token whose digest it holds. The token itself is not kept.
#[derive(Default)]
pub struct SetupGate {
    digest: Mutex<Option<[u8; 32]>>,
}

impl SetupGate {
    /// From now on, `token` opens the set-up. A token given before is forgotten.
    pub fn open(&self, token: &str) {
        *self.digest.lock() = Some(Sha256::digest(token).into());
    }

    /// No token opens the set-up any more.
    pub fn close(&self) {
        *self.digest.lock() = None;
    }

    /// Whether a token is waited for.
    pub fn is_open(&self) -> bool {
        self.digest.lock().is_some()
    }

    /// Whether `token` opens the set-up. Compares in constant time.
    pub fn admits(&self, token: &str) -> bool {
        let presented: [u8; 32] = Sha256::digest(token).into();
        self.digest.lock().is_some_and(|expected| bool::from(expected.ct_eq(&presented)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_opens_and_only_while_open() {
        let gate = SetupGate::default();
        assert!(!gate.is_open() && !gate.admits("") && !gate.admits("token"));
        gate.open("token");
        assert!(gate.is_open() && gate.admits("token") && !gate.admits("Token") && !gate.admits(""));
        gate.open("other");
        assert!(gate.admits("other") && !gate.admits("token"));
        gate.close();
        assert!(!gate.is_open() && !gate.admits("other"));
    }
}
