//! Prompts to serve.

use keywright_domain::{
    ids::{ContextId, PromptId, WorkspaceId},
    prompt::{Choice, FoundItem, Prompt, PromptQuery, ServeQuery, Served, ServedPrompt, Version},
    query::Page,
};
use rusqlite::{Connection, params};

use crate::{
    fault::Fault,
    read::load,
    rows::{
        installation::{all, first},
        json, prompts,
    },
    sql::prompts as sql,
};

/// How many prompts are looked at together when a page is filled.
const BATCH: u32 = 200;
/// Comes after every prompt.
const BEFORE_ALL: [u8; 16] = [0xff; 16];

/// A page of prompts that match, newest first.
pub(crate) fn page(connection: &Connection, query: &PromptQuery) -> Result<Page<Prompt>, Fault> {
    let keep = |prompt: Prompt| Ok(query.filter.matches(&prompt).then_some(prompt));
    fill(connection, query.workspace, query.after, query.limit, keep)
}

/// Fills a page with what `keep` makes of a workspace's prompts, newest first.
fn fill<T>(
    connection: &Connection,
    workspace: WorkspaceId,
    after: Option<PromptId>,
    limit: u32,
    mut keep: impl FnMut(Prompt) -> Result<Option<T>, Fault>,
) -> Result<Page<T>, Fault> {
    let limit = limit as usize;
    let mut items = Vec::new();
    let mut before = after.map_or(BEFORE_ALL, PromptId::to_bytes);
    loop {
        let parameters = params![workspace.to_bytes(), before, BATCH];
        let batch = all(connection, sql::PROMPTS, parameters, prompts::prompt)?;
        let Some(last) = batch.last() else { return Ok(Page { items, has_more: false }) };
        before = last.id.to_bytes();
        for prompt in batch {
            if let Some(item) = keep(prompt)? {
                if items.len() == limit {
                    return Ok(Page { items, has_more: true });
                }
                items.push(item);
            }
        }
    }
}

/// Versions of a prompt before `before`, newest first.
pub(crate) fn versions(
    connection: &Connection,
    prompt: PromptId,
    before: Option<u32>,
    limit: u32,
) -> Result<Page<Version>, Fault> {
    let parameters = params![prompt.to_bytes(), before.unwrap_or(u32::MAX), u64::from(limit) + 1];
    let mut items = all(connection, sql::VERSIONS, parameters, prompts::version)?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    Ok(Page { items, has_more })
}

/// Prompts to serve, with the head of the log in the same snapshot.
pub(crate) fn serve(connection: &Connection, query: &ServeQuery) -> Result<Served, Fault> {
    let as_of = load::head(connection)?;
    match query {
        ServeQuery::One { workspace, slug, version, visibility } => {
            let parameters = params![workspace.to_bytes(), slug.as_str()];
            let found = first(connection, sql::PROMPT_BY_SLUG, parameters, prompts::prompt)?;
            let choice = found.and_then(|prompt| Some((Choice::of(&prompt, *version, *visibility)?, prompt)));
            let served = choice.map(|(choice, prompt)| served(connection, &prompt, choice)).transpose()?;
            Ok(Served { as_of, prompts: served.flatten().into_iter().collect(), has_more: false })
        }
        ServeQuery::Page { workspace, after, limit, visibility } => {
            let keep = |prompt: Prompt| match Choice::in_list(&prompt, *visibility) {
                Some(choice) => served(connection, &prompt, choice),
                None => Ok(None),
            };
            let page = fill(connection, *workspace, *after, *limit, keep)?;
            Ok(Served { as_of, prompts: page.items, has_more: page.has_more })
        }
    }
}

fn served(connection: &Connection, prompt: &Prompt, choice: Choice) -> Result<Option<ServedPrompt>, Fault> {
    let known = |context: &[ContextId]| match context {
        [] => Ok(Vec::new()),
        _ => all(connection, sql::CONTEXT_ITEMS, [prompt.id.to_bytes()], prompts::context_item),
    };
    match choice {
        Choice::Draft => Ok(Some(ServedPrompt::draft(prompt, &known(&prompt.context)?))),
        Choice::Version(number) => {
            let parameters = params![prompt.id.to_bytes(), number];
            let Some(version) = first(connection, sql::VERSION, parameters, prompts::version)? else {
                return Ok(None);
            };
            let known = known(&version.context)?;
            Ok(ServedPrompt::version(prompt, version, &known))
        }
    }
}

/// A context item with its prompt.
pub(crate) fn item(connection: &Connection, id: ContextId) -> Result<Option<FoundItem>, Fault> {
    let found = first(connection, sql::CONTEXT_ITEM, [id.to_bytes()], |row| {
        Ok((prompts::context_item(row)?, row.get::<_, bool>(5)?))
    })?;
    let Some((item, is_suspended)) = found else { return Ok(None) };
    let Some(prompt) = prompts::prompt_by_id(connection, item.prompt)? else { return Ok(None) };
    let contexts = all(connection, sql::VERSION_CONTEXTS, [item.prompt.to_bytes()], |row| {
        json::<Vec<ContextId>>(row, 0)
    })?;
    let is_published = contexts.iter().any(|context| context.contains(&id));
    Ok(Some(FoundItem { item, prompt, is_published, is_suspended }))
}
