//! The whole verification state, at start.

use keywright_domain::{
    change::{Change, KeyView, MembershipView, SecretView, WorkspaceView},
    environment::Environment,
    ids::{KeyId, SecretId},
    key::KeyNumber,
    workspace::WorkspaceNumber,
};
use rusqlite::{Connection, Row, Rows, types::ValueRef};

use super::changes;
use crate::{
    fault::Fault,
    rows::{
        bytes,
        installation::{self, all, count},
        keys, optional_text, optional_time, permissions, variant,
    },
    sql,
};

/// Hands everything to `sink` and returns the head of the change log. To be called in a transaction.
pub(crate) fn load(connection: &Connection, sink: &mut dyn FnMut(Change)) -> Result<u64, Fault> {
    let sequence = count(connection, sql::journal::LAST_CHANGE, [])?;
    sink(changes::catalogue(connection)?);
    for plan in installation::plans(connection)? {
        sink(Change::Plan(plan));
    }
    for workspace in all(connection, sql::installation::LOAD_WORKSPACES, [], installation::workspace)? {
        sink(Change::Workspace(WorkspaceView::from(&workspace)));
    }
    for membership in all(connection, sql::installation::LOAD_MEMBERSHIPS, [], installation::membership)? {
        sink(Change::Membership(MembershipView::from(&membership)));
    }
    sink(changes::operators(connection)?);
    load_keys(connection, sink)?;
    Ok(sequence)
}

/// One pass over the keys and one over the secrets, side by side in the order of numbers.
fn load_keys(connection: &Connection, sink: &mut dyn FnMut(Change)) -> Result<(), Fault> {
    let mut secrets_statement = connection.prepare(sql::keys::LOAD_SECRETS)?;
    let mut secrets = Secrets { rows: secrets_statement.query([])?, waiting: None };
    secrets.advance()?;
    let mut statement = connection.prepare(sql::keys::LOAD)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let mut key = key(row)?;
        key.secrets = secrets.of(key.number)?;
        sink(Change::Key(Box::new(key)));
    }
    Ok(())
}

/// The secrets of all keys in order, one read ahead.
struct Secrets<'statement> {
    rows: Rows<'statement>,
    waiting: Option<(KeyNumber, SecretView)>,
}

impl Secrets<'_> {
    fn advance(&mut self) -> Result<(), Fault> {
        self.waiting = self.rows.next()?.map(secret).transpose()?;
        Ok(())
    }

    /// The secrets of `key`; those of keys before it belong to deleted ones.
    fn of(&mut self, key: KeyNumber) -> Result<Vec<SecretView>, Fault> {
        let mut secrets = Vec::with_capacity(1);
        while let Some((owner, _)) = &self.waiting
            && *owner <= key
        {
            let (owner, secret) = self.waiting.take().expect("just seen");
            if owner == key {
                secrets.push(secret);
            }
            self.advance()?;
        }
        Ok(secrets)
    }
}

fn secret(row: &Row<'_>) -> Result<(KeyNumber, SecretView), Fault> {
    let view = SecretView {
        ordinal: row.get(1)?,
        id: SecretId::from_bytes(bytes(row, 2)?),
        locator: keys::locator(row, 3)?,
        digest: keys::digest(row, 4)?,
        expires_at: optional_time(row, 6)?,
        retired: row.get_ref(7)? != ValueRef::Null,
    };
    Ok((KeyNumber(row.get(0)?), view))
}

fn key(row: &Row<'_>) -> Result<KeyView, Fault> {
    Ok(KeyView {
        number: KeyNumber(row.get(0)?),
        id: KeyId::from_bytes(bytes(row, 1)?),
        workspace: WorkspaceNumber(row.get(2)?),
        environment: variant(row, 3, Environment::from_u8)?,
        permissions: permissions(row, 4)?,
        creator: keys::creator(row, 5)?,
        expires_at: optional_time(row, 8)?,
        disabled: row.get_ref(9)? != ValueRef::Null,
        revoked: row.get_ref(10)? != ValueRef::Null,
        limits: keys::limits(row, 11)?,
        networks: keys::networks(row, 12)?,
        external_id: optional_text(row, 13)?.map(str::to_owned),
        metadata: keys::metadata(row, 14)?,
        secrets: Vec::new(),
    })
}
