//! Workspaces, members, plans, permissions and operator credentials.

use keywright_domain::{
    ids::{OperatorId, SecretId, WorkspaceId},
    key::KeySecret,
    operator::OperatorCredential,
    permission::{Catalogue, CatalogueEntry, PermissionName},
    plan::Plan,
    principal::Membership,
    workspace::{Deletion, Slug, Workspace, WorkspaceNumber},
};
use rusqlite::{Connection, OptionalExtension as _, Params, Row, params};

use super::{
    bytes, json, keys, optional_text, optional_time, permissions_column, principal_columns, text, time,
    time_column, to_json, unreadable,
};
use crate::{fault::Fault, sql::installation as sql};

/// A workspace, and how many keys it has.
#[derive(Clone, Debug)]
pub(crate) struct CountedWorkspace {
    /// The workspace.
    pub(crate) workspace: Workspace,
    /// Number of keys that are not deleted.
    pub(crate) key_count: u32,
}

/// All values that `read` makes of the rows of `statement`.
pub(crate) fn all<T>(
    connection: &Connection,
    statement: &str,
    parameters: impl Params,
    read: impl Fn(&Row<'_>) -> Result<T, Fault>,
) -> Result<Vec<T>, Fault> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(parameters)?;
    let mut values = Vec::new();
    while let Some(row) = rows.next()? {
        values.push(read(row)?);
    }
    Ok(values)
}

/// The value that `read` makes of the first row of `statement`, if there is one.
pub(crate) fn first<T>(
    connection: &Connection,
    statement: &str,
    parameters: impl Params,
    read: impl FnOnce(&Row<'_>) -> Result<T, Fault>,
) -> Result<Option<T>, Fault> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(read).transpose()
}

/// A workspace by id.
pub(crate) fn workspace_by_id(
    connection: &Connection,
    id: WorkspaceId,
) -> Result<Option<CountedWorkspace>, Fault> {
    first(connection, sql::WORKSPACE_BY_ID, [id.to_bytes()], counted_workspace)
}

/// A workspace by number.
pub(crate) fn workspace_by_number(
    connection: &Connection,
    number: u32,
) -> Result<Option<CountedWorkspace>, Fault> {
    first(connection, sql::WORKSPACE_BY_NUMBER, [number], counted_workspace)
}

/// A workspace by slug.
pub(crate) fn workspace_by_slug(
    connection: &Connection,
    slug: &Slug,
) -> Result<Option<CountedWorkspace>, Fault> {
    first(connection, sql::WORKSPACE_BY_SLUG, [slug.as_str()], counted_workspace)
}

/// A workspace with its number of keys, from its row.
pub(crate) fn counted_workspace(row: &Row<'_>) -> Result<CountedWorkspace, Fault> {
    Ok(CountedWorkspace { workspace: workspace(row)?, key_count: row.get(8)? })
}

/// A workspace from its row.
pub(crate) fn workspace(row: &Row<'_>) -> Result<Workspace, Fault> {
    Ok(Workspace {
        number: WorkspaceNumber(row.get(0)?),
        id: WorkspaceId::from_bytes(bytes(row, 1)?),
        slug: Slug::parse(text(row, 2)?).map_err(|_| unreadable(row, 2))?,
        name: text(row, 3)?.to_owned(),
        plan: text(row, 4)?.to_owned(),
        policy: json(row, 5)?,
        suspended_at: optional_time(row, 6)?,
        created_at: time(row, 7)?,
        deletion: deletion(row)?,
        former_slugs: former_slugs(row)?,
    })
}

fn deletion(row: &Row<'_>) -> Result<Option<Deletion>, Fault> {
    let (asked_at, purge_at) = (optional_time(row, 9)?, optional_time(row, 10)?);
    Ok(asked_at.zip(purge_at).map(|(asked_at, purge_at)| Deletion { asked_at, purge_at }))
}

fn former_slugs(row: &Row<'_>) -> Result<Vec<Slug>, Fault> {
    let Some(texts) = optional_text(row, 11)? else { return Ok(Vec::new()) };
    let slugs = texts.split(' ').map(|slug| Slug::parse(slug).map_err(|_| unreadable(row, 11)));
    let mut slugs = slugs.collect::<Result<Vec<_>, _>>()?;
    slugs.sort();
    Ok(slugs)
}

/// Keeps a new workspace.
pub(crate) fn insert_workspace(connection: &Connection, workspace: &Workspace) -> Result<(), Fault> {
    connection.prepare_cached(sql::INSERT_WORKSPACE)?.execute(params![
        workspace.number.0,
        workspace.id.to_bytes(),
        workspace.slug.as_str(),
        workspace.name,
        workspace.plan,
        to_json(&workspace.policy),
        time_column(workspace.suspended_at),
        workspace.created_at.unix_ms(),
    ])?;
    Ok(())
}

/// Keeps what changed of a workspace from `before` to `after`.
pub(crate) fn update_workspace(
    connection: &Connection,
    before: &Workspace,
    after: &Workspace,
) -> Result<(), Fault> {
    connection.prepare_cached(sql::UPDATE_WORKSPACE)?.execute(params![
        after.number.0,
        after.name,
        after.plan,
        to_json(&after.policy),
        time_column(after.suspended_at),
        after.slug.as_str(),
        time_column(after.deletion.map(|deletion| deletion.asked_at)),
        time_column(after.deletion.map(|deletion| deletion.purge_at)),
    ])?;
    if before.former_slugs == after.former_slugs {
        return Ok(());
    }
    connection.prepare_cached(sql::DELETE_FORMER_SLUGS)?.execute([after.number.0])?;
    let mut statement = connection.prepare_cached(sql::INSERT_FORMER_SLUG)?;
    for slug in &after.former_slugs {
        statement.execute(params![slug.as_str(), after.number.0])?;
    }
    Ok(())
}

