//! The change log.

use keywright_domain::{
    change::{Change, EntityRef, KeyView, MembershipView, NumberedChange, WorkspaceView},
    ids::WorkspaceId,
};
use rusqlite::Connection;

use crate::{
    fault::Fault,
    rows::{
        choices,
        installation::{self, all, first},
        journal, keys, members, sequence_column,
    },
    sql,
};

/// The changes after `sequence`, at most `limit`, each with its entity's newest state.
pub(crate) fn after(
    connection: &Connection,
    sequence: u64,
    limit: u32,
) -> Result<Vec<NumberedChange>, Fault> {
    let rows = all(
        connection,
        sql::journal::CHANGES_AFTER,
        [sequence_column(sequence), i64::from(limit)],
        journal::change,
    )?;
    rows.into_iter()
        .map(|row| {
            let change = newest(connection, row.entity)?;
            Ok(NumberedChange { sequence: row.sequence, restricting: row.restricting, change })
        })
        .collect()
}

fn newest(connection: &Connection, entity: EntityRef) -> Result<Change, Fault> {
    match entity {
        EntityRef::Key(number) => {
            // The workspace's id is not part of what verification sees of a key.
            let found = keys::by_number(connection, number.0, |_| Ok(WorkspaceId::from_bytes([0; 16])))?;
            Ok(match found.filter(|key| key.deleted_at.is_none()) {
                Some(key) => Change::Key(Box::new(KeyView::from(&key))),
                None => Change::KeyRemoved(number),
            })
        }
        EntityRef::Workspace(number) => {
            let found = installation::workspace_by_number(connection, number.0)?;
            Ok(match found {
                Some(found) => Change::Workspace(WorkspaceView::from(&found.workspace)),
                None => Change::WorkspaceRemoved(number),
            })
        }
        EntityRef::Membership(number) => {
            let statement = sql::installation::MEMBERSHIP_BY_NUMBER;
            let found = first(connection, statement, [number.0], members::membership)?
                .ok_or_else(|| missing("membership", number.0))?;
            let mut change = Change::Membership(MembershipView::from(&found));
            choices::fill_in(connection, std::iter::once(&mut change))?;
            Ok(change)
        }
        EntityRef::Plan(name) => {
            Ok(installation::plan(connection, &name)?.map_or(Change::PlanRemoved(name), Change::Plan))
        }
        EntityRef::Catalogue => catalogue(connection),
        EntityRef::Operators => operators(connection),
        EntityRef::Prompts(number) => Ok(Change::Prompts(number)),
    }
}

/// The permission catalogue as a change.
pub(crate) fn catalogue(connection: &Connection) -> Result<Change, Fault> {
    Ok(Change::Catalogue(installation::catalogue(connection)?.entries().cloned().collect()))
}

/// The operator credentials as a change.
pub(crate) fn operators(connection: &Connection) -> Result<Change, Fault> {
    let mut operators = installation::operators(connection)?;
    operators.retain(|operator| operator.revoked_at.is_none());
    Ok(Change::Operators(operators))
}

fn missing(kind: &str, number: u32) -> Fault {
    Fault::Damaged(format!("the change log names {kind} {number}, which is not there"))
}
