//! Operations: changes that some nodes may not go by yet. Nothing is kept about them; the id says what is waited for.

use keywright_domain::{ids::OperationId, lease::LeaseTerm};
use sha2::{Digest, Sha256};

use crate::cluster::Awaited;

const CHECK_BYTES: usize = 7;

/// The id of the operation that `change` is. Sortable by the order of the changes.
pub(crate) fn id_of(change: Awaited) -> OperationId {
    let mut bytes = [0; 16];
    let (head, check) = bytes.split_at_mut(16 - CHECK_BYTES);
    head[..8].copy_from_slice(&change.sequence.to_be_bytes());
    head[8] = change.term as u8;
    check.copy_from_slice(&check_of(head));
    OperationId::from_bytes(bytes)
}

/// The change that `id` names; `None` for an id that was never given out.
pub(crate) fn change_of(id: OperationId) -> Option<Awaited> {
    let bytes = id.to_bytes();
    let (head, check) = bytes.split_at(16 - CHECK_BYTES);
    let (sequence, term) = head.split_first_chunk::<8>()?;
    let term = LeaseTerm::ALL.into_iter().find(|known| *known as u8 == term[0])?;
    (check_of(head) == check).then_some(Awaited { sequence: u64::from_be_bytes(*sequence), term })
}

/// Not a secret: it tells typing errors and guesses from ids.
fn check_of(head: &[u8]) -> [u8; CHECK_BYTES] {
    let hash = Sha256::new().chain_update(b"keywright operation").chain_update(head).finalize();
    *hash.first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_change_and_nonsense_names_none() {
        for sequence in [0, 1, 300, u64::MAX] {
            for term in LeaseTerm::ALL {
                let change = Awaited { sequence, term };
                let id = id_of(change);
                assert_eq!(change_of(id), Some(change));
                for position in 0..16 {
                    let mut bytes = id.to_bytes();
                    bytes[position] ^= 1;
                    assert_eq!(change_of(OperationId::from_bytes(bytes)), None, "{position}");
                }
            }
        }
        assert_eq!(change_of(OperationId::from_bytes([0; 16])), None);
    }

    #[test]
    fn later_changes_have_later_ids() {
        let id = |sequence, term| id_of(Awaited { sequence, term }).to_string();
        assert!(id(255, LeaseTerm::Long) < id(256, LeaseTerm::ReadThrough));
    }
}
