//! Whether a trail is whole: the chain of its entries, and the signed checkpoints.

use ed25519_dalek::{Signature, VerifyingKey};
use keywright_domain::audit::{AuditBody, Broken, ChainVerifier, Checkpoint, GENESIS, StoredEntry};
use serde::Deserialize;

/// A break, or something that keeps the trail from being held against what signed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Break {
    /// The chain or a checkpoint is broken.
    #[error(transparent)]
    Chain(#[from] Broken),
    /// A checkpoint was signed by a key that is not trusted.
    #[error("the checkpoint at entry {sequence} was signed by another key: {public_key}")]
    Stranger {
        /// The checkpoint's entry.
        sequence: u64,
        /// Who signed.
        public_key: String,
    },
    /// A hash that was known from before is not there.
    #[error("entry {0} is not the one that was known: the trail was written anew since then")]
    Head(u64),
    /// The export has no end, or another number of entries.
    #[error("the export is cut off: it has {found} entries and no matching end line")]
    NoEnd {
        /// Entries found.
        found: u64,
    },
    /// A start line in the middle.
    #[error("the export begins a second time behind entry {0}")]
    SecondStart(u64),
}

/// Walks a trail and stops at the first break.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    chain: ChainVerifier,
    first: u64,
    hashes: Vec<[u8; 32]>,
    trusted: Vec<[u8; 32]>,
    signers: Vec<[u8; 32]>,
    checkpoints: Vec<Checkpoint>,
}

/// What a whole trail has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// Its first entry; 1 unless it is a part.
    pub(super) first: u64,
    /// Its last entry; `first - 1` when it is empty.
    pub(super) last: u64,
    /// The chain's hash there.
    pub(super) hash: [u8; 32],
    /// Checkpoints that hold.
    pub(super) checkpoints: usize,
    /// The last entry that a checkpoint covers.
    pub(super) signed: Option<u64>,
    /// Who signed them.
    pub(super) signers: Vec<[u8; 32]>,
}

#[derive(Deserialize)]
struct Commitment {
    personal: String,
}

impl Verifier {
    /// Accepts checkpoints of these keys only; of any if there are none.
    pub(super) fn new(trusted: Vec<[u8; 32]>) -> Self {
        Self { trusted, first: 1, ..Self::default() }
    }

    /// The trail begins behind entry `after`.
    ///
    /// # Errors
    /// When it has begun already.
    pub(super) fn start(&mut self, after: u64, hash: [u8; 32]) -> Result<(), Break> {
        if !self.hashes.is_empty() || self.first != 1 || after == u64::MAX {
            return Err(Break::SecondStart(after));
        }
        self.first = after + 1;
        self.chain = ChainVerifier::after(after, hash);
        Ok(())
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// [`Break::Chain`].
    pub(super) fn entry(&mut self, entry: &StoredEntry) -> Result<(), Break> {
        // Order and hash come before the form: an altered body may well be unreadable, and altered is what it is.
        let readable = serde_json::from_slice::<AuditBody>(&entry.body).is_ok();
        let commitment = serde_json::from_slice::<Commitment>(&entry.body).map(|body| body.personal);
        self.chain.push(entry, &commitment.unwrap_or_default())?;
        if !readable {
            return Err(Broken::Body(entry.sequence).into());
        }
        self.hashes.push(entry.hash);
        Ok(())
    }

    /// Takes a checkpoint; it is judged at the end, when all entries are known.
    pub(super) fn checkpoint(&mut self, checkpoint: Checkpoint) {
        self.checkpoints.push(checkpoint);
    }

    /// Entries so far.
    pub(super) fn entries(&self) -> u64 {
        u64::try_from(self.hashes.len()).expect("a length fits 64 bits")
    }

    /// Judges the checkpoints, and that entry `known.0`, if one is named, has the hash `known.1`.
    ///
    /// # Errors
    /// The break at the lowest entry.
    pub(super) fn finish(mut self, known: Option<(u64, [u8; 32])>) -> Result<Whole, Break> {
        self.checkpoints.sort_by_key(|checkpoint| checkpoint.sequence);
        let (mut held, mut signed) = (0, None);
        for checkpoint in std::mem::take(&mut self.checkpoints) {
            if self.judge(&checkpoint)? {
                held += 1;
                signed = Some(checkpoint.sequence);
            }
        }
        if let Some((sequence, hash)) = known
            && self.hash_at(sequence) != Some(hash)
        {
            return Err(Break::Head(sequence));
        }
        Ok(Whole {
            first: self.first,
            last: self.chain.last(),
            hash: self.chain.hash(),
            checkpoints: held,
            signed,
            signers: self.signers,
        })
    }

    /// Whether the checkpoint speaks of an entry of this part, and is right.
    fn judge(&mut self, checkpoint: &Checkpoint) -> Result<bool, Break> {
        let sequence = checkpoint.sequence;
        if sequence < self.first && self.first > 1 {
            return Ok(false);
        }
        let last = self.chain.last();
        let Some(hash) = self.hash_at(sequence) else {
            return Err(Broken::CutOff { last, signed: sequence }.into());
        };
        if hash != checkpoint.hash {
            return Err(Broken::Checkpoint(sequence).into());
        }
        if !self.trusted.is_empty() && !self.trusted.contains(&checkpoint.public_key) {
            return Err(Break::Stranger { sequence, public_key: hex::encode(checkpoint.public_key) });
        }
        let message = Checkpoint::message(sequence, &checkpoint.hash, checkpoint.at);
        let signature = Signature::from_bytes(&checkpoint.signature);
        let right = VerifyingKey::from_bytes(&checkpoint.public_key)
            .is_ok_and(|key| key.verify_strict(&message, &signature).is_ok());
        if !right {
            return Err(Broken::Signature(sequence).into());
        }
        if !self.signers.contains(&checkpoint.public_key) {
            self.signers.push(checkpoint.public_key);
        }
        Ok(true)
    }

    fn hash_at(&self, sequence: u64) -> Option<[u8; 32]> {
        if sequence == 0 && self.first == 1 {
            return Some(GENESIS);
        }
        let position = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.hashes.get(position).copied()
    }
}

#[cfg(test)]
pub(super) mod tests;
