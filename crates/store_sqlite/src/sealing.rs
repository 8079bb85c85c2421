//! The store's side of the vault: where data keys are, and the conversion of what an older program wrote in the clear.

use std::{collections::HashMap, path::Path, sync::Arc};

use keywright_domain::{
    audit::{AuditBody, PersonalData},
    identity::ExternalIdentity,
    ids::UserId,
    principal::User,
    time::Timestamp,
    vault::{self, DataKey, KeyOwner, SealedUser, SharedVault, Subject, Vault, VaultError, WrappedKey},
};
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};
use zeroize::Zeroizing;

use crate::{
    fault::Fault,
    open::{self, DATABASE_FILE, OpenError},
    rows::{
        bytes,
        installation::{all, first},
        journal, optional_text, text, unreadable,
    },
    sql::sealing as sql,
};

/// Rows that are sealed in one transaction.
const PIECE: u32 = 500;
/// Data keys that the writer remembers. When there are more, it begins anew.
const REMEMBERED: usize = 1_024;
/// What older programs wrote, and what is left of it.
const UNSEALED: [&str; 2] = ["unsealed_users", "unsealed_audit_personal"];

/// A vault, and the key for look-ups.
pub(crate) struct Sealing {
    vault: SharedVault,
    index: DataKey,
}

impl Sealing {
    /// Checks that the vault fits the database, and makes the key for look-ups of a new one.
    pub(crate) fn open(connection: &Connection, vault: SharedVault) -> Result<Self, OpenError> {
        let open = || -> Result<Self, Fault> {
            let index = match stored(connection, &*vault, KeyOwner::Index)? {
                Some(key) => key,
                None => create(connection, &*vault, KeyOwner::Index)?,
            };
            Ok(Self { vault, index })
        };
        let sealing = open().map_err(|fault| match fault {
            Fault::Vault(error) => OpenError::Vault(error),
            other => other.into_store_error().into(),
        })?;
        sealing.check_versions(connection)?;
        Ok(sealing)
    }

    /// As [`Self::open`], for whoever only reads: `None` if nothing was ever sealed.
    pub(crate) fn open_to_read(
        connection: &Connection,
        vault: SharedVault,
    ) -> Result<Option<Self>, OpenError> {
        match stored(connection, &*vault, KeyOwner::Index) {
            Ok(index) => Ok(index.map(|index| Self { vault, index })),
            Err(Fault::Vault(error)) => Err(OpenError::Vault(error)),
            Err(other) => Err(other.into_store_error().into()),
        }
    }

    /// Refuses when a key-encryption key is in use that the vault does not have.
    fn check_versions(&self, connection: &Connection) -> Result<(), OpenError> {
        let mut last = -1;
        loop {
            let next: Option<i64> = connection.query_row(sql::NEXT_KEK, [last], |row| row.get(0))?;
            let Some(version) = next else { return Ok(()) };
            let kek = u16::try_from(version)
                .map_err(|_| OpenError::Damaged(format!("a data key has version {version}")))?;
            if !self.vault.has_kek(kek) {
                return Err(OpenError::Vault(VaultError::MissingKek(kek)));
            }
            last = version;
        }
    }

    /// What `identity` is found by.
    pub(crate) fn identity_index(&self, identity: &ExternalIdentity) -> [u8; 32] {
        vault::identity_index(&*self.vault, &self.index, identity)
    }

    /// What `email` is found by.
    pub(crate) fn email_index(&self, email: &str) -> [u8; 32] {
        vault::email_index(&*self.vault, &self.index, email)
    }

    /// Seals address and name of `user` under `key`.
    pub(crate) fn seal_user(&self, key: &DataKey, user: &User) -> SealedUser {
        SealedUser::seal(&*self.vault, key, &self.index, user)
    }

    /// Address and name of `user` from the columns of what is sealed and of the person's data key, which begin at `column`.
    /// `None`: the person was erased.
    pub(crate) fn open_user(
        &self,
        row: &Row<'_>,
        user: UserId,
        column: usize,
    ) -> Result<Option<(String, String)>, Fault> {
        let Some(sealed) = row.get_ref(column)?.as_blob_or_null().map_err(|_| unreadable(row, column))?
        else {
            return Ok(None);
        };
        let Some(key) = self.joined_key(row, KeyOwner::Person(user), column + 1)? else { return Ok(None) };
        Ok(Some(SealedUser::open(&*self.vault, &key, user, sealed)?))
    }

