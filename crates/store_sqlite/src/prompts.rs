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
use rusqlite::params;

use crate::{
    read,
    rows::{
        installation::{all, first},
        prompts,
    },
    sql::prompts as sql,
    store::SqliteStore,
};

#[async_trait]
impl PromptStore for SqliteStore {
    async fn prompt(&self, workspace: WorkspaceId, slug: PromptSlug) -> Result<Option<Prompt>, StoreError> {
        self.ask(move |connection| {
            let parameters = params![workspace.to_bytes(), slug.as_str()];
            first(connection, sql::PROMPT_BY_SLUG, parameters, prompts::prompt)
        })
        .await
    }

    async fn prompts(&self, query: PromptQuery) -> Result<Page<Prompt>, StoreError> {
        self.ask(move |connection| read::prompts::page(connection, &query)).await
    }

    async fn prompt_version(&self, prompt: PromptId, number: u32) -> Result<Option<Version>, StoreError> {
        self.ask(move |connection| {
            first(connection, sql::VERSION, params![prompt.to_bytes(), number], prompts::version)
        })
        .await
    }

    async fn prompt_versions(
        &self,
        prompt: PromptId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Page<Version>, StoreError> {
        self.ask(move |connection| read::prompts::versions(connection, prompt, before, limit)).await
    }

    async fn context_items(&self, prompt: PromptId) -> Result<Vec<ContextItem>, StoreError> {
        self.ask(move |connection| {
            all(connection, sql::CONTEXT_ITEMS, [prompt.to_bytes()], prompts::context_item)
        })
        .await
    }

    async fn context_item(&self, item: ContextId) -> Result<Option<FoundItem>, StoreError> {
        self.ask(move |connection| read::prompts::item(connection, item)).await
    }

    async fn context_chunk(&self, item: ContextId, position: u32) -> Result<Option<Vec<u8>>, StoreError> {
        self.ask(move |connection| {
            first(connection, sql::CHUNK, params![item.to_bytes(), position], |row| Ok(row.get(0)?))
        })
        .await
    }

    async fn serve_prompts(&self, query: ServeQuery) -> Result<Served, StoreError> {
        self.ask(move |connection| read::prompts::serve(connection, &query)).await
    }
}
