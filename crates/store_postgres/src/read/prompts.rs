//! Prompts, and prompts to serve.

use keywright_domain::{
    ids::{ContextId, PromptId, WorkspaceId},
    prompt::{
        Choice, ContextItem, FoundItem, Prompt, PromptQuery, ServeQuery, Served, ServedPrompt, Visibility,
    },
    query::Page,
};

use crate::{
    connect::Connected,
    fault::Fault,
    params,
    rows::{each, flag, json, number, prompts},
    sql::{journal, prompts as sql},
};

/// How many prompts are looked at together when a page is filled.
const BATCH: usize = 200;
/// Comes after every prompt.
const BEFORE_ALL: [u8; 16] = [0xff; 16];

/// A workspace's prompts, newest first, batch by batch.
struct Batches<'a> {
    connected: &'a Connected,
    workspace: WorkspaceId,
    before: Option<[u8; 16]>,
}

impl<'a> Batches<'a> {
    fn new(connected: &'a Connected, workspace: WorkspaceId, after: Option<PromptId>) -> Self {
        Self { connected, workspace, before: Some(after.map_or(BEFORE_ALL, PromptId::to_bytes)) }
    }

    /// The next prompts; none: there are no more.
    async fn next(&mut self) -> Result<Vec<Prompt>, Fault> {
        let Some(before) = self.before else { return Ok(Vec::new()) };
        let values = params![self.workspace.to_bytes(), before, BATCH];
        let batch = each(&self.connected.query(sql::PROMPTS, values).await?, prompts::prompt)?;
        self.before = batch.last().filter(|_| batch.len() == BATCH).map(|last| last.id.to_bytes());
        Ok(batch)
    }
}

/// A page of prompts that match, newest first.
pub(crate) async fn page(connected: &Connected, query: &PromptQuery) -> Result<Page<Prompt>, Fault> {
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let mut batches = Batches::new(connected, query.workspace, query.after);
    let mut items = Vec::new();
    loop {
        let batch = batches.next().await?;
        if batch.is_empty() {
            return Ok(Page { items, has_more: false });
        }
        for prompt in batch.into_iter().filter(|prompt| query.filter.matches(prompt)) {
            if items.len() == limit {
                return Ok(Page { items, has_more: true });
            }
            items.push(prompt);
        }
    }
}

/// Prompts to serve. The head is read first: what is read after it may be newer, never older, and is then read once more
/// than needed.
pub(crate) async fn serve(connected: &Connected, query: &ServeQuery) -> Result<Served, Fault> {
    let head = connected.first(journal::SEQUENCE, params![]).await?;
    let head = head.ok_or_else(|| Fault::Damaged("the table head is empty".to_owned()))?;
    let as_of = number(&head, 0)?;
    match query {
        ServeQuery::One { workspace, slug, version, visibility } => {
            let values = params![workspace.to_bytes(), slug.as_str()];
            let row = connected.first(sql::PROMPT_BY_SLUG, values).await?;
            let found = row.as_ref().map(prompts::prompt).transpose()?;
            let choice = found.and_then(|prompt| Some((Choice::of(&prompt, *version, *visibility)?, prompt)));
            let prompts = match choice {
                Some((choice, prompt)) => served(connected, &prompt, choice).await?.into_iter().collect(),
                None => Vec::new(),
            };
            Ok(Served { as_of, prompts, has_more: false })
        }
        ServeQuery::Page { workspace, after, limit, visibility } => {
            let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
            let batches = Batches::new(connected, *workspace, *after);
            let (prompts, has_more) = served_page(connected, batches, limit, *visibility).await?;
            Ok(Served { as_of, prompts, has_more })
        }
    }
}

async fn served_page(
    connected: &Connected,
    mut batches: Batches<'_>,
    limit: usize,
    visibility: Visibility,
) -> Result<(Vec<ServedPrompt>, bool), Fault> {
    let mut page = Vec::new();
    loop {
        let batch = batches.next().await?;
        if batch.is_empty() {
            return Ok((page, false));
        }
        for prompt in batch {
            let Some(choice) = Choice::in_list(&prompt, visibility) else { continue };
            if page.len() == limit {
                return Ok((page, true));
            }
            page.extend(served(connected, &prompt, choice).await?);
        }
    }
}

async fn served(
    connected: &Connected,
    prompt: &Prompt,
    choice: Choice,
) -> Result<Option<ServedPrompt>, Fault> {
    match choice {
        Choice::Draft => {
            let known = items(connected, prompt.id, &prompt.context).await?;
            Ok(Some(ServedPrompt::draft(prompt, &known)))
        }
        Choice::Version(number) => {
            let values = params![prompt.id.to_bytes(), number];
            let row = connected.first(sql::VERSION, values).await?;
            let Some(version) = row.as_ref().map(prompts::version).transpose()? else { return Ok(None) };
            let known = items(connected, prompt.id, &version.context).await?;
            Ok(ServedPrompt::version(prompt, version, &known))
        }
    }
}

async fn items(
    connected: &Connected,
    prompt: PromptId,
    context: &[ContextId],
) -> Result<Vec<ContextItem>, Fault> {
    if context.is_empty() {
        return Ok(Vec::new());
    }
    each(&connected.query(sql::CONTEXT_ITEMS, params![prompt.to_bytes()]).await?, prompts::context_item)
}

/// A context item with its prompt.
pub(crate) async fn item(connected: &Connected, id: ContextId) -> Result<Option<FoundItem>, Fault> {
    let row = connected.first(sql::CONTEXT_ITEM, params![id.to_bytes()]).await?;
    let Some(row) = row else { return Ok(None) };
    let (item, is_suspended) = (prompts::context_item(&row)?, flag(&row, 5)?);
    let row = connected.first(sql::PROMPT_BY_ID, params![item.prompt.to_bytes()]).await?;
    let Some(prompt) = row.as_ref().map(prompts::prompt).transpose()? else { return Ok(None) };
    let rows = connected.query(sql::VERSION_CONTEXTS, params![item.prompt.to_bytes()]).await?;
    let contexts = each(&rows, |row| json::<Vec<ContextId>>(row, 0))?;
    let is_published = contexts.iter().any(|context| context.contains(&id));
    Ok(Some(FoundItem { item, prompt, is_published, is_suspended }))
}