    /// The secret of the second factor of `user` from the columns of what is sealed and of the person's data key.
    pub(crate) fn open_factor(&self, row: &Row<'_>, user: UserId) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let sealed = row.get_ref(0)?.as_blob().map_err(|_| unreadable(row, 0))?;
        let key = self.joined_key(row, KeyOwner::Person(user), 1)?.ok_or_else(|| unreadable(row, 1))?;
        Ok(self.vault.open(&key, Subject::SecondFactor(user), sealed)?)
    }

    /// The personal data of entry `sequence` from the columns of its key's owner, of what is sealed and of the data key,
    /// which begin at `column`. `None`: it was erased.
    pub(crate) fn open_personal(
        &self,
        row: &Row<'_>,
        sequence: u64,
        column: usize,
    ) -> Result<Option<PersonalData>, Fault> {
        if row.get_ref(column)? == rusqlite::types::ValueRef::Null {
            return Ok(None);
        }
        let id = row.get_ref(column + 1)?.as_blob().map_err(|_| unreadable(row, column + 1))?;
        let owner =
            KeyOwner::from_columns(row.get(column)?, id).ok_or_else(|| unreadable(row, column + 1))?;
        let Some(key) = self.joined_key(row, owner, column + 3)? else { return Ok(None) };
        let sealed = row.get_ref(column + 2)?.as_blob().map_err(|_| unreadable(row, column + 2))?;
        Ok(Some(vault::open_personal(&*self.vault, &key, sequence, sealed)?))
    }

    fn joined_key(&self, row: &Row<'_>, owner: KeyOwner, column: usize) -> Result<Option<DataKey>, Fault> {
        if row.get_ref(column)? == rusqlite::types::ValueRef::Null {
            return Ok(None);
        }
        Ok(Some(self.vault.unwrap(owner, &wrapped(row, column)?)?))
    }
}

/// What the writer seals with.
pub(crate) struct Sealer {
    sealing: Arc<Sealing>,
    /// Keys that are in the database. Whoever undoes writes forgets them.
    known: HashMap<KeyOwner, DataKey>,
}

impl Sealer {
    pub(crate) fn new(sealing: Arc<Sealing>) -> Self {
        Self { sealing, known: HashMap::new() }
    }

    /// What does not change.
    pub(crate) fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// Forgets the keys that it has seen.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }

    /// A new data key of a person, in the database from now on.
    pub(crate) fn new_person(&mut self, connection: &Connection, user: UserId) -> Result<DataKey, Fault> {
        let owner = KeyOwner::Person(user);
        let key = create(connection, &*self.sealing.vault, owner)?;
        self.remember(owner, &key);
        Ok(key)
    }

    /// Address and name of a person, sealed under the data key that they have.
    pub(crate) fn seal_again(&mut self, connection: &Connection, user: &User) -> Result<SealedUser, Fault> {
        let key = self.person(connection, user.id)?;
        Ok(self.sealing.seal_user(&key, user))
    }

    /// The secret of a second factor, sealed under its person's data key.
    pub(crate) fn seal_factor(
        &mut self,
        connection: &Connection,
        user: UserId,
        secret: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let key = self.person(connection, user)?;
        Ok(self.sealing.vault.seal(&key, Subject::SecondFactor(user), secret))
    }

    fn person(&mut self, connection: &Connection, user: UserId) -> Result<DataKey, Fault> {
        let key = self.key(connection, KeyOwner::Person(user))?;
        key.ok_or_else(|| Fault::Damaged("a person has no data key".to_owned()))
    }

    /// Destroys the data key of a person.
    pub(crate) fn destroy_person(&mut self, connection: &Connection, user: UserId) -> Result<(), Fault> {
        let owner = KeyOwner::Person(user);
        self.known.remove(&owner);
        let (kind, id) = owner.columns();
        connection.prepare_cached(sql::DESTROY_DATA_KEY)?.execute(params![kind, id])?;
        Ok(())
    }

