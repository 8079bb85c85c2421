//! The store's side of the vault: where data keys are, and the conversion of what an older program wrote in the clear.

use std::{collections::HashMap, sync::Arc};

use keywright_domain::{
    audit::{AuditBody, PersonalData},
    identity::ExternalIdentity,
    ids::UserId,
    principal::User,
    time::Timestamp,
    vault::{self, DataKey, KeyOwner, SealedUser, SharedVault, Subject, VaultError, WrappedKey},
};
use tokio_postgres::Row;
use zeroize::Zeroizing;

use crate::{
    connect::{ConnectError, Connected, Param, Plan, connect},
    fault::Fault,
    migrate, params,
    rows::{address, blob, bytes, each, is_null, number, optional_text, text, unreadable},
    sql::{self, sealing as statements},
    writer::Transaction,
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
    /// Checks that the vault fits the database, makes the key for look-ups of a new one, and seals what an older program
    /// wrote.
    pub(crate) async fn prepare(plan: &Plan, vault: SharedVault) -> Result<Self, ConnectError> {
        let (connected, _driver) = connect(plan).await?;
        let index = index_key(&connected, &vault).await?;
        let sealing = Self { vault, index };
        sealing.check_versions(&connected).await?;
        sealing.convert(&connected, &plan.options.schema).await?;
        Ok(sealing)
    }

    /// Refuses when a key-encryption key is in use that the vault does not have.
    async fn check_versions(&self, connected: &Connected) -> Result<(), ConnectError> {
        let mut last = -1_i64;
        while let Some(row) = connected.first(statements::NEXT_KEK, params![last]).await? {
            let kek = number::<u16>(&row, 0)?;
            if !self.vault.has_kek(kek) {
                return Err(ConnectError::Vault(VaultError::MissingKek(kek)));
            }
            last = i64::from(kek);
        }
        Ok(())
    }

    /// What `identity` is found by.
    pub(crate) fn identity_index(&self, identity: &ExternalIdentity) -> [u8; 32] {
        vault::identity_index(&*self.vault, &self.index, identity)
    }

    /// What `email` is found by.
    pub(crate) fn email_index(&self, email: &str) -> [u8; 32] {
        vault::email_index(&*self.vault, &self.index, email)
    }

    /// Address and name of `user` from the columns of what is sealed and of the person's data key, which begin at `column`.
    /// `None`: the person was erased.
    pub(crate) fn open_user(
        &self,
        row: &Row,
        user: UserId,
        column: usize,
    ) -> Result<Option<(String, String)>, Fault> {
        if is_null(row, column)? {
            return Ok(None);
        }
        let Some(key) = self.joined_key(row, KeyOwner::Person(user), column + 1)? else { return Ok(None) };
        Ok(Some(SealedUser::open(&*self.vault, &key, user, blob(row, column)?)?))
    }

    /// The personal data of entry `sequence` from the columns of its key's owner, of what is sealed and of the data key,
    /// which begin at `column`. `None`: it was erased.
    pub(crate) fn open_personal(
        &self,
        row: &Row,
        sequence: u64,
        column: usize,
    ) -> Result<Option<PersonalData>, Fault> {
        if is_null(row, column)? {
            return Ok(None);
        }
        let owner = owner(row, column)?;
        let Some(key) = self.joined_key(row, owner, column + 3)? else { return Ok(None) };
        Ok(Some(vault::open_personal(&*self.vault, &key, sequence, blob(row, column + 2)?)?))
    }

    /// The secret of the second factor of `user` from the columns of what is sealed and of the person's data key.
    pub(crate) fn open_factor(&self, row: &Row, user: UserId) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let key = self.joined_key(row, KeyOwner::Person(user), 1)?.ok_or_else(|| unreadable(row, 1))?;
        Ok(self.vault.open(&key, Subject::SecondFactor(user), blob(row, 0)?)?)
    }

    fn joined_key(&self, row: &Row, owner: KeyOwner, column: usize) -> Result<Option<DataKey>, Fault> {
        if is_null(row, column)? {
            return Ok(None);
        }
        Ok(Some(self.vault.unwrap(owner, &wrapped(row, column)?)?))
    }

    /// Seals what an older program wrote, piece by piece: whoever is interrupted goes on at the next start. Nodes that start
    /// at once take turns, and look only in their turn: another node drops the tables when they are empty.
    async fn convert(&self, connected: &Connected, schema: &str) -> Result<(), ConnectError> {
        let lock = migrate::advisory_lock("migrations of", schema);
        loop {
            connected.batch("BEGIN; SET LOCAL lock_timeout TO 0; SET LOCAL synchronous_commit TO on").await?;
            connected.query(sql::migrations::LOCK, params![lock]).await?;
            let is_left = is_unsealed(connected, schema).await?;
            if is_left {
                self.convert_users(connected).await?;
                self.convert_entries(connected).await?;
            } else {
                drop_unsealed(connected).await?;
            }
            connected.batch("COMMIT").await?;
            if !is_left {
                return Ok(());
            }
        }
    }

    async fn convert_users(&self, connected: &Connected) -> Result<(), Fault> {
        let statement = "DELETE FROM unsealed_users WHERE id IN (SELECT id FROM unsealed_users LIMIT $1) \
                         RETURNING id, email, name";
        let users = each(&connected.query(statement, params![PIECE]).await?, |row| {
            Ok(User {
                id: UserId::from_bytes(bytes(row, 0)?),
                email: text(row, 1)?.to_owned(),
                name: text(row, 2)?.to_owned(),
                password_hash: None,
                created_at: Timestamp::from_unix_ms(0),
            })
        })?;
        for user in &users {
            let (key, new) = self.new_key(KeyOwner::Person(user.id));
            connected.execute(statements::INSERT_DATA_KEY, new).await?;
            let SealedUser { email_index, sealed } = SealedUser::seal(&*self.vault, &key, &self.index, user);
            let values = params![user.id.to_bytes(), email_index, sealed];
            connected.execute(statements::SEAL_USER, values).await?;
        }
        Ok(())
    }

    async fn convert_entries(&self, connected: &Connected) -> Result<(), Fault> {
        let statement = "WITH taken AS (DELETE FROM unsealed_audit_personal WHERE sequence IN \
                         (SELECT sequence FROM unsealed_audit_personal LIMIT $1) RETURNING *) \
                         SELECT p.sequence, p.salt, p.address, p.user_agent, a.body FROM taken p \
                         JOIN audit a ON a.sequence = p.sequence";
        for row in connected.query(statement, params![PIECE]).await? {
            let data = PersonalData {
                salt: bytes(&row, 1)?,
                address: address(&row, 2)?,
                user_agent: optional_text(&row, 3)?.map(str::to_owned),
            };
            let body: AuditBody = serde_json::from_slice(blob(&row, 4)?).map_err(|_| unreadable(&row, 4))?;
            let sequence: u64 = number(&row, 0)?;
            let mut owner = KeyOwner::of_recorded(&body.actor, body.at);
            let mut key = self.find(connected, owner).await?;
            if key.is_none() {
                owner = KeyOwner::day(body.at);
                connected.execute(statements::INSERT_DATA_KEY, self.new_key(owner).1).await?;
                key = self.find(connected, owner).await?;
            }
            let key = key.ok_or_else(|| Fault::Damaged("a new data key is not there".to_owned()))?;
            let sealed = vault::seal_personal(&*self.vault, &key, sequence, &data);
            let (kind, id) = owner.columns();
            let values =
                params![vec![sequence], vec![body.at], vec![i64::from(kind)], vec![id], vec![sealed]];
            connected.execute(sql::journal::INSERT_PERSONAL, values).await?;
        }
        Ok(())
    }

    async fn find(&self, connected: &Connected, owner: KeyOwner) -> Result<Option<DataKey>, Fault> {
        let (kind, id) = owner.columns();
        let row = connected.first(statements::DATA_KEY, params![i64::from(kind), id]).await?;
        row.map(|row| Ok(self.vault.unwrap(owner, &wrapped(&row, 0)?)?)).transpose()
    }

    /// A new data key, and the parameters of its row.
    fn new_key(&self, owner: KeyOwner) -> (DataKey, Vec<Param>) {
        let (key, wrapped) = self.vault.generate(owner);
        (key, row_of(owner, wrapped))
    }
}

