//! Sealing of personal data: whose key seals what, and what a vault must be able to do.
//!
//! Everything that names a person at rest is sealed under a **data key**: the person's own, or one of the installation
//! that serves a single day. Data keys are stored wrapped by a key-encryption key, which is never in the database. So
//! destroying one row makes all that was sealed under it unreadable, in copies as soon as their wrapped key is of no use either
//! ([ADR 17](../../../docs/adr/0017-personal-data-is-sealed.md)).
//!
//! Here is no cryptography: a [`Vault`] has it.

use std::sync::Arc;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{
    audit::PersonalData,
    identity::ExternalIdentity,
    ids::UserId,
    permit::{Actor, AuditActor},
    principal::{Principal, User},
    time::Timestamp,
};

const DAY_MS: i64 = 86_400_000;

/// Whose a data key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    /// A person's: destroyed when they are erased.
    Person(UserId),
    /// The installation's on one day, counted from the Unix epoch: destroyed when retention has passed.
    Day(u32),
    /// The installation's for look-ups: never destroyed. It seals nothing.
    Index,
}

impl KeyOwner {
    /// Whose key seals the personal data of what `actor` does at `now`.
    pub fn of(actor: &Actor, now: Timestamp) -> Self {
        match actor {
            Actor::Key { creator, .. } => match creator.principal {
                Principal::User(user) => Self::Person(user),
                Principal::ServiceAccount(_) | Principal::Operator(_) => Self::day(now),
            },
            Actor::User { user, .. } => Self::Person(*user),
            Actor::Operator(_) | Actor::System => Self::day(now),
        }
    }

    /// Whose key seals the personal data of an entry that was recorded before personal data was sealed.
    pub fn of_recorded(actor: &AuditActor, at: Timestamp) -> Self {
        match actor.principal {
            Some(Principal::User(user)) => Self::Person(user),
            Some(Principal::ServiceAccount(_) | Principal::Operator(_)) => Self::day(at),
            None => match (&*actor.kind, &actor.id) {
                ("user", Some(id)) => UserId::parse(id).map_or_else(|_| Self::day(at), Self::Person),
                _ => Self::day(at),
            },
        }
    }

    /// The installation on the day of `now`.
    pub fn day(now: Timestamp) -> Self {
        Self::Day(u32::try_from(now.unix_ms().div_euclid(DAY_MS)).unwrap_or(0))
    }

    /// As two columns: a number for the kind, and who.
    pub fn columns(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Person(user) => (0, user.to_bytes().to_vec()),
            Self::Day(day) => (1, day.to_be_bytes().to_vec()),
            Self::Index => (2, Vec::new()),
        }
    }

    /// From two columns.
    pub fn from_columns(kind: u8, owner: &[u8]) -> Option<Self> {
        match kind {
            0 => Some(Self::Person(UserId::from_bytes(owner.try_into().ok()?))),
            1 => Some(Self::Day(u32::from_be_bytes(owner.try_into().ok()?))),
            2 if owner.is_empty() => Some(Self::Index),
            _ => None,
        }
    }
}

/// A key that seals data. It cannot be shown, and is wiped when it is dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; 32]);

impl DataKey {
    /// A key of these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a [`Vault`].
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl core::fmt::Debug for DataKey {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("DataKey(…)")
    }
}

/// A data key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The version of the key-encryption key.
    pub kek: u16,
    /// The key, sealed under it.
    pub bytes: Vec<u8>,
}

/// Why something cannot be opened. The text is for operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// No key-encryption key of this version was given.
    #[error("personal data is sealed under the key-encryption key of version {0}, which was not given")]
    MissingKek(u16),
    /// The key-encryption key is not the one that wrapped, or what was wrapped was altered.
    #[error("the key-encryption key of version {0} is not the one that this data was sealed under")]
    WrongKek(u16),
    /// What was sealed is damaged, or belongs elsewhere.
    #[error("sealed personal data cannot be opened: it was altered")]
    Altered,
}

