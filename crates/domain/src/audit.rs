//! The audit trail: what is recorded of each change, and the hash chain that shows tampering.
//!
//! Entry `n` is bound to all before it: `hash(n) = SHA-256(domain ‖ hash(n−1) ‖ n ‖ body)`. Personal data (address, user
//! agent) is not in the body; the body holds a salted commitment to it, so that it can be erased later and the
//! chain still verifies.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    ids::{AuditId, RequestId, WorkspaceId},
    permit::AuditActor,
    time::Timestamp,
};

/// The hash before the first entry.
pub const GENESIS: [u8; 32] = [0; 32];

const ENTRY_DOMAIN: &[u8] = b"keywright audit entry v1\0";
const PERSONAL_DOMAIN: &[u8] = b"keywright audit personal v1\0";
const CHECKPOINT_DOMAIN: &[u8] = b"keywright audit checkpoint v1\0";

/// One field of the changed thing, before and after. Never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The field's name on the wire.
    pub field: String,
    /// Its value before, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its value after, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditTarget {
    /// `key`, `workspace`, `plan`, `permission`, `operator`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id or name.
    pub id: String,
}

/// The part of an entry that the chain covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditBody {
    /// The id.
    pub id: AuditId,
    /// When, in Unix milliseconds.
    pub at: Timestamp,
    /// What happened, such as `key.revoked`.
    pub action: String,
    /// To what.
    pub target: AuditTarget,
    /// In which workspace; none for the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceId>,
    /// By whom.
    pub actor: AuditActor,
    /// In which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The reason given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// Commitment to the personal data, hexadecimal SHA-256.
    pub personal: String,
}

/// Personal data of an entry, kept apart from the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalData {
    /// Random, so that the commitment does not tell the data.
    pub salt: [u8; 16],
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The client's user agent, cut to [`crate::caps::USER_AGENT_MAX_BYTES`].
    pub user_agent: Option<String>,
}

impl PersonalData {
    /// What is kept of it when the person opted out of collection: nothing but the salt.
    #[must_use]
    pub const fn without_origin(&self) -> Self {
        Self { salt: self.salt, address: None, user_agent: None }
    }

    /// The commitment that the body holds.
    pub fn commitment(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(PERSONAL_DOMAIN);
        hasher.update(self.salt);
        for part in [self.address.map(|address| address.to_string()), self.user_agent.clone()] {
            let part = part.unwrap_or_default();
            hasher.update(u64::try_from(part.len()).expect("a length").to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().into()
    }

    /// The commitment in hexadecimal.
    pub fn commitment_hex(&self) -> String {
        self.commitment().iter().fold(String::with_capacity(64), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble"));
            }
            text
        })
    }
}

/// The hash of entry `sequence` with this body, after `previous`.
pub fn entry_hash(previous: &[u8; 32], sequence: u64, body: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(ENTRY_DOMAIN);
    hasher.update(previous);
    hasher.update(sequence.to_be_bytes());
    hasher.update(body);
    hasher.finalize().into()
}

/// An entry as it is stored and exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Position in the chain, from 1, without gaps.
    pub sequence: u64,
    /// The serialized [`AuditBody`], byte for byte as it was hashed.
    pub body: Vec<u8>,
    /// The chain's hash after this entry.
    pub hash: [u8; 32],
    /// Personal data, unless it was erased.
    pub personal: Option<PersonalData>,
}

/// A statement of the installation: up to here, the chain's hash is this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The entry it speaks of.
    pub sequence: u64,
    /// The chain's hash after that entry.
    pub hash: [u8; 32],
    /// When it was signed.
    pub at: Timestamp,
    /// The Ed25519 key that signed (RFC 8032).
    pub public_key: [u8; 32],
    /// The signature over [`Checkpoint::message`].
    pub signature: [u8; 64],
}

impl Checkpoint {
    /// The bytes that are signed.
    pub fn message(sequence: u64, hash: &[u8; 32], at: Timestamp) -> Vec<u8> {
        [CHECKPOINT_DOMAIN, &sequence.to_be_bytes(), hash, &at.unix_ms().to_be_bytes()].concat()
    }
}

/// How a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// An entry is missing, or stands where another should.
    #[error("entry {expected} is missing: the next one present is {found}")]
    Missing {
        /// The sequence number expected.
        expected: u64,
        /// The one found.
        found: u64,
    },
    /// The body or an earlier entry was altered.
    #[error("entry {0} does not follow from the entries before it: it, or its stored hash, was altered")]
    Hash(u64),
    /// The body cannot be read.
    #[error("entry {0} cannot be read")]
    Body(u64),
    /// The personal data is not the one committed to.
    #[error("the personal data of entry {0} was altered")]
    Personal(u64),
    /// A checkpoint's hash is not the chain's.
    #[error("the chain at entry {0} is not the one that was signed")]
    Checkpoint(u64),
    /// A checkpoint's signature is wrong.
    #[error("the signature of the checkpoint at entry {0} is wrong")]
    Signature(u64),
    /// Entries that a checkpoint covers are gone.
    #[error("the trail ends at entry {last}, but a checkpoint was signed at {signed}: entries were cut off")]
    CutOff {
        /// The last entry present.
        last: u64,
        /// The entry of the checkpoint.
        signed: u64,
    },
}

