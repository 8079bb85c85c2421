//! Prompts, their versions and context items.

use keywright_domain::{
    ids::{ContextId, PromptId, WorkspaceId},
    prompt::{ContextItem, Prompt, PromptSlug, Version, VersionMark},
    workspace::WorkspaceNumber,
};
use tokio_postgres::Row;

use super::{
    bytes, json, number, optional_number, optional_text, optional_time, principal, principal_columns, text,
    time, to_json, unreadable,
};
use crate::{connect::Param, fault::Fault, params};

/// A prompt from its row.
pub(crate) fn prompt(row: &Row) -> Result<Prompt, Fault> {
    Ok(Prompt {
        id: PromptId::from_bytes(bytes(row, 0)?),
        workspace: WorkspaceId::from_bytes(bytes(row, 1)?),
        slug: PromptSlug::parse(text(row, 2)?).map_err(|_| unreadable(row, 2))?,
        draft: json(row, 3)?,
        context: json(row, 4)?,
        revision: number(row, 5)?,
        published: number(row, 6)?,
        latest: optional_number(row, 7)?,
        created_by: principal(row, 8)?,
        created_at: time(row, 10)?,
        updated_at: time(row, 11)?,
        archived_at: optional_time(row, 12)?,
    })
}

/// A version from its row.
pub(crate) fn version(row: &Row) -> Result<Version, Fault> {
    Ok(Version {
        number: number(row, 0)?,
        content: json(row, 1)?,
        context: json(row, 2)?,
        published_at: time(row, 3)?,
        published_by: principal(row, 4)?,
        archived_at: optional_time(row, 6)?,
    })
}

/// A version's number, and whether it is archived.
pub(crate) fn version_mark(row: &Row) -> Result<VersionMark, Fault> {
    Ok(VersionMark { number: number(row, 0)?, archived_at: optional_time(row, 1)? })
}

/// A context item from its row.
pub(crate) fn context_item(row: &Row) -> Result<ContextItem, Fault> {
    Ok(ContextItem {
        id: ContextId::from_bytes(bytes(row, 0)?),
        prompt: PromptId::from_bytes(bytes(row, 1)?),
        label: optional_text(row, 2)?.map(str::to_owned),
        kind: json(row, 3)?,
        created_at: time(row, 4)?,
    })
}

/// The parameters of a new prompt.
pub(crate) fn prompt_params(prompt: &Prompt, workspace: WorkspaceNumber) -> Vec<Param> {
    let (kind, creator) = principal_columns(prompt.created_by);
    params![
        prompt.id.to_bytes(),
        workspace.0,
        prompt.slug.as_str(),
        to_json(&prompt.draft),
        to_json(&prompt.context),
        prompt.revision,
        prompt.published,
        prompt.latest,
        kind,
        creator,
        prompt.created_at,
        prompt.updated_at,
        prompt.archived_at,
    ]
}

/// The parameters of what may change of a prompt.
pub(crate) fn prompt_update_params(prompt: &Prompt) -> Vec<Param> {
    params![
        prompt.id.to_bytes(),
        to_json(&prompt.draft),
        to_json(&prompt.context),
        prompt.revision,
        prompt.published,
        prompt.latest,
        prompt.updated_at,
        prompt.archived_at,
    ]
}

/// The parameters of a new version.
pub(crate) fn version_params(prompt: PromptId, version: &Version) -> Vec<Param> {
    let (kind, publisher) = principal_columns(version.published_by);
    params![
        prompt.to_bytes(),
        version.number,
        to_json(&version.content),
        to_json(&version.context),
        version.published_at,
        kind,
        publisher,
        version.archived_at,
    ]
}

/// The parameters of a new context item.
pub(crate) fn item_params(item: &ContextItem, workspace: WorkspaceNumber) -> Vec<Param> {
    params![
        item.id.to_bytes(),
        item.prompt.to_bytes(),
        workspace.0,
        item.label.as_deref(),
        to_json(&item.kind),
        item.kind.size(),
        item.created_at,
    ]
}