    /// Seals personal data of audit entry `sequence` and keeps it. Whoever has no key, because they were erased, is sealed
    /// under the installation's of the day.
    pub(crate) fn keep_personal(
        &mut self,
        connection: &Connection,
        sequence: u64,
        owner: KeyOwner,
        at: Timestamp,
        data: &PersonalData,
    ) -> Result<(), Fault> {
        let (owner, key) = match self.key(connection, owner)? {
            Some(key) => (owner, key),
            None => (KeyOwner::day(at), self.day(connection, at)?),
        };
        let sealed = vault::seal_personal(&*self.sealing.vault, &key, sequence, data);
        journal::insert_personal(connection, sequence, at, owner, &sealed)
    }

    fn day(&mut self, connection: &Connection, at: Timestamp) -> Result<DataKey, Fault> {
        let owner = KeyOwner::day(at);
        if let Some(key) = self.key(connection, owner)? {
            return Ok(key);
        }
        let key = create(connection, &*self.sealing.vault, owner)?;
        self.remember(owner, &key);
        Ok(key)
    }

    fn key(&mut self, connection: &Connection, owner: KeyOwner) -> Result<Option<DataKey>, Fault> {
        if let Some(known) = self.known.get(&owner) {
            return Ok(Some(known.clone()));
        }
        let found = stored(connection, &*self.sealing.vault, owner)?;
        if let Some(key) = &found {
            self.remember(owner, key);
        }
        Ok(found)
    }

    fn remember(&mut self, owner: KeyOwner, key: &DataKey) {
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(owner, key.clone());
    }

    /// Wraps up to `limit` data keys anew that are under older key-encryption keys; returns how many.
    pub(crate) fn rewrap(&self, connection: &Connection, limit: u32) -> Result<u64, Fault> {
        let vault = &*self.sealing.vault;
        let older = all(connection, sql::OLDER_DATA_KEYS, params![vault.current_kek(), limit], |row| {
            let id = row.get_ref(1)?.as_blob().map_err(|_| unreadable(row, 1))?;
            let owner = KeyOwner::from_columns(row.get(0)?, id).ok_or_else(|| unreadable(row, 1))?;
            Ok((owner, wrapped(row, 2)?))
        })?;
        for (owner, old) in &older {
            let new = vault.wrap(*owner, &vault.unwrap(*owner, old)?);
            let (kind, id) = owner.columns();
            connection.prepare_cached(sql::REWRAP)?.execute(params![kind, id, new.kek, new.bytes])?;
        }
        Ok(older.len().try_into().unwrap_or(u64::MAX))
    }
}

fn stored(connection: &Connection, vault: &dyn Vault, owner: KeyOwner) -> Result<Option<DataKey>, Fault> {
    let (kind, id) = owner.columns();
    let found = first(connection, sql::DATA_KEY, params![kind, id], |row| wrapped(row, 0))?;
    Ok(found.map(|wrapped| vault.unwrap(owner, &wrapped)).transpose()?)
}

fn create(connection: &Connection, vault: &dyn Vault, owner: KeyOwner) -> Result<DataKey, Fault> {
    let (key, wrapped) = vault.generate(owner);
    let (kind, id) = owner.columns();
    connection.prepare_cached(sql::INSERT_DATA_KEY)?.execute(params![
        kind,
        id,
        wrapped.kek,
        wrapped.bytes
    ])?;
    Ok(key)
}

fn wrapped(row: &Row<'_>, column: usize) -> Result<WrappedKey, Fault> {
    Ok(WrappedKey { kek: row.get(column)?, bytes: row.get(column + 1)? })
}

/// Whether something was sealed in the database in `directory`: then the key-encryption keys that exist are needed. A
/// database that is not there has nothing.
///
/// # Errors
/// [`OpenError`].
pub fn has_sealed(directory: &Path) -> Result<bool, OpenError> {
    if !directory.join(DATABASE_FILE).exists() {
        return Ok(false);
    }
    let connection = open::reader(directory, 0)?;
    let exists = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'data_keys'";
    Ok(connection.prepare(exists)?.exists([])?
        && connection.prepare("SELECT 1 FROM data_keys LIMIT 1")?.exists([])?)
}

