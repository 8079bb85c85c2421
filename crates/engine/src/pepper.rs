//! Peppers: the installation's secrets under which digests are made, in versions.

use core::fmt;

use keywright_domain::key::SecretDigest;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::hmac::{HmacKey, Inner};

/// One pepper: 32 random bytes. Wiped on drop, shown nowhere.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Pepper([u8; 32]);

impl Pepper {
    /// The pepper with these bytes, which must come from a CSPRNG.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for whoever stores the pepper.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pepper(..)")
    }
}

/// Why a set of peppers cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PepperError {
    /// The version that new digests use is not in the set.
    #[error("there is no pepper of the current version {0}")]
    CurrentMissing(u16),
    /// Two peppers have the same version.
    #[error("two peppers have the version {0}")]
    Duplicate(u16),
}

/// The peppers of an installation: digests are made under the current one, and checked under the one they name.
#[derive(Clone)]
pub struct PepperSet {
    current_version: u16,
    current: HmacKey,
    others: Vec<(u16, HmacKey)>,
}

impl PepperSet {
    /// The set of these peppers by version.
    ///
    /// # Errors
    /// [`PepperError::CurrentMissing`] and [`PepperError::Duplicate`].
    pub fn new(
        current_version: u16,
        peppers: impl IntoIterator<Item = (u16, Pepper)>,
    ) -> Result<Self, PepperError> {
        let (mut current, mut others) = (None, Vec::<(u16, HmacKey)>::new());
        for (version, pepper) in peppers {
            let is_known = if version == current_version {
                current.replace(HmacKey::new(pepper.expose())).is_some()
            } else {
                let known = others.iter().any(|(other, _)| *other == version);
                others.push((version, HmacKey::new(pepper.expose())));
                known
            };
            if is_known {
                return Err(PepperError::Duplicate(version));
            }
        }
        let current = current.ok_or(PepperError::CurrentMissing(current_version))?;
        Ok(Self { current_version, current, others })
    }

    /// The version that new digests use.
    pub const fn current_version(&self) -> u16 {
        self.current_version
    }

    /// Whether digests under this version can be checked.
    pub fn has_version(&self, version: u16) -> bool {
        self.key(version).is_some()
    }

    /// The digest of a key's whole text under the current pepper.
    pub fn digest(&self, text: &[u8]) -> SecretDigest {
        SecretDigest { pepper: self.current_version, bytes: self.current.digest(text) }
    }

    /// First step of [`Self::digest`].
    #[inline]
    pub(crate) fn inner(&self, text: &[u8]) -> Inner {
        self.current.inner(text)
    }

    /// Second step of [`Self::digest`].
    #[inline]
    pub(crate) fn outer(&self, inner: &Inner) -> [u8; 32] {
        self.current.outer(inner)
    }

    /// The digest under another version, if the set has it.
    pub(crate) fn digest_under(&self, version: u16, text: &[u8]) -> Option<[u8; 32]> {
        self.key(version).map(|key| key.digest(text))
    }

    fn key(&self, version: u16) -> Option<&HmacKey> {
        if version == self.current_version {
            return Some(&self.current);
        }
        self.others.iter().find(|(known, _)| *known == version).map(|(_, key)| key)
    }
}

impl fmt::Debug for PepperSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PepperSet")
            .field("current_version", &self.current_version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pepper(fill: u8) -> Pepper {
        Pepper::from_bytes([fill; 32])
    }

    #[test]
    fn digests_name_the_current_version_and_old_ones_can_be_checked() {
        let old = PepperSet::new(1, [(1, pepper(1))]).unwrap().digest(b"text");
        let set = PepperSet::new(2, [(1, pepper(1)), (2, pepper(2))]).unwrap();
        assert_eq!(set.digest(b"text").pepper, 2);
        assert_ne!(set.digest(b"text").bytes, old.bytes);
        assert_eq!(set.digest_under(1, b"text"), Some(old.bytes));
        assert_eq!(set.digest_under(3, b"text"), None);
        assert_eq!(set.outer(&set.inner(b"text")), set.digest(b"text").bytes);
    }

    #[test]
    fn refuses_sets_that_cannot_work() {
        assert_eq!(PepperSet::new(2, [(1, pepper(1))]).unwrap_err(), PepperError::CurrentMissing(2));
        for version in [1, 2] {
            let twice = [(1, pepper(1)), (2, pepper(2)), (version, pepper(3))];
            assert_eq!(PepperSet::new(2, twice).unwrap_err(), PepperError::Duplicate(version));
        }
    }

    #[test]
    fn shows_nothing_of_the_secret() {
        let set = PepperSet::new(1, [(1, pepper(0xab))]).unwrap();
        assert_eq!(format!("{:?} {set:?}", pepper(0xab)), "Pepper(..) PepperSet { current_version: 1, .. }");
    }
}
