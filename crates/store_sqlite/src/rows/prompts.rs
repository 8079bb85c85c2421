//! Prompts, their versions and context items.

use keywright_domain::{
    ids::{ContextId, PromptId, WorkspaceId},
    prompt::{ContextItem, Prompt, PromptSlug, Version, VersionMark},
    workspace::WorkspaceNumber,
};
use rusqlite::{Connection, Row, params};

use super::{
    bytes, installation::first, json, optional_text, optional_time, principal, principal_columns, text, time,
    time_column, to_json, unreadable,
};
use crate::{fault::Fault, sql::prompts as sql};

/// A prompt from its row.
pub(crate) fn prompt(row: &Row<'_>) -> Result<Prompt, Fault> {
    Ok(Prompt {
        id: PromptId::from_bytes(bytes(row, 0)?),
        workspace: WorkspaceId::from_bytes(bytes(row, 1)?),
        slug: PromptSlug::parse(text(row, 2)?).map_err(|_| unreadable(row, 2))?,
        draft: json(row, 3)?,
        context: json(row, 4)?,
        revision: row.get(5)?,
        published: row.get(6)?,
        latest: row.get(7)?,
        created_by: principal(row, 8)?,
        created_at: time(row, 10)?,
        updated_at: time(row, 11)?,
        archived_at: optional_time(row, 12)?,
    })
}

/// A version from its row.
pub(crate) fn version(row: &Row<'_>) -> Result<Version, Fault> {
    Ok(Version {
        number: row.get(0)?,
        content: json(row, 1)?,
        context: json(row, 2)?,
        published_at: time(row, 3)?,
        published_by: principal(row, 4)?,
        archived_at: optional_time(row, 6)?,
    })
}

/// A version's number, and whether it is archived.
pub(crate) fn version_mark(row: &Row<'_>) -> Result<VersionMark, Fault> {
    Ok(VersionMark { number: row.get(0)?, archived_at: optional_time(row, 1)? })
}

/// A context item from its row.
pub(crate) fn context_item(row: &Row<'_>) -> Result<ContextItem, Fault> {
    Ok(ContextItem {
        id: ContextId::from_bytes(bytes(row, 0)?),
        prompt: PromptId::from_bytes(bytes(row, 1)?),
        label: optional_text(row, 2)?.map(str::to_owned),
        kind: json(row, 3)?,
        created_at: time(row, 4)?,
    })
}

/// A prompt by id.
pub(crate) fn prompt_by_id(connection: &Connection, id: PromptId) -> Result<Option<Prompt>, Fault> {
    first(connection, sql::PROMPT_BY_ID, [id.to_bytes()], prompt)
}

/// Keeps a new prompt.
pub(crate) fn insert_prompt(
    connection: &Connection,
    prompt: &Prompt,
    workspace: WorkspaceNumber,
) -> Result<(), Fault> {
    let (kind, creator) = principal_columns(prompt.created_by);
    connection.prepare_cached(sql::INSERT_PROMPT)?.execute(params![
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
        prompt.created_at.unix_ms(),
        prompt.updated_at.unix_ms(),
        time_column(prompt.archived_at),
    ])?;
    Ok(())
}

/// Keeps what may change of a prompt.
pub(crate) fn update_prompt(connection: &Connection, prompt: &Prompt) -> Result<(), Fault> {
    connection.prepare_cached(sql::UPDATE_PROMPT)?.execute(params![
        prompt.id.to_bytes(),
        to_json(&prompt.draft),
        to_json(&prompt.context),
        prompt.revision,
        prompt.published,
        prompt.latest,
        prompt.updated_at.unix_ms(),
        time_column(prompt.archived_at),
    ])?;
    Ok(())
}

/// Keeps a new version.
pub(crate) fn insert_version(
    connection: &Connection,
    prompt: PromptId,
    version: &Version,
) -> Result<(), Fault> {
    let (kind, publisher) = principal_columns(version.published_by);
    connection.prepare_cached(sql::INSERT_VERSION)?.execute(params![
        prompt.to_bytes(),
        version.number,
        to_json(&version.content),
        to_json(&version.context),
        version.published_at.unix_ms(),
        kind,
        publisher,
        time_column(version.archived_at),
    ])?;
    Ok(())
}

/// Keeps a new context item with a file's pieces.
pub(crate) fn insert_item(
    connection: &Connection,
    item: &ContextItem,
    chunks: &[Vec<u8>],
    workspace: WorkspaceNumber,
) -> Result<(), Fault> {
    connection.prepare_cached(sql::INSERT_ITEM)?.execute(params![
        item.id.to_bytes(),
        item.prompt.to_bytes(),
        workspace.0,
        item.label,
        to_json(&item.kind),
        item.kind.size(),
        item.created_at.unix_ms(),
    ])?;
    let mut insert = connection.prepare_cached(sql::INSERT_CHUNK)?;
    for (position, bytes) in (0_u32..).zip(chunks) {
        insert.execute(params![item.id.to_bytes(), position, bytes])?;
    }
    Ok(())
}

/// Forgets a context item with a file's pieces.
pub(crate) fn delete_item(connection: &Connection, item: ContextId) -> Result<(), Fault> {
    connection.prepare_cached(sql::DELETE_CHUNKS)?.execute([item.to_bytes()])?;
    connection.prepare_cached(sql::DELETE_ITEM)?.execute([item.to_bytes()])?;
    Ok(())
}
