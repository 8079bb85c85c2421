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
use tokio_postgres::Row;

use super::{
    bytes, each, json, keys, number, optional_text, optional_time, permissions_column, principal_columns,
    text, time, to_json, unreadable,
};
use crate::{connect::Param, fault::Fault, params};

/// A workspace, and how many keys it has.
#[derive(Clone, Debug)]
pub(crate) struct CountedWorkspace {
    /// The workspace.
    pub(crate) workspace: Workspace,
    /// Number of keys that are not deleted.
    pub(crate) key_count: u32,
}

/// A workspace with its number of keys, from its row.
pub(crate) fn counted_workspace(row: &Row) -> Result<CountedWorkspace, Fault> {
    counted_workspace_at(row, 0)
}

/// A workspace with its number of keys, from the columns of a row that begin at `first`.
pub(crate) fn counted_workspace_at(row: &Row, first: usize) -> Result<CountedWorkspace, Fault> {
    Ok(CountedWorkspace { workspace: workspace_at(row, first)?, key_count: number(row, first + 8)? })
}

/// A workspace from its row.
pub(crate) fn workspace(row: &Row) -> Result<Workspace, Fault> {
    workspace_at(row, 0)
}

fn workspace_at(row: &Row, first: usize) -> Result<Workspace, Fault> {
    Ok(Workspace {
        number: WorkspaceNumber(number(row, first)?),
        id: WorkspaceId::from_bytes(bytes(row, first + 1)?),
        slug: Slug::parse(text(row, first + 2)?).map_err(|_| unreadable(row, first + 2))?,
        name: text(row, first + 3)?.to_owned(),
        plan: text(row, first + 4)?.to_owned(),
        policy: json(row, first + 5)?,
        suspended_at: optional_time(row, first + 6)?,
        created_at: time(row, first + 7)?,
        deletion: deletion(row, first + 9)?,
        former_slugs: former_slugs(row, first + 11)?,
    })
}

fn deletion(row: &Row, first: usize) -> Result<Option<Deletion>, Fault> {
    let (asked_at, purge_at) = (optional_time(row, first)?, optional_time(row, first + 1)?);
    Ok(asked_at.zip(purge_at).map(|(asked_at, purge_at)| Deletion { asked_at, purge_at }))
}

fn former_slugs(row: &Row, column: usize) -> Result<Vec<Slug>, Fault> {
    let Some(texts) = optional_text(row, column)? else { return Ok(Vec::new()) };
    let slugs = texts.split(' ').map(|slug| Slug::parse(slug).map_err(|_| unreadable(row, column)));
    let mut slugs = slugs.collect::<Result<Vec<_>, _>>()?;
    slugs.sort();
    Ok(slugs)
}

/// The parameters of a new workspace.
pub(crate) fn workspace_params(workspace: &Workspace) -> Vec<Param> {
    params![
        workspace.number.0,
        workspace.id.to_bytes(),
        workspace.slug.as_str(),
        &workspace.name,
        &workspace.plan,
        to_json(&workspace.policy),
        workspace.suspended_at,
        workspace.created_at,
    ]
}

/// The parameters of what may change of a workspace.
pub(crate) fn workspace_update_params(workspace: &Workspace) -> Vec<Param> {
    params![
        workspace.number.0,
        &workspace.name,
        &workspace.plan,
        to_json(&workspace.policy),
        workspace.suspended_at,
        workspace.slug.as_str(),
        workspace.deletion.map(|deletion| deletion.asked_at),
        workspace.deletion.map(|deletion| deletion.purge_at),
    ]
}

/// The parameters of a new membership.
pub(crate) fn membership_params(membership: &Membership, workspace: WorkspaceNumber) -> Vec<Param> {
    let (kind, id) = principal_columns(membership.principal);
    params![
        membership.number.0,
        workspace.0,
        kind,
        id,
        i64::from(membership.role as u8),
        membership.narrowed_to.map(permissions_column),
        membership.created_at,
        membership.ended_at,
        membership.disabled_at,
    ]
}

/// A plan from its row.
pub(crate) fn plan(row: &Row) -> Result<Plan, Fault> {
    Ok(Plan {
        name: text(row, 0)?.to_owned(),
        description: text(row, 1)?.to_owned(),
        key_limits: json(row, 2)?,
        workspace_limits: json(row, 3)?,
    })
}

/// The parameters of a plan.
pub(crate) fn plan_params(plan: &Plan) -> Vec<Param> {
    params![&plan.name, &plan.description, to_json(&plan.key_limits), to_json(&plan.workspace_limits)]
}

/// The permission catalogue from its rows.
pub(crate) fn catalogue(rows: &[Row]) -> Result<Catalogue, Fault> {
    let entries = each(rows, |row| {
        Ok(CatalogueEntry {
            bit: number(row, 0)?,
            name: PermissionName::parse(text(row, 1)?).map_err(|_| unreadable(row, 1))?,
            description: text(row, 2)?.to_owned(),
        })
    })?;
    Ok(Catalogue::from_entries(entries))
}

/// The parameters of a catalogue entry.
pub(crate) fn permission_params(entry: &CatalogueEntry) -> Vec<Param> {
    params![i64::from(entry.bit), entry.name.as_str(), &entry.description]
}

/// An operator credential from its row.
pub(crate) fn operator(row: &Row) -> Result<OperatorCredential, Fault> {
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

/// The parameters of a new operator credential.
pub(crate) fn operator_params(operator: &OperatorCredential) -> Vec<Param> {
    params![
        operator.id.to_bytes(),
        &operator.name,
        operator.secret.id.to_bytes(),
        operator.secret.locator.as_str(),
        &operator.secret.hint,
        i64::from(operator.secret.digest.pepper),
        operator.secret.digest.bytes,
        operator.created_at,
        operator.revoked_at,
    ]
}