/// Keeps a new membership.
pub(crate) fn insert_membership(
    connection: &Connection,
    membership: &Membership,
    workspace: WorkspaceNumber,
) -> Result<(), Fault> {
    let (kind, id) = principal_columns(membership.principal);
    connection.prepare_cached(sql::INSERT_MEMBERSHIP)?.execute(params![
        membership.number.0,
        workspace.0,
        kind,
        id,
        membership.role as u8,
        membership.narrowed_to.map(permissions_column),
        membership.created_at.unix_ms(),
        time_column(membership.ended_at),
        time_column(membership.disabled_at),
    ])?;
    Ok(())
}

/// All plans, by name.
pub(crate) fn plans(connection: &Connection) -> Result<Vec<Plan>, Fault> {
    all(connection, sql::PLANS, [], read_plan)
}

/// A plan by name.
pub(crate) fn plan(connection: &Connection, name: &str) -> Result<Option<Plan>, Fault> {
    first(connection, sql::PLAN, [name], read_plan)
}

fn read_plan(row: &Row<'_>) -> Result<Plan, Fault> {
    Ok(Plan {
        name: text(row, 0)?.to_owned(),
        description: text(row, 1)?.to_owned(),
        key_limits: json(row, 2)?,
        workspace_limits: json(row, 3)?,
    })
}

/// Keeps a plan by `statement`, [`sql::PUT_PLAN`] or [`sql::SEED_PLAN`].
pub(crate) fn put_plan(connection: &Connection, statement: &str, plan: &Plan) -> Result<(), Fault> {
    connection.prepare_cached(statement)?.execute(params![
        plan.name,
        plan.description,
        to_json(&plan.key_limits),
        to_json(&plan.workspace_limits),
    ])?;
    Ok(())
}

/// The permission catalogue.
pub(crate) fn catalogue(connection: &Connection) -> Result<Catalogue, Fault> {
    let entries = all(connection, sql::PERMISSIONS, [], |row| {
        Ok(CatalogueEntry {
            bit: row.get(0)?,
            name: PermissionName::parse(text(row, 1)?).map_err(|_| unreadable(row, 1))?,
            description: text(row, 2)?.to_owned(),
        })
    })?;
    Ok(Catalogue::from_entries(entries))
}

/// Keeps a catalogue entry by `statement`, [`sql::PUT_PERMISSION`] or [`sql::SEED_PERMISSION`].
pub(crate) fn put_permission(
    connection: &Connection,
    statement: &str,
    entry: &CatalogueEntry,
) -> Result<(), Fault> {
    connection.prepare_cached(statement)?.execute(params![
        entry.bit,
        entry.name.as_str(),
        entry.description
    ])?;
    Ok(())
}

/// All operator credentials, oldest first.
pub(crate) fn operators(connection: &Connection) -> Result<Vec<OperatorCredential>, Fault> {
    all(connection, sql::OPERATORS, [], read_operator)
}

/// An operator credential by id.
pub(crate) fn operator(connection: &Connection, id: OperatorId) -> Result<Option<OperatorCredential>, Fault> {
    first(connection, sql::OPERATOR, [id.to_bytes()], read_operator)
}

/// Whether an operator credential exists, revoked or not.
pub(crate) fn is_set_up(connection: &Connection) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached(sql::ANY_OPERATOR)?;
    Ok(statement.query_row([], |_| Ok(())).optional()?.is_some())
}

fn read_operator(row: &Row<'_>) -> Result<OperatorCredential, Fault> {
    let created_at = time(row, 7)?;
    let secret = KeySecret {
        id: SecretId::from_bytes(bytes(row, 2)?),
        ordinal: 1,
        locator: keys::locator(row, 3)?,
        hint: text(row, 4)?.to_owned(),
        digest: keys::digest(row, 5)?,
        created_at,
        expires_at: None,
        retired_at: None,
    };
    Ok(OperatorCredential {
        id: OperatorId::from_bytes(bytes(row, 0)?),
        name: text(row, 1)?.to_owned(),
        secret,
        created_at,
        revoked_at: optional_time(row, 8)?,
    })
}

/// Keeps a new operator credential.
pub(crate) fn insert_operator(connection: &Connection, operator: &OperatorCredential) -> Result<(), Fault> {
    connection.prepare_cached(sql::INSERT_OPERATOR)?.execute(params![
        operator.id.to_bytes(),
        operator.name,
        operator.secret.id.to_bytes(),
        operator.secret.locator.as_str(),
        operator.secret.hint,
        operator.secret.digest.pepper,
        operator.secret.digest.bytes,
        operator.created_at.unix_ms(),
        time_column(operator.revoked_at),
    ])?;
    Ok(())
}

/// The number in the only column of the only row of `statement`.
pub(crate) fn count(connection: &Connection, statement: &str, parameters: impl Params) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached(statement)?;
    Ok(statement.query_row(parameters, |row| row.get::<_, Option<u64>>(0))?.unwrap_or(0))
}