/// Drops the tables of what is not sealed yet, if nothing is in them.
pub(crate) fn drop_if_empty(connection: &Connection) -> Result<(), rusqlite::Error> {
    if is_unsealed(connection)? {
        return Ok(());
    }
    UNSEALED.iter().try_for_each(|table| connection.execute_batch(&format!("DROP TABLE IF EXISTS {table}")))
}

/// Whether there is something that is not sealed yet.
pub(crate) fn is_unsealed(connection: &Connection) -> Result<bool, rusqlite::Error> {
    for table in UNSEALED {
        let exists = connection
            .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1")?
            .exists([table])?;
        if exists && connection.prepare(&format!("SELECT 1 FROM {table} LIMIT 1"))?.exists([])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Seals what an older program wrote, piece by piece: whoever is interrupted goes on at the next start. In the end the
/// whole file is written anew, so that nothing of it is left in unused pages.
pub(crate) fn convert(connection: &mut Connection, sealing: &Arc<Sealing>) -> Result<(), OpenError> {
    if !is_unsealed(connection)? {
        return Ok(());
    }
    let mut sealer = Sealer::new(Arc::clone(sealing));
    for piece in [seal_users, seal_entries] {
        loop {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let count = piece(&transaction, &mut sealer)
                .map_err(|fault| OpenError::from(fault.into_store_error()))?;
            transaction.commit()?;
            if count == 0 {
                break;
            }
        }
    }
    drop_if_empty(connection)?;
    connection.execute_batch("VACUUM")?;
    truncate_log(connection)?;
    Ok(())
}

/// Copies the write-ahead log into the database and empties it.
pub(crate) fn truncate_log(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn seal_users(transaction: &Transaction<'_>, sealer: &mut Sealer) -> Result<usize, Fault> {
    let statement = "SELECT id, email, name FROM unsealed_users LIMIT ?1";
    let users = all(transaction, statement, [PIECE], |row| {
        Ok(User {
            id: UserId::from_bytes(bytes(row, 0)?),
            email: text(row, 1)?.to_owned(),
            name: text(row, 2)?.to_owned(),
            password_hash: None,
            created_at: Timestamp::from_unix_ms(0),
        })
    })?;
    for user in &users {
        let key = sealer.new_person(transaction, user.id)?;
        let SealedUser { email_index, sealed } = sealer.sealing.seal_user(&key, user);
        let parameters = params![user.id.to_bytes(), email_index, sealed];
        transaction.prepare_cached(sql::SEAL_USER)?.execute(parameters)?;
        transaction.execute("DELETE FROM unsealed_users WHERE id = ?1", [user.id.to_bytes()])?;
    }
    Ok(users.len())
}

fn seal_entries(transaction: &Transaction<'_>, sealer: &mut Sealer) -> Result<usize, Fault> {
    let statement = "SELECT p.sequence, p.salt, p.address, p.user_agent, a.body FROM unsealed_audit_personal p \
                     JOIN audit a ON a.sequence = p.sequence LIMIT ?1";
    let entries = all(transaction, statement, [PIECE], |row| {
        let data = PersonalData {
            salt: bytes(row, 1)?,
            address: crate::rows::address(row, 2)?,
            user_agent: optional_text(row, 3)?.map(str::to_owned),
        };
        let body: AuditBody =
            serde_json::from_slice(row.get_ref(4)?.as_blob().map_err(|_| unreadable(row, 4))?)
                .map_err(|_| unreadable(row, 4))?;
        Ok((row.get::<_, u64>(0)?, data, body))
    })?;
    for (sequence, data, body) in &entries {
        let owner = KeyOwner::of_recorded(&body.actor, body.at);
        sealer.keep_personal(transaction, *sequence, owner, body.at, data)?;
        transaction.execute("DELETE FROM unsealed_audit_personal WHERE sequence = ?1", [sequence])?;
    }
    Ok(entries.len())
}