/// Data keys that are in the database.
#[derive(Default)]
pub(crate) struct KnownKeys(HashMap<KeyOwner, DataKey>);

/// What a group seals with.
pub(crate) struct Sealer {
    sealing: Arc<Sealing>,
    known: KnownKeys,
}

impl Sealer {
    pub(crate) const fn new(sealing: Arc<Sealing>, known: KnownKeys) -> Self {
        Self { sealing, known }
    }

    /// The keys that it has seen, for the next group, once this one is committed.
    pub(crate) fn into_known(self) -> KnownKeys {
        self.known
    }

    /// What does not change.
    pub(crate) fn sealing(&self) -> &Sealing {
        &self.sealing
    }

    /// Seals a new user under a data key of their own, which is written.
    pub(crate) fn new_user(&mut self, transaction: &mut Transaction, user: &User) -> SealedUser {
        let owner = KeyOwner::Person(user.id);
        let key = self.create(transaction, owner);
        SealedUser::seal(&*self.sealing.vault, &key, &self.sealing.index, user)
    }

    /// Address and name of a person, sealed under the data key that they have.
    pub(crate) async fn seal_again(
        &mut self,
        transaction: &mut Transaction,
        user: &User,
    ) -> Result<SealedUser, Fault> {
        let key = self.person(transaction, user.id).await?;
        Ok(SealedUser::seal(&*self.sealing.vault, &key, &self.sealing.index, user))
    }

