//! A vault for tests.

use std::sync::Arc;

use keywright_domain::{entropy::random_bytes, vault::SharedVault};
use keywright_vault::{KeyEncryptionKey, KeyVault};

use crate::SeededEntropy;

/// A vault with one key-encryption key, the same in every test.
pub fn vault() -> SharedVault {
    vault_with(&[1])
}

/// A vault with this key-encryption key alone.
pub fn vault_of(version: u16, kek: [u8; 32]) -> SharedVault {
    let entropy = Arc::new(SeededEntropy::new(0x5ea1));
    Arc::new(KeyVault::new([(version, KeyEncryptionKey::from_bytes(kek))], entropy).unwrap())
}

/// A vault with key-encryption keys of these versions; each version has the same key in every test.
pub fn vault_with(versions: &[u16]) -> SharedVault {
    let kek = |version: &u16| {
        let bytes = random_bytes(&SeededEntropy::new(u64::from(*version)));
        (*version, KeyEncryptionKey::from_bytes(bytes))
    };
    let entropy = Arc::new(SeededEntropy::new(0x5ea1));
    Arc::new(KeyVault::new(versions.iter().map(kek), entropy).unwrap())
}
