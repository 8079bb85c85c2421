//! The change log and the audit trail.

use keywright_domain::{
    audit::{Checkpoint, StoredEntry},
    change::EntityRef,
    key::KeyNumber,
    principal::MembershipNumber,
    workspace::WorkspaceNumber,
};
use tokio_postgres::Row;

use super::{blob, bytes, flag, number, text, time, unreadable};
use crate::{connect::Param, fault::Fault, params, sealing::Sealing};

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

/// A row of the change log, from five columns.
pub(crate) fn change(row: &Row, first: usize) -> Result<ChangeRow, Fault> {
    let entity_number = || number::<u32>(row, first + 3);
    let entity = match number::<u8>(row, first + 1)? {
        0 => EntityRef::Key(KeyNumber(entity_number()?)),
        1 => EntityRef::Workspace(WorkspaceNumber(entity_number()?)),
        2 => EntityRef::Membership(MembershipNumber(entity_number()?)),
        3 => EntityRef::Plan(text(row, first + 4)?.to_owned()),
        4 => EntityRef::Catalogue,
        5 => EntityRef::Operators,
        6 => EntityRef::Prompts(WorkspaceNumber(entity_number()?)),
        _ => return Err(unreadable(row, first + 1)),
    };
    Ok(ChangeRow { sequence: number(row, first)?, restricting: flag(row, first + 2)?, entity })
}

/// Kind, number and name of an entity.
pub(crate) fn entity_columns(entity: &EntityRef) -> (i64, Option<u32>, Option<&str>) {
    match entity {
        EntityRef::Key(number) => (0, Some(number.0), None),
        EntityRef::Workspace(number) => (1, Some(number.0), None),
        EntityRef::Membership(number) => (2, Some(number.0), None),
        EntityRef::Plan(name) => (3, None, Some(name)),
        EntityRef::Catalogue => (4, None, None),
        EntityRef::Operators => (5, None, None),
        EntityRef::Prompts(number) => (6, Some(number.0), None),
    }
}

/// An audit entry from its row.
pub(crate) fn entry(row: &Row, sealing: &Sealing) -> Result<StoredEntry, Fault> {
    let sequence = number(row, 0)?;
    Ok(StoredEntry {
        sequence,
        body: blob(row, 1)?.to_vec(),
        hash: bytes(row, 2)?,
        personal: sealing.open_personal(row, sequence, 3)?,
    })
}

/// A checkpoint from its row.
pub(crate) fn checkpoint(row: &Row) -> Result<Checkpoint, Fault> {
    Ok(Checkpoint {
        sequence: number(row, 0)?,
        hash: bytes(row, 1)?,
        at: time(row, 2)?,
        public_key: bytes(row, 3)?,
        signature: bytes(row, 4)?,
    })
}

/// The parameters of a checkpoint.
pub(crate) fn checkpoint_params(checkpoint: &Checkpoint) -> Vec<Param> {
    params![checkpoint.sequence, checkpoint.hash, checkpoint.at, checkpoint.public_key, checkpoint.signature,]
}