/// What sealed data belongs to. It opens for nothing else, so that rows cannot be exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// E-mail address and name of a user.
    User(UserId),
    /// Address and user agent of an audit entry, by its sequence number.
    AuditEntry(u64),
    /// The secret of a user's second factor.
    SecondFactor(UserId),
}

impl Subject {
    /// The bytes that are authenticated along with the data.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::User(user) => [b"user\0".as_slice(), &user.to_bytes()].concat(),
            Self::SecondFactor(user) => [b"second factor\0".as_slice(), &user.to_bytes()].concat(),
            Self::AuditEntry(sequence) => [b"audit\0".as_slice(), &sequence.to_be_bytes()].concat(),
        }
    }
}

/// Who seals and opens. Implementations hold the key-encryption keys and a source of randomness.
pub trait Vault: Send + Sync {
    /// The version of the key-encryption key that new data keys are wrapped under.
    fn current_kek(&self) -> u16;

    /// Whether there is a key-encryption key of this version.
    fn has_kek(&self, version: u16) -> bool;

    /// A new data key of `owner`.
    fn generate(&self, owner: KeyOwner) -> (DataKey, WrappedKey);

    /// The data key in `wrapped`.
    ///
    /// # Errors
    /// [`VaultError::MissingKek`] or [`VaultError::WrongKek`].
    fn unwrap(&self, owner: KeyOwner, wrapped: &WrappedKey) -> Result<DataKey, VaultError>;

    /// `key` under the current key-encryption key.
    fn wrap(&self, owner: KeyOwner, key: &DataKey) -> WrappedKey;

    /// Seals `plain`, which belongs to `subject`.
    fn seal(&self, key: &DataKey, subject: Subject, plain: &[u8]) -> Vec<u8>;

    /// Opens what was sealed for `subject`.
    ///
    /// # Errors
    /// [`VaultError::Altered`].
    fn open(&self, key: &DataKey, subject: Subject, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError>;

    /// A key for another purpose: the same for everybody who has the same current key-encryption key, which it does not tell.
    fn derive(&self, purpose: &str) -> Zeroizing<[u8; 32]>;

    /// A keyed digest of `text`: the same for the same text, and telling nothing without the key.
    fn digest(&self, key: &DataKey, text: &[u8]) -> [u8; 32];
}

/// A vault that stores share.
pub type SharedVault = Arc<dyn Vault>;

/// What is sealed of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedUser {
    /// What the user is found by, made of the address.
    pub email_index: [u8; 32],
    /// Address and name.
    pub sealed: Vec<u8>,
}

impl SealedUser {
    /// Seals address and name of `user` under their key; `index` is the installation's key for look-ups.
    pub fn seal(vault: &dyn Vault, key: &DataKey, index: &DataKey, user: &User) -> Self {
        let plain = Zeroizing::new(fields(&[user.email.as_bytes(), user.name.as_bytes()]));
        Self {
            email_index: email_index(vault, index, &user.email),
            sealed: vault.seal(key, Subject::User(user.id), &plain),
        }
    }

    /// Address and name of `user`, opened.
    ///
    /// # Errors
    /// [`VaultError::Altered`].
    pub fn open(
        vault: &dyn Vault,
        key: &DataKey,
        user: UserId,
        sealed: &[u8],
    ) -> Result<(String, String), VaultError> {
        let plain = vault.open(key, Subject::User(user), sealed)?;
        let [email, name] = split(&plain).ok_or(VaultError::Altered)?;
        Ok((text(email)?, text(name)?))
    }
}

/// What the user who signs in with `email` is found by. Upper and lower case make no difference.
pub fn email_index(vault: &dyn Vault, index: &DataKey, email: &str) -> [u8; 32] {
    let normalised = Zeroizing::new(email.trim().to_lowercase());
    vault.digest(index, &[b"email\0".as_slice(), normalised.as_bytes()].concat())
}

