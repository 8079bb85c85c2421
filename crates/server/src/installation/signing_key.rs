//! The key that signs checkpoints of the audit trail (Ed25519, RFC 8032).

use ed25519_dalek::{Signer as _, SigningKey};
use keywright_domain::{
    audit::Checkpoint,
    entropy::{Entropy, random_bytes},
    time::Timestamp,
};
use zeroize::Zeroizing;

use super::{DataDirectory, private_file};
use crate::failure::{Exit, Failure};

const WHAT: &str = "the audit signing key";

/// Signs statements about the audit trail.
pub(crate) struct CheckpointSigner(SigningKey);

impl CheckpointSigner {
    /// The data directory's key; generated if there is none.
    pub(crate) fn load_or_generate(
        directory: &DataDirectory,
        entropy: &dyn Entropy,
    ) -> Result<Self, Failure> {
        if let Some(signer) = Self::load(directory)? {
            return Ok(signer);
        }
        let path = directory.signing_key();
        let seed = Zeroizing::new(random_bytes::<32>(entropy));
        let text = Zeroizing::new(format!("{}\n", Zeroizing::new(hex::encode(*seed)).as_str()));
        private_file::write(&path, WHAT, &text)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The data directory's key, if there is one.
    pub(crate) fn load(directory: &DataDirectory) -> Result<Option<Self>, Failure> {
        let path = directory.signing_key();
        let Some(text) = private_file::read(&path, WHAT)? else { return Ok(None) };
        let mut seed = Zeroizing::new([0; 32]);
        hex::decode_to_slice(text.trim(), &mut *seed).map_err(|_| {
            Failure::new(Exit::Data, format!("{WHAT} in {} is not 64 hexadecimal digits", path.display()))
                .remedy("put your copy of it back; with a new one, older checkpoints still verify under their own key")
        })?;
        Ok(Some(Self(SigningKey::from_bytes(&seed))))
    }

    /// The key by which the signatures are checked, in hexadecimal.
    pub(crate) fn public_key_hex(&self) -> String {
        hex::encode(self.0.verifying_key().to_bytes())
    }

    /// A signed statement that the chain's hash after entry `sequence` is `hash`.
    pub(crate) fn sign(&self, sequence: u64, hash: [u8; 32], at: Timestamp) -> Checkpoint {
        let signature = self.0.sign(&Checkpoint::message(sequence, &hash, at));
        Checkpoint {
            sequence,
            hash,
            at,
            public_key: self.0.verifying_key().to_bytes(),
            signature: signature.to_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::VerifyingKey;

    use super::*;
    use crate::system::SystemEntropy;

    #[test]
    fn kept_and_its_signatures_verify() {
        let parent = tempfile::tempdir().unwrap();
        let directory = DataDirectory::create(&parent.path().join("data")).unwrap();
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let sign =
            || CheckpointSigner::load_or_generate(&directory, &SystemEntropy).unwrap().sign(7, [3; 32], now);
        let checkpoint = sign();
        assert_eq!(sign(), checkpoint, "Ed25519 is deterministic, so the key was kept");
        let key = VerifyingKey::from_bytes(&checkpoint.public_key).unwrap();
        let verify = |sequence| {
            let message = Checkpoint::message(sequence, &checkpoint.hash, checkpoint.at);
            key.verify_strict(&message, &checkpoint.signature.into()).is_ok()
        };
        assert!(verify(7) && !verify(8));
        std::fs::write(directory.signing_key(), "short").unwrap();
        assert_eq!(
            CheckpointSigner::load_or_generate(&directory, &SystemEntropy).err().unwrap().exit(),
            Exit::Data
        );
    }
}
