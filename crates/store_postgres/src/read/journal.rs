//! The audit trail.

use keywright_domain::{
    audit::StoredEntry,
    ids::WorkspaceId,
    query::{AuditQuery, Page},
};

use crate::{
    connect::Connected,
    fault::Fault,
    params,
    rows::{each, journal},
    sealing::Sealing,
    sql::journal as sql,
};

/// A page of entries, newest first.
pub(crate) async fn page(
    connected: &Connected,
    sealing: &Sealing,
    query: &AuditQuery,
) -> Result<Page<StoredEntry>, Fault> {
    let before = query.before.unwrap_or(u64::MAX);
    let mut parameters = params![before, query.action.as_deref(), u64::from(query.limit) + 1];
    let workspace = query.workspace.map(WorkspaceId::to_bytes);
    let statement = match (&query.target, workspace) {
        (Some(target), _) => {
            parameters.extend(params![workspace, target]);
            sql::AUDIT_PAGE_OF_TARGET
        }
        (None, Some(id)) => {
            parameters.extend(params![id]);
            sql::AUDIT_PAGE_OF_WORKSPACE
        }
        (None, None) => sql::AUDIT_PAGE,
    };
    let rows = connected.query(statement, parameters).await?;
    Ok(cut(each(&rows, |row| journal::entry(row, sealing))?, query.limit))
}

/// A page of at most `limit` of the items, of which one more was asked for.
pub(crate) fn cut<T>(mut items: Vec<T>, limit: u32) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = items.len() > limit;
    items.truncate(limit);
    Page { items, has_more }
}
