//! The change log and the audit trail.

use keywright_domain::{
    audit::{Checkpoint, StoredEntry},
    change::EntityRef,
    key::KeyNumber,
    principal::MembershipNumber,
    time::Timestamp,
    vault::KeyOwner,
    workspace::WorkspaceNumber,
};
use rusqlite::{Connection, Row, params};

use super::{bytes, time, unreadable};
use crate::{fault::Fault, sealing::Sealing, sql::journal as sql};

/// A row of the change log.
#[derive(Clone, Debug)]
pub(crate) struct ChangeRow {
    /// Position in the log.
    pub(crate) sequence: u64,
    /// Whether something is taken away.
    pub(crate) restricting: bool,
    /// What changed.
    pub(crate) entity: EntityRef,
}

/// A row of the change log.
pub(crate) fn change(row: &Row<'_>) -> Result<ChangeRow, Fault> {
    let number = || row.get::<_, u32>(3);
    let entity = match row.get::<_, u8>(1)? {
        0 => EntityRef::Key(KeyNumber(number()?)),
        1 => EntityRef::Workspace(WorkspaceNumber(number()?)),
        2 => EntityRef::Membership(MembershipNumber(number()?)),
        3 => EntityRef::Plan(row.get(4)?),
        4 => EntityRef::Catalogue,
        5 => EntityRef::Operators,
        6 => EntityRef::Prompts(WorkspaceNumber(number()?)),
        _ => return Err(unreadable(row, 1)),
    };
    Ok(ChangeRow { sequence: row.get(0)?, restricting: row.get(2)?, entity })
}

/// Appends to the change log.
pub(crate) fn insert_change(connection: &Connection, change: &ChangeRow) -> Result<(), Fault> {
    let (kind, number, name) = match &change.entity {
        EntityRef::Key(number) => (0, Some(number.0), None),
        EntityRef::Workspace(number) => (1, Some(number.0), None),
        EntityRef::Membership(number) => (2, Some(number.0), None),
        EntityRef::Plan(name) => (3, None, Some(name)),
        EntityRef::Catalogue => (4, None, None),
        EntityRef::Operators => (5, None, None),
        EntityRef::Prompts(number) => (6, Some(number.0), None),
    };
    connection.prepare_cached(sql::INSERT_CHANGE)?.execute(params![
        change.sequence,
        kind,
        change.restricting,
        number,
        name
    ])?;
    Ok(())
}

/// An audit entry from its row. Without `sealing`, as if its personal data had been erased.
pub(crate) fn entry(row: &Row<'_>, sealing: Option<&Sealing>) -> Result<StoredEntry, Fault> {
    let sequence = row.get(0)?;
    let personal = match sealing {
        Some(sealing) => sealing.open_personal(row, sequence, 3)?,
        None => None,
    };
    Ok(StoredEntry { sequence, body: row.get(1)?, hash: bytes(row, 2)?, personal })
}

/// Keeps the sealed personal data of an audit entry.
pub(crate) fn insert_personal(
    connection: &Connection,
    sequence: u64,
    at: Timestamp,
    owner: KeyOwner,
    sealed: &[u8],
) -> Result<(), Fault> {
    let (kind, id) = owner.columns();
    let parameters = params![sequence, at.unix_ms(), kind, id, sealed];
    connection.prepare_cached(sql::INSERT_PERSONAL)?.execute(parameters)?;
    Ok(())
}

/// The last entry's sequence number and hash.
pub(crate) fn audit_head(connection: &Connection) -> Result<(u64, [u8; 32]), Fault> {
    let head =
        super::installation::first(connection, sql::AUDIT_HEAD, [], |row| Ok((row.get(0)?, bytes(row, 1)?)))?;
    Ok(head.unwrap_or((0, keywright_domain::audit::GENESIS)))
}

/// A checkpoint from its row.
pub(crate) fn checkpoint(row: &Row<'_>) -> Result<Checkpoint, Fault> {
    Ok(Checkpoint {
        sequence: row.get(0)?,
        hash: bytes(row, 1)?,
        at: time(row, 2)?,
        public_key: bytes(row, 3)?,
        signature: bytes(row, 4)?,
    })
}

/// Keeps a checkpoint, unless that entry was signed before.
pub(crate) fn insert_checkpoint(connection: &Connection, checkpoint: &Checkpoint) -> Result<(), Fault> {
    connection.prepare_cached(sql::INSERT_CHECKPOINT)?.execute(params![
        checkpoint.sequence,
        checkpoint.hash,
        Timestamp::unix_ms(checkpoint.at),
        checkpoint.public_key,
        checkpoint.signature,
    ])?;
    Ok(())
}
