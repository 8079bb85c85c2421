//! Keywright's vault: AES-256-GCM (NIST SP 800-38D) under data keys that key-encryption keys wrap, and HMAC-SHA-256 for
//! look-ups. All of it is ring's.
//!
//! What is sealed is `nonce ‖ ciphertext ‖ tag`, with a random nonce of 96 bits: a data key seals a person's rows, or the
//! installation's of one day, which is far below the 2³² messages that random nonces allow. What it belongs to is
//! authenticated along with it.

use std::{collections::BTreeMap, sync::Arc};

use keywright_domain::{
    entropy::{Entropy, random_bytes},
    vault::{DataKey, KeyOwner, Subject, Vault, VaultError, WrappedKey},
};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hmac,
};
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

const WRAP_DOMAIN: &[u8] = b"keywright data key v1\0";
const SEAL_DOMAIN: &[u8] = b"keywright personal data v1\0";
const DERIVE_DOMAIN: &[u8] = b"keywright derived key v1\0";

/// A key that wraps data keys. It cannot be shown, and is wiped when it is dropped.
#[derive(Clone, zeroize::Zeroize, ZeroizeOnDrop)]
pub struct KeyEncryptionKey([u8; 32]);

impl KeyEncryptionKey {
    /// A key of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// No key-encryption key was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a vault needs at least one key-encryption key")]
pub struct NoKeys;

/// A vault with its key-encryption keys.
pub struct KeyVault {
    keks: BTreeMap<u16, LessSafeKey>,
    current: u16,
    /// The current key-encryption key, for other keys to be derived from it.
    root: hmac::Key,
    entropy: Arc<dyn Entropy>,
}

impl KeyVault {
    /// A vault that wraps new data keys under the highest version.
    ///
    /// # Errors
    /// [`NoKeys`].
    pub fn new(
        keks: impl IntoIterator<Item = (u16, KeyEncryptionKey)>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, NoKeys> {
        let keks: BTreeMap<_, _> = keks.into_iter().collect();
        let (&current, newest) = keks.last_key_value().ok_or(NoKeys)?;
        let root = hmac::Key::new(hmac::HMAC_SHA256, &newest.0);
        let keks = keks.iter().map(|(version, kek)| (*version, aead(&kek.0))).collect();
        Ok(Self { keks, current, root, entropy })
    }

    fn encrypt(&self, key: &LessSafeKey, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce = random_bytes::<NONCE_LEN>(&*self.entropy);
        let mut sealed = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.extend(nonce);
        let mut body = plain.to_vec();
        body.reserve_exact(AES_256_GCM.tag_len());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body)
            .expect("personal data is far below the 64 GiB that one message may have");
        sealed.append(&mut body);
        sealed
    }
}

impl Vault for KeyVault {
    fn current_kek(&self) -> u16 {
        self.current
    }

    fn has_kek(&self, version: u16) -> bool {
        self.keks.contains_key(&version)
    }

    fn generate(&self, owner: KeyOwner) -> (DataKey, WrappedKey) {
        let key = DataKey::from_bytes(random_bytes(&*self.entropy));
        let wrapped = self.wrap(owner, &key);
        (key, wrapped)
    }

    fn unwrap(&self, owner: KeyOwner, wrapped: &WrappedKey) -> Result<DataKey, VaultError> {
        let kek = self.keks.get(&wrapped.kek).ok_or(VaultError::MissingKek(wrapped.kek))?;
        let wrong = VaultError::WrongKek(wrapped.kek);
        let plain = decrypt(kek, &wrap_aad(owner, wrapped.kek), &wrapped.bytes).ok_or(wrong)?;
        let mut bytes: [u8; 32] = plain.as_slice().try_into().map_err(|_| wrong)?;
        let key = DataKey::from_bytes(bytes);
        bytes.zeroize();
        Ok(key)
    }

    fn wrap(&self, owner: KeyOwner, key: &DataKey) -> WrappedKey {
        let aad = wrap_aad(owner, self.current);
        WrappedKey { kek: self.current, bytes: self.encrypt(&self.keks[&self.current], &aad, key.expose()) }
    }

    fn seal(&self, key: &DataKey, subject: Subject, plain: &[u8]) -> Vec<u8> {
        self.encrypt(&aead(key.expose()), &seal_aad(subject), plain)
    }

    fn open(&self, key: &DataKey, subject: Subject, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        decrypt(&aead(key.expose()), &seal_aad(subject), sealed).ok_or(VaultError::Altered)
    }

    fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(hmac_sha256(&self.root, &[DERIVE_DOMAIN, purpose.as_bytes()].concat()))
    }

    fn digest(&self, key: &DataKey, text: &[u8]) -> [u8; 32] {
        hmac_sha256(&hmac::Key::new(hmac::HMAC_SHA256, key.expose()), text)
    }
}

fn hmac_sha256(key: &hmac::Key, text: &[u8]) -> [u8; 32] {
    hmac::sign(key, text).as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
}

fn aead(bytes: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("a key of AES-256 has 32 bytes"))
}

fn decrypt(key: &LessSafeKey, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, body) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut body = Zeroizing::new(body.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let length = key.open_in_place(nonce, Aad::from(aad), &mut body).ok()?.len();
    body.truncate(length);
    Some(body)
}

fn wrap_aad(owner: KeyOwner, version: u16) -> Vec<u8> {
    let (kind, owner) = owner.columns();
    [WRAP_DOMAIN, &version.to_be_bytes(), &[kind], &owner].concat()
}

fn seal_aad(subject: Subject) -> Vec<u8> {
    [SEAL_DOMAIN, &subject.to_bytes()].concat()
}

#[cfg(test)]
mod tests;
