//! Questions about prompts.

use async_trait::async_trait;
use keywright_domain::{
    ids::{ContextId, PromptId, WorkspaceId},
    prompt::{
        ContextItem, FoundItem, Prompt, PromptQuery, PromptSlug, PromptStore, ServeQuery, Served, Version,
    },
    query::Page,
    store::StoreError,
};

use crate::{
    params, read,
    rows::{blob, each, prompts},
    sql::prompts as sql,
    store::PostgresStore,
};

#[async_trait]
impl PromptStore for PostgresStore {
    async fn prompt(&self, workspace: WorkspaceId, slug: PromptSlug) -> Result<Option<Prompt>, StoreError> {
        self.ask(|connected| async move {
            let values = params![workspace.to_bytes(), slug.as_str()];
            let row = connected.first(sql::PROMPT_BY_SLUG, values).await?;
            row.as_ref().map(prompts::prompt).transpose()
        })
        .await
    }

    async fn prompts(&self, query: PromptQuery) -> Result<Page<Prompt>, StoreError> {
        self.ask(|connected| async move { read::prompts::page(&connected, &query).await }).await
    }

    async fn prompt_version(&self, prompt: PromptId, number: u32) -> Result<Option<Version>, StoreError> {
        self.ask(|connected| async move {
            let row = connected.first(sql::VERSION, params![prompt.to_bytes(), number]).await?;
            row.as_ref().map(prompts::version).transpose()
        })
        .await
    }

    async fn prompt_versions(
        &self,
        prompt: PromptId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Page<Version>, StoreError> {
        self.ask(|connected| async move {
            let values = params![prompt.to_bytes(), before.unwrap_or(u32::MAX), u64::from(limit) + 1];
            let rows = connected.query(sql::VERSIONS, values).await?;
            Ok(read::journal::cut(each(&rows, prompts::version)?, limit))
        })
        .await
    }

    async fn context_items(&self, prompt: PromptId) -> Result<Vec<ContextItem>, StoreError> {
        self.ask(|connected| async move {
            let rows = connected.query(sql::CONTEXT_ITEMS, params![prompt.to_bytes()]).await?;
            each(&rows, prompts::context_item)
        })
        .await
    }

    async fn context_item(&self, item: ContextId) -> Result<Option<FoundItem>, StoreError> {
        self.ask(|connected| async move { read::prompts::item(&connected, item).await }).await
    }

    async fn context_chunk(&self, item: ContextId, position: u32) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(|connected| async move {
            let row = connected.first(sql::CHUNK, params![item.to_bytes(), position]).await?;
            row.as_ref().map(|row| Ok(blob(row, 0)?.to_vec())).transpose()
        })
        .await
    }

    async fn serve_prompts(&self, query: ServeQuery) -> Result<Served, StoreError> {
        self.ask(|connected| async move { read::prompts::serve(&connected, &query).await }).await
    }
}