/// Walks a chain entry by entry and stops at the first that does not fit.
#[derive(Clone, Debug)]
pub struct ChainVerifier {
    next: u64,
    hash: [u8; 32],
}

impl Default for ChainVerifier {
    fn default() -> Self {
        Self { next: 1, hash: GENESIS }
    }
}

impl ChainVerifier {
    /// Goes on behind entry `sequence`, where the chain's hash was `hash`: for a part of a trail.
    pub const fn after(sequence: u64, hash: [u8; 32]) -> Self {
        Self { next: sequence + 1, hash }
    }

    /// Takes the next entry; `body_personal` is the commitment that its body states.
    ///
    /// # Errors
    /// [`Broken::Missing`], [`Broken::Hash`], [`Broken::Personal`].
    pub fn push(&mut self, entry: &StoredEntry, body_personal: &str) -> Result<(), Broken> {
        if entry.sequence != self.next {
            return Err(Broken::Missing { expected: self.next, found: entry.sequence });
        }
        let hash = entry_hash(&self.hash, entry.sequence, &entry.body);
        if hash != entry.hash {
            return Err(Broken::Hash(entry.sequence));
        }
        if entry.personal.as_ref().is_some_and(|personal| personal.commitment_hex() != body_personal) {
            return Err(Broken::Personal(entry.sequence));
        }
        self.hash = hash;
        self.next += 1;
        Ok(())
    }

    /// The last entry taken; 0 before the first.
    pub const fn last(&self) -> u64 {
        self.next - 1
    }

    /// The chain's hash so far.
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(bodies: &[&str]) -> Vec<StoredEntry> {
        let mut hash = GENESIS;
        (1..)
            .zip(bodies)
            .map(|(sequence, body)| {
                hash = entry_hash(&hash, sequence, body.as_bytes());
                StoredEntry { sequence, body: body.as_bytes().to_vec(), hash, personal: None }
            })
            .collect()
    }

    fn verify(entries: &[StoredEntry]) -> Result<u64, Broken> {
        let mut verifier = ChainVerifier::default();
        entries.iter().try_for_each(|entry| verifier.push(entry, ""))?;
        Ok(verifier.last())
    }

    #[test]
    fn every_alteration_is_found_where_it_is() {
        let good = chain(&["a", "b", "c", "d"]);
        assert_eq!(verify(&good), Ok(4));
        for position in 0..4 {
            let sequence = u64::try_from(position).unwrap() + 1;
            let mut altered = good.clone();
            altered[position].body = b"x".to_vec();
            assert_eq!(verify(&altered), Err(Broken::Hash(sequence)));
            let mut altered = good.clone();
            altered[position].hash[7] ^= 1;
            assert_eq!(verify(&altered), Err(Broken::Hash(sequence)));
            let mut cut = good.clone();
            cut.remove(position);
            let found = sequence + 1;
            let expected =
                if position == 3 { Ok(3) } else { Err(Broken::Missing { expected: sequence, found }) };
            assert_eq!(verify(&cut), expected);
        }
    }

    #[test]
    fn a_part_is_verified_from_where_it_begins() {
        let good = chain(&["a", "b", "c"]);
        let verify = |from: &StoredEntry, rest: &[StoredEntry]| {
            let mut verifier = ChainVerifier::after(from.sequence, from.hash);
            rest.iter().try_for_each(|entry| verifier.push(entry, ""))
        };
        assert_eq!(verify(&good[0], &good[1..]), Ok(()));
        assert_eq!(verify(&good[1], &good[2..]), Ok(()));
        assert_eq!(verify(&good[0], &good[2..]), Err(Broken::Missing { expected: 2, found: 3 }));
    }

    #[test]
    fn personal_data_can_be_erased_but_not_altered() {
        let personal = PersonalData { salt: [7; 16], address: Some([127, 0, 0, 1].into()), user_agent: None };
        let commitment = personal.commitment_hex();
        let mut entries = chain(&["a"]);
        assert_eq!(ChainVerifier::default().push(&entries[0], &commitment), Ok(()));
        entries[0].personal = Some(personal.clone());
        assert_eq!(ChainVerifier::default().push(&entries[0], &commitment), Ok(()));
        entries[0].personal = Some(PersonalData { address: Some([127, 0, 0, 2].into()), ..personal });
        assert_eq!(ChainVerifier::default().push(&entries[0], &commitment), Err(Broken::Personal(1)));
    }
}
