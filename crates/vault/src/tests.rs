use std::sync::atomic::{AtomicU64, Ordering};

use keywright_domain::{
    audit::PersonalData,
    ids::UserId,
    principal::User,
    time::Timestamp,
    vault::{SealedUser, email_index, open_personal, seal_personal},
};

use super::*;

/// Counts up: every fill is another one.
#[derive(Default)]
struct Counting(AtomicU64);

impl Entropy for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for part in buffer.chunks_mut(8) {
            let next = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            part.copy_from_slice(&next[8 - part.len()..]);
        }
    }
}

fn vault(keks: &[(u16, u8)]) -> KeyVault {
    let keks = keks.iter().map(|(version, byte)| (*version, KeyEncryptionKey::from_bytes([*byte; 32])));
    KeyVault::new(keks, Arc::<Counting>::default()).unwrap()
}

const ANNA: KeyOwner = KeyOwner::Person(UserId::from_bytes([1; 16]));

#[test]
fn a_data_key_opens_under_its_own_key_encryption_key_and_for_its_owner_only() {
    let one = vault(&[(1, 7)]);
    let (key, wrapped) = one.generate(ANNA);
    assert_eq!(one.unwrap(ANNA, &wrapped).unwrap().expose(), key.expose());
    let other_owner = KeyOwner::Person(UserId::from_bytes([2; 16]));
    assert_eq!(one.unwrap(other_owner, &wrapped).err(), Some(VaultError::WrongKek(1)));
    assert_eq!(vault(&[(1, 8)]).unwrap(ANNA, &wrapped).err(), Some(VaultError::WrongKek(1)));
    assert_eq!(vault(&[(2, 7)]).unwrap(ANNA, &wrapped).err(), Some(VaultError::MissingKek(1)));
    let renamed = WrappedKey { kek: 2, ..wrapped };
    assert_eq!(vault(&[(2, 7)]).unwrap(ANNA, &renamed).err(), Some(VaultError::WrongKek(2)));
    assert_eq!(KeyVault::new([], Arc::<Counting>::default()).err(), Some(NoKeys));
}

#[test]
fn wrapping_anew_changes_the_wrapping_only() {
    let (key, wrapped) = vault(&[(1, 7)]).generate(ANNA);
    let both = vault(&[(1, 7), (2, 8)]);
    assert_eq!(both.current_kek(), 2);
    let again = both.wrap(ANNA, &both.unwrap(ANNA, &wrapped).unwrap());
    assert_eq!(again.kek, 2);
    assert_eq!(vault(&[(2, 8)]).unwrap(ANNA, &again).unwrap().expose(), key.expose());
}

#[test]
fn what_is_sealed_opens_for_its_subject_only_and_never_looks_the_same() {
    let vault = vault(&[(1, 7)]);
    let (key, _) = vault.generate(ANNA);
    let (other, _) = vault.generate(ANNA);
    let subject = Subject::AuditEntry(5);
    let sealed = vault.seal(&key, subject, b"203.0.113.7");
    assert_ne!(sealed, vault.seal(&key, subject, b"203.0.113.7"));
    assert!(!sealed.windows(4).any(|part| part == b"203."));
    assert_eq!(vault.open(&key, subject, &sealed).unwrap().as_slice(), b"203.0.113.7");
    assert_eq!(vault.open(&key, Subject::AuditEntry(6), &sealed).err(), Some(VaultError::Altered));
    assert_eq!(vault.open(&other, subject, &sealed).err(), Some(VaultError::Altered));
    for position in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[position] ^= 1;
        assert_eq!(vault.open(&key, subject, &altered).err(), Some(VaultError::Altered));
        assert!(vault.open(&key, subject, &sealed[..position]).is_err());
    }
}

#[test]
fn users_and_entries_survive() {
    let vault = vault(&[(1, 7)]);
    let (key, _) = vault.generate(ANNA);
    let (index, _) = vault.generate(KeyOwner::Index);
    let user = User {
        id: UserId::from_bytes([1; 16]),
        email: "Anna@Example.com".to_owned(),
        name: "Ånna".to_owned(),
        password_hash: None,
        created_at: Timestamp::from_unix_ms(0),
    };
    let sealed = SealedUser::seal(&vault, &key, &index, &user);
    let opened = SealedUser::open(&vault, &key, user.id, &sealed.sealed).unwrap();
    assert_eq!(opened, ("Anna@Example.com".to_owned(), "Ånna".to_owned()));
    assert_eq!(sealed.email_index, email_index(&vault, &index, " anna@example.COM "));
    assert_ne!(sealed.email_index, email_index(&vault, &index, "bert@example.com"));
    for (address, agent) in
        [(None, None), (Some("::1"), None), (None, Some("")), (Some("203.0.113.7"), Some("curl/8"))]
    {
        let data = PersonalData {
            salt: [9; 16],
            address: address.map(|text| text.parse().unwrap()),
            user_agent: agent.map(str::to_owned),
        };
        let sealed = seal_personal(&vault, &key, 3, &data);
        assert_eq!(open_personal(&vault, &key, 3, &sealed).unwrap(), data);
    }
}

#[test]
fn derived_keys_are_the_same_for_the_same_newest_key_and_purpose() {
    let one = vault(&[(1, 7), (2, 8)]);
    assert_eq!(one.derive("announcements"), vault(&[(2, 8)]).derive("announcements"));
    assert_ne!(one.derive("announcements"), one.derive("something else"));
    assert_ne!(one.derive("announcements"), vault(&[(1, 7)]).derive("announcements"));
    assert_ne!(*one.derive("announcements"), [8; 32]);
}
