//! The audit trail.

use keywright_domain::{
    audit::StoredEntry,
    query::{AuditQuery, Page},
};
use rusqlite::{Connection, params};

use crate::{
    fault::Fault,
    rows::{
        installation::{all, workspace_by_id},
        journal, sequence_column,
    },
    sealing::Sealing,
    sql::journal as sql,
};

/// A page of entries, newest first.
pub(crate) fn page(
    connection: &Connection,
    sealing: Option<&Sealing>,
    query: &AuditQuery,
) -> Result<Page<StoredEntry>, Fault> {
    let workspace = match query.workspace {
        None => None,
        Some(id) => match workspace_by_id(connection, id)? {
            None => return Ok(Page { items: Vec::new(), has_more: false }),
            Some(found) => Some(found.workspace.number.0),
        },
    };
    let statement = match (&query.target, workspace) {
        (Some(_), _) => sql::AUDIT_PAGE_OF_TARGET,
        (None, Some(_)) => sql::AUDIT_PAGE_OF_WORKSPACE,
        (None, None) => sql::AUDIT_PAGE,
    };
    let before = query.before.map_or(i64::MAX, sequence_column);
    let limit = u64::from(query.limit) + 1;
    let parameters = params![before, workspace, query.target, query.action, limit];
    let entries = all(connection, statement, parameters, |row| journal::entry(row, sealing))?;
    Ok(cut(entries, query.limit))
}

/// A page of at most `limit` of the items, of which one more was asked for.
pub(crate) fn cut<T>(mut items: Vec<T>, limit: u32) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    Page { items, has_more }
}
