//! Secrets that were presented and whose digest is under an older pepper: a new digest can be stored now.

use std::collections::HashMap;

use keywright_domain::{command::Redigest, ids::KeyId, key::SecretDigest};
use parking_lot::Mutex;

/// Most digests that wait to be stored. What does not fit comes again with the next use of its key.
pub(crate) const REDIGESTS_MAX: usize = 4_096;

/// The waiting digests.
#[derive(Default)]
pub(crate) struct Redigests {
    waiting: Mutex<HashMap<([u8; 16], u16), Redigest>>,
}

impl Redigests {
    /// Keeps a digest, unless there are too many or somebody else is at it: nobody waits for this.
    pub(crate) fn offer(&self, key: [u8; 16], ordinal: u16, old: SecretDigest, new: SecretDigest) {
        let Some(mut waiting) = self.waiting.try_lock() else { return };
        if waiting.len() < REDIGESTS_MAX {
            let redigest = Redigest { key: KeyId::from_bytes(key), ordinal, old, new };
            waiting.insert((key, ordinal), redigest);
        }
    }

    /// Takes all.
    pub(crate) fn take(&self) -> Vec<Redigest> {
        std::mem::take(&mut *self.waiting.lock()).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_without_duplicates() {
        let redigests = Redigests::default();
        let digest = |pepper| SecretDigest { pepper, bytes: [0; 32] };
        for number in 0..u16::MAX {
            redigests.offer([1; 16], number % 5_000, digest(1), digest(2));
        }
        assert_eq!(redigests.take().len(), REDIGESTS_MAX);
        assert!(redigests.take().is_empty());
    }
}
