use async_trait::async_trait;
use keywright_domain::{
    ids::{ContextId, PromptId, WorkspaceId},
    prompt::{
        ContextItem, FoundItem, Prompt, PromptQuery, PromptSlug, PromptStore, ServeQuery, Served, Version,
    },
    query::Page,
    store::{Store, StoreError},
};

use super::FaultyStore;

#[async_trait]
impl<S: Store> PromptStore for FaultyStore<S> {
    async fn prompt(&self, workspace: WorkspaceId, slug: PromptSlug) -> Result<Option<Prompt>, StoreError> {
        self.question(self.inner.prompt(workspace, slug)).await
    }

    async fn prompts(&self, query: PromptQuery) -> Result<Page<Prompt>, StoreError> {
        self.question(self.inner.prompts(query)).await
    }

    async fn prompt_version(&self, prompt: PromptId, number: u32) -> Result<Option<Version>, StoreError> {
        self.question(self.inner.prompt_version(prompt, number)).await
    }

    async fn prompt_versions(
        &self,
        prompt: PromptId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Page<Version>, StoreError> {
        self.question(self.inner.prompt_versions(prompt, before, limit)).await
    }

    async fn context_items(&self, prompt: PromptId) -> Result<Vec<ContextItem>, StoreError> {
        self.question(self.inner.context_items(prompt)).await
    }

    async fn context_item(&self, item: ContextId) -> Result<Option<FoundItem>, StoreError> {
        self.question(self.inner.context_item(item)).await
    }

    async fn context_chunk(&self, item: ContextId, position: u32) -> Result<Option<Vec<u8>>, StoreError> {
        self.question(self.inner.context_chunk(item, position)).await
    }

    async fn serve_prompts(&self, query: ServeQuery) -> Result<Served, StoreError> {
        self.question(self.inner.serve_prompts(query)).await
    }
}
