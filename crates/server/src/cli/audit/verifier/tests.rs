use ed25519_dalek::{Signer as _, SigningKey};
use keywright_domain::{audit::entry_hash, time::Timestamp};

use super::*;

/// Entries that chain, with a body that can be read.
pub(crate) fn chain(count: u64) -> Vec<StoredEntry> {
    let mut hash = GENESIS;
    (1..=count)
        .map(|sequence| {
            let body = serde_json::json!({
                "id": format!("aud_{sequence:026}"), "at": 1_800_000_000_000_u64, "action": "key.created",
                "target": {"type": "key", "id": "key_1"}, "actor": {"type": "system"}, "personal": "",
            });
            let body = body.to_string().into_bytes();
            hash = entry_hash(&hash, sequence, &body);
            StoredEntry { sequence, body, hash, personal: None }
        })
        .collect()
}

pub(crate) fn sign(key: &SigningKey, sequence: u64, hash: [u8; 32]) -> Checkpoint {
    let at = Timestamp::from_unix_ms(1_800_000_000_000);
    Checkpoint {
        sequence,
        hash,
        at,
        public_key: key.verifying_key().to_bytes(),
        signature: key.sign(&Checkpoint::message(sequence, &hash, at)).to_bytes(),
    }
}

fn verify(entries: &[StoredEntry], checkpoints: &[Checkpoint], trusted: &[[u8; 32]]) -> Result<Whole, Break> {
    let mut verifier = Verifier::new(trusted.to_vec());
    for entry in entries {
        verifier.entry(entry)?;
    }
    for checkpoint in checkpoints {
        verifier.checkpoint(checkpoint.clone());
    }
    verifier.finish(None)
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

#[test]
fn a_whole_trail_holds() {
    let entries = chain(5);
    let checkpoints = [sign(&key(), 4, entries[3].hash), sign(&key(), 2, entries[1].hash)];
    let whole = verify(&entries, &checkpoints, &[key().verifying_key().to_bytes()]).unwrap();
    assert_eq!((whole.first, whole.last, whole.checkpoints, whole.signed), (1, 5, 2, Some(4)));
    assert_eq!(whole.hash, entries[4].hash);
    let empty = verify(&[], &[sign(&key(), 0, GENESIS)], &[]).unwrap();
    assert_eq!((empty.first, empty.last, empty.hash), (1, 0, GENESIS));
}

#[test]
fn every_alteration_is_named() {
    let entries = chain(5);
    let good = sign(&key(), 4, entries[3].hash);
    for position in 0..5 {
        let sequence = u64::try_from(position).unwrap() + 1;
        let mut altered = entries.clone();
        altered[position].body[30] ^= 1;
        assert_eq!(verify(&altered, &[], &[]), Err(Broken::Hash(sequence).into()));
    }
    assert_eq!(
        verify(&entries[..3], std::slice::from_ref(&good), &[]),
        Err(Broken::CutOff { last: 3, signed: 4 }.into())
    );
    let other = SigningKey::from_bytes(&[8; 32]).verifying_key().to_bytes();
    assert!(matches!(
        verify(&entries, std::slice::from_ref(&good), &[other]),
        Err(Break::Stranger { sequence: 4, .. })
    ));
    let forged = Checkpoint { signature: [0; 64], ..good.clone() };
    assert_eq!(verify(&entries, &[forged], &[]), Err(Broken::Signature(4).into()));
    let moved = Checkpoint { at: good.at.plus_ms(1), ..good };
    assert_eq!(verify(&entries, &[moved], &[]), Err(Broken::Signature(4).into()));
    let elsewhere = sign(&key(), 3, entries[3].hash);
    assert_eq!(verify(&entries, &[elsewhere], &[]), Err(Broken::Checkpoint(3).into()));
}

#[test]
fn a_trail_written_anew_is_found_by_a_checkpoint_or_a_known_hash() {
    let entries = chain(3);
    let mut verifier = Verifier::new(Vec::new());
    for entry in &entries {
        verifier.entry(entry).unwrap();
    }
    assert_eq!(verifier.finish(Some((2, [1; 32]))), Err(Break::Head(2)));
    let mut verifier = Verifier::new(Vec::new());
    for entry in &entries {
        verifier.entry(entry).unwrap();
    }
    assert!(verifier.finish(Some((2, entries[1].hash))).is_ok());
}

#[test]
fn a_part_begins_where_it_says() {
    let entries = chain(5);
    let mut verifier = Verifier::new(Vec::new());
    verifier.start(2, entries[1].hash).unwrap();
    for entry in &entries[2..] {
        verifier.entry(entry).unwrap();
    }
    verifier.checkpoint(sign(&key(), 1, [0; 32]));
    verifier.checkpoint(sign(&key(), 5, entries[4].hash));
    assert!(verifier.start(5, [0; 32]).is_err());
    let whole = verifier.finish(None).unwrap();
    assert_eq!((whole.first, whole.last, whole.checkpoints), (3, 5, 1));
}