    /// The secret of a second factor, sealed under its person's data key.
    pub(crate) async fn seal_factor(
        &mut self,
        transaction: &mut Transaction,
        user: UserId,
        secret: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let key = self.person(transaction, user).await?;
        Ok(self.sealing.vault.seal(&key, Subject::SecondFactor(user), secret))
    }

    async fn person(&mut self, transaction: &mut Transaction, user: UserId) -> Result<DataKey, Fault> {
        let key = self.key(transaction, KeyOwner::Person(user)).await?;
        key.ok_or_else(|| Fault::Damaged("a person has no data key".to_owned()))
    }

    /// The data key of `owner`. Whoever has none, because they were erased, gets the installation's of the day.
    pub(crate) async fn key_for(
        &mut self,
        transaction: &mut Transaction,
        owner: KeyOwner,
        now: Timestamp,
    ) -> Result<(KeyOwner, DataKey), Fault> {
        if let Some(key) = self.key(transaction, owner).await? {
            return Ok((owner, key));
        }
        let day = KeyOwner::day(now);
        match self.key(transaction, day).await? {
            Some(key) => Ok((day, key)),
            None => Ok((day, self.create(transaction, day))),
        }
    }

    /// Destroys the data key of a person.
    pub(crate) fn destroy_person(&mut self, transaction: &mut Transaction, user: UserId) {
        let owner = KeyOwner::Person(user);
        self.known.0.remove(&owner);
        let (kind, id) = owner.columns();
        transaction.write(statements::DESTROY_DATA_KEY, params![i64::from(kind), id]);
    }

    /// Seals personal data of audit entry `sequence`.
    pub(crate) fn seal_personal(&self, key: &DataKey, sequence: u64, data: &PersonalData) -> Vec<u8> {
        vault::seal_personal(&*self.sealing.vault, key, sequence, data)
    }

    async fn key(
        &mut self,
        transaction: &mut Transaction,
        owner: KeyOwner,
    ) -> Result<Option<DataKey>, Fault> {
        if let Some(known) = self.known.0.get(&owner) {
            return Ok(Some(known.clone()));
        }
        let (kind, id) = owner.columns();
        let row = transaction.first(statements::DATA_KEY, params![i64::from(kind), id]).await?;
        let Some(row) = row else { return Ok(None) };
        let key = self.sealing.vault.unwrap(owner, &wrapped(&row, 0)?)?;
        self.remember(owner, &key);
        Ok(Some(key))
    }