/// What somebody whom a provider knows is found by: issuer and subject to the letter.
pub fn identity_index(vault: &dyn Vault, index: &DataKey, identity: &ExternalIdentity) -> [u8; 32] {
    let (issuer, subject) = (identity.issuer.as_bytes(), identity.subject.as_bytes());
    let plain = Zeroizing::new([b"identity\0".as_slice(), issuer, b"\0", subject].concat());
    vault.digest(index, &plain)
}

/// Seals the personal data of audit entry `sequence`, its salt included: with the salt, addresses could be guessed from
/// the commitment.
pub fn seal_personal(vault: &dyn Vault, key: &DataKey, sequence: u64, data: &PersonalData) -> Vec<u8> {
    let address = data.address.map(|address| address.to_string());
    let presence = [u8::from(address.is_some()) | u8::from(data.user_agent.is_some()) << 1];
    let plain = Zeroizing::new(fields(&[
        &data.salt,
        &presence,
        address.as_deref().unwrap_or_default().as_bytes(),
        data.user_agent.as_deref().unwrap_or_default().as_bytes(),
    ]));
    vault.seal(key, Subject::AuditEntry(sequence), &plain)
}

/// Opens the personal data of audit entry `sequence`.
///
/// # Errors
/// [`VaultError::Altered`].
pub fn open_personal(
    vault: &dyn Vault,
    key: &DataKey,
    sequence: u64,
    sealed: &[u8],
) -> Result<PersonalData, VaultError> {
    let plain = vault.open(key, Subject::AuditEntry(sequence), sealed)?;
    let [salt, presence, address, user_agent] = split(&plain).ok_or(VaultError::Altered)?;
    let [presence] = *presence else { return Err(VaultError::Altered) };
    let address = match presence & 1 {
        0 => None,
        _ => Some(text(address)?.parse().map_err(|_| VaultError::Altered)?),
    };
    Ok(PersonalData {
        salt: salt.try_into().map_err(|_| VaultError::Altered)?,
        address,
        user_agent: if presence & 2 == 0 { None } else { Some(text(user_agent)?) },
    })
}

/// Fields one after the other, each behind its length.
fn fields(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        all.extend(u32::try_from(part.len()).expect("a field is shorter than 4 GiB").to_be_bytes());
        all.extend_from_slice(part);
    }
    all
}

fn split<const N: usize>(mut all: &[u8]) -> Option<[&[u8]; N]> {
    let mut parts = [[].as_slice(); N];
    for part in &mut parts {
        let (length, rest) = all.split_first_chunk::<4>()?;
        (*part, all) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    }
    all.is_empty().then_some(parts)
}

fn text(bytes: &[u8]) -> Result<String, VaultError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| VaultError::Altered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_survive_their_columns() {
        for owner in [KeyOwner::Person(UserId::from_bytes([3; 16])), KeyOwner::Day(20_000), KeyOwner::Index] {
            let (kind, bytes) = owner.columns();
            assert_eq!(KeyOwner::from_columns(kind, &bytes), Some(owner));
        }
        assert_eq!(KeyOwner::from_columns(0, &[1; 15]), None);
        assert_eq!(KeyOwner::from_columns(3, &[]), None);
    }

    #[test]
    fn fields_come_back_and_nothing_else_does() {
        let all = fields(&[b"one", b"", b"three"]);
        assert_eq!(split::<3>(&all).unwrap(), [b"one".as_slice(), b"", b"three"]);
        assert_eq!(split::<2>(&all), None);
        assert_eq!(split::<4>(&all), None);
        assert_eq!(split::<3>(&all[..all.len() - 1]), None);
        assert_eq!(split::<1>(&[0xff; 8]), None);
    }

    #[test]
    fn a_day_is_a_day() {
        assert_eq!(KeyOwner::day(Timestamp::from_unix_ms(DAY_MS - 1)), KeyOwner::Day(0));
        assert_eq!(KeyOwner::day(Timestamp::from_unix_ms(DAY_MS)), KeyOwner::Day(1));
    }
}
