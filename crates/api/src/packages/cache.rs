//! Rendered answers in memory. An entry counts until the workspace's prompts change, which the engine hears of through
//! the change log, on every node.

use std::sync::Arc;

use foldhash::quality::RandomState;
use keywright_domain::{prompt::ServeQuery, workspace::WorkspaceNumber};
use keywright_engine::Engine;
use quick_cache::{
    Weighter,
    sync::{Cache, DefaultLifecycle},
};

use crate::caps::PROMPT_CACHE_BYTES;

/// Entries that the cache makes room for at first; it is bounded by weight.
const ENTRIES_EXPECTED: usize = 20_000;
/// What an entry takes beside its body, about.
const ENTRY_OVERHEAD_BYTES: u64 = 256;

/// An answer as it was rendered.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    /// The change log's head when it was read.
    pub(crate) as_of: u64,
    /// The body; `None`: there is nothing to serve.
    pub(crate) body: Option<Arc<str>>,
}

#[derive(Clone)]
struct BodyWeight;

impl Weighter<ServeQuery, Rendered> for BodyWeight {
    fn weight(&self, _query: &ServeQuery, rendered: &Rendered) -> u64 {
        ENTRY_OVERHEAD_BYTES + rendered.body.as_ref().map_or(0, |body| body.len() as u64)
    }
}

/// Rendered answers, at most [`PROMPT_CACHE_BYTES`] of them. Cheap to clone; clones share their entries.
#[derive(Clone)]
pub struct PromptCache(Arc<Cache<ServeQuery, Rendered, BodyWeight, RandomState>>);

impl Default for PromptCache {
    fn default() -> Self {
        Self(Arc::new(Cache::with(
            ENTRIES_EXPECTED,
            PROMPT_CACHE_BYTES,
            BodyWeight,
            RandomState::default(),
            DefaultLifecycle::default(),
        )))
    }
}

impl PromptCache {
    /// What was rendered for `query`, if the workspace's prompts have not changed since.
    pub(crate) fn get(
        &self,
        engine: &Engine,
        workspace: WorkspaceNumber,
        query: &ServeQuery,
    ) -> Option<Rendered> {
        let rendered = self.0.get(query)?;
        (rendered.as_of >= engine.prompts_changed_at(workspace)).then_some(rendered)
    }

    /// Keeps what was rendered for `query`.
    pub(crate) fn put(&self, query: ServeQuery, rendered: Rendered) {
        self.0.insert(query, rendered);
    }
}