    /// Makes a key that is not there: the head is locked, so no other node makes it meanwhile.
    fn create(&mut self, transaction: &mut Transaction, owner: KeyOwner) -> DataKey {
        let (key, row) = self.sealing.new_key(owner);
        transaction.write(statements::INSERT_DATA_KEY, row);
        self.remember(owner, &key);
        key
    }

    fn remember(&mut self, owner: KeyOwner, key: &DataKey) {
        if self.known.0.len() >= REMEMBERED {
            self.known.0.clear();
        }
        self.known.0.insert(owner, key.clone());
    }

    /// Wraps up to `limit` data keys anew that are under older key-encryption keys; returns how many.
    pub(crate) async fn rewrap(&self, transaction: &mut Transaction, limit: u32) -> Result<u64, Fault> {
        let vault = &*self.sealing.vault;
        let values = params![vault.current_kek(), limit];
        let rows = transaction.query(statements::OLDER_DATA_KEYS, values).await?;
        for row in &rows {
            let owner = owner(row, 0)?;
            let key = vault.unwrap(owner, &wrapped(row, 2)?)?;
            transaction.write(statements::REWRAP, row_of(owner, vault.wrap(owner, &key)));
        }
        Ok(rows.len().try_into().unwrap_or(u64::MAX))
    }
}

async fn index_key(connected: &Connected, vault: &SharedVault) -> Result<DataKey, ConnectError> {
    let (kind, id) = KeyOwner::Index.columns();
    let find = async || connected.first(statements::DATA_KEY, params![i64::from(kind), id.clone()]).await;
    let found = if let Some(row) = find().await? {
        row
    } else {
        let (_, new) = vault.generate(KeyOwner::Index);
        connected.execute(statements::INSERT_DATA_KEY, row_of(KeyOwner::Index, new)).await?;
        let missing = || Fault::Damaged("the new key for look-ups is not there".to_owned());
        find().await?.ok_or_else(missing)?
    };
    vault.unwrap(KeyOwner::Index, &wrapped(&found, 0)?).map_err(ConnectError::Vault)
}

fn row_of(owner: KeyOwner, WrappedKey { kek, bytes }: WrappedKey) -> Vec<Param> {
    let (kind, id) = owner.columns();
    params![i64::from(kind), id, kek, bytes]
}

fn owner(row: &Row, column: usize) -> Result<KeyOwner, Fault> {
    KeyOwner::from_columns(number(row, column)?, blob(row, column + 1)?)
        .ok_or_else(|| unreadable(row, column + 1))
}

fn wrapped(row: &Row, column: usize) -> Result<WrappedKey, Fault> {
    Ok(WrappedKey { kek: number(row, column)?, bytes: blob(row, column + 1)?.to_vec() })
}

/// Drops the tables of what is not sealed yet, if nothing is in them. Only for who holds the lock of the migrations.
pub(crate) async fn drop_if_empty(connected: &Connected, schema: &str) -> Result<(), Fault> {
    if is_unsealed(connected, schema).await? { Ok(()) } else { drop_unsealed(connected).await }
}

async fn drop_unsealed(connected: &Connected) -> Result<(), Fault> {
    let [users, entries] = UNSEALED;
    connected.batch(&format!("DROP TABLE IF EXISTS {users}; DROP TABLE IF EXISTS {entries}")).await
}

/// Whether there is something that is not sealed yet. Only for who holds the lock of the migrations: a table may be gone
/// between the look at the catalogue and the look into it.
pub(crate) async fn is_unsealed(connected: &Connected, schema: &str) -> Result<bool, Fault> {
    let tables = connected.query(sql::migrations::TABLES, params![schema]).await?;
    let tables: Vec<&str> = tables.iter().map(|row| text(row, 0)).collect::<Result<_, _>>()?;
    for (table, statement) in [
        (UNSEALED[0], "SELECT 1 FROM unsealed_users LIMIT 1"),
        (UNSEALED[1], "SELECT 1 FROM unsealed_audit_personal LIMIT 1"),
    ] {
        if tables.contains(&table) && connected.first(statement, params![]).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}
