//! Questions about prompts.

use async_trait::async_trait;

use super::{Content, ContextItem, Prompt, PromptSlug, Version, VersionRef};
use crate::{
    ids::{ContextId, PromptId, WorkspaceId},
    principal::Principal,
    query::Page,
    store::StoreError,
    time::Timestamp,
};

/// What a prompt must be to match. `None` means any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptFilter {
    /// The category, exactly.
    pub category: Option<String>,
    /// One of the tags, exactly.
    pub tag: Option<String>,
    /// Part of the slug or title, in any case.
    pub search: Option<String>,
    /// Whether it is archived.
    pub archived: Option<bool>,
}

impl PromptFilter {
    /// Whether `prompt` matches.
    pub fn matches(&self, prompt: &Prompt) -> bool {
        let contains = |text: &str, part: &str| text.to_lowercase().contains(part);
        self.category.as_ref().is_none_or(|category| prompt.draft.category.as_ref() == Some(category))
            && self.tag.as_ref().is_none_or(|tag| prompt.draft.tags.contains(tag))
            && self.archived.is_none_or(|archived| prompt.archived_at.is_some() == archived)
            && self.search.as_ref().is_none_or(|part| {
                let part = part.to_lowercase();
                contains(prompt.slug.as_str(), &part) || contains(&prompt.draft.title, &part)
            })
    }
}

/// A question for a page of prompts, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PromptQuery {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Which prompts.
    pub filter: PromptFilter,
    /// Continue after this prompt.
    pub after: Option<PromptId>,
    /// Size of the page.
    pub limit: u32,
}

/// Whose drafts a caller sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// All of the workspace: the caller may write prompts.
    All,
    /// Those that this principal created.
    Own(Principal),
    /// None.
    Published,
}

impl Visibility {
    /// Whether the caller sees the draft of `prompt`.
    pub fn shows_draft_of(self, prompt: &Prompt) -> bool {
        match self {
            Self::All => true,
            Self::Own(principal) => prompt.created_by == principal,
            Self::Published => false,
        }
    }
}

/// A question for prompts to serve.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServeQuery {
    /// One version of one prompt.
    One {
        /// The workspace.
        workspace: WorkspaceId,
        /// The prompt.
        slug: PromptSlug,
        /// Which version.
        version: VersionRef,
        /// Whose drafts the caller sees.
        visibility: Visibility,
    },
    /// A page of prompts that are not archived, newest first: of each its latest version, or where there is none and
    /// the caller sees it, its draft.
    Page {
        /// The workspace.
        workspace: WorkspaceId,
        /// Continue after this prompt.
        after: Option<PromptId>,
        /// Size of the page.
        limit: u32,
        /// Whose drafts the caller sees.
        visibility: Visibility,
    },
}

/// One version of a prompt, ready to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedPrompt {
    /// The prompt.
    pub prompt: PromptId,
    /// Its name in addresses.
    pub slug: PromptSlug,
    /// When it was created.
    pub created_at: Timestamp,
    /// The version's number; 0: the draft.
    pub version: u32,
    /// What it holds.
    pub content: Content,
    /// When it was published, or the draft last changed.
    pub generated_at: Timestamp,
    /// Its context items, in order.
    pub items: Vec<ContextItem>,
}

/// What there is to serve of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The draft.
    Draft,
    /// A version, if there is one of this number that is not archived.
    Version(u32),
}

impl Choice {
    /// What a caller gets of `prompt` who asks for `version`; `None`: nothing, as if it did not exist.
    pub fn of(prompt: &Prompt, version: VersionRef, visibility: Visibility) -> Option<Self> {
        if prompt.archived_at.is_some() {
            return None;
        }
        match version {
            VersionRef::Draft => visibility.shows_draft_of(prompt).then_some(Self::Draft),
            VersionRef::Number(number) => Some(Self::Version(number)),
            VersionRef::Latest => prompt.latest.map(Self::Version),
        }
    }

    /// What a caller gets of `prompt` in a list: its latest version, else its draft.
    pub fn in_list(prompt: &Prompt, visibility: Visibility) -> Option<Self> {
        let version = if prompt.latest.is_some() { VersionRef::Latest } else { VersionRef::Draft };
        Self::of(prompt, version, visibility)
    }
}

impl ServedPrompt {
    /// The draft of `prompt`; `known` are its context items.
    pub fn draft(prompt: &Prompt, known: &[ContextItem]) -> Self {
        Self {
            prompt: prompt.id,
            slug: prompt.slug.clone(),
            created_at: prompt.created_at,
            version: 0,
            content: prompt.draft.clone(),
            generated_at: prompt.updated_at,
            items: chosen(&prompt.context, known),
        }
    }

    /// A version of `prompt`; `known` are the prompt's context items. `None`: it is archived.
    pub fn version(prompt: &Prompt, version: Version, known: &[ContextItem]) -> Option<Self> {
        version.archived_at.is_none().then(|| Self {
            prompt: prompt.id,
            slug: prompt.slug.clone(),
            created_at: prompt.created_at,
            version: version.number,
            items: chosen(&version.context, known),
            content: version.content,
            generated_at: version.published_at,
        })
    }
}

fn chosen(ids: &[ContextId], known: &[ContextItem]) -> Vec<ContextItem> {
    ids.iter().filter_map(|id| known.iter().find(|item| item.id == *id).cloned()).collect()
}

/// Prompts to serve, and how long they may be served from memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The change log's head when they were read: they are what is served until a later change of the workspace's
    /// prompts.
    pub as_of: u64,
    /// The prompts.
    pub prompts: Vec<ServedPrompt>,
    /// Whether there are more.
    pub has_more: bool,
}

/// A context item, and what decides who may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundItem {
    /// The item.
    pub item: ContextItem,
    /// Its prompt.
    pub prompt: Prompt,
    /// Whether a version that is in service has it.
    pub is_published: bool,
    /// Whether its workspace is suspended.
    pub is_suspended: bool,
}

impl FoundItem {
    /// Whether it is in service, or in a draft that is.
    pub fn is_in_service(&self) -> bool {
        let is_used = self.is_published || self.prompt.context.contains(&self.item.id);
        is_used && self.prompt.archived_at.is_none() && !self.is_suspended
    }

    /// Whether a caller may have it: as part of a version, or of a draft that the caller sees.
    pub fn is_visible(&self, visibility: Visibility) -> bool {
        self.is_in_service() && (self.is_published || visibility.shows_draft_of(&self.prompt))
    }
}

/// What a database must be able to answer about prompts.
#[async_trait]
pub trait PromptStore {
    /// A prompt by slug.
    ///
    /// # Errors
    /// [`StoreError`], as with all of these.
    async fn prompt(&self, workspace: WorkspaceId, slug: PromptSlug) -> Result<Option<Prompt>, StoreError>;

    /// A page of prompts, newest first.
    async fn prompts(&self, query: PromptQuery) -> Result<Page<Prompt>, StoreError>;

    /// A published version, archived or not.
    async fn prompt_version(&self, prompt: PromptId, number: u32) -> Result<Option<Version>, StoreError>;

    /// A page of published versions, newest first, before version `before`.
    async fn prompt_versions(
        &self,
        prompt: PromptId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Page<Version>, StoreError>;

    /// All context items of a prompt, those of older versions included, oldest first.
    async fn context_items(&self, prompt: PromptId) -> Result<Vec<ContextItem>, StoreError>;

    /// A context item with its prompt.
    async fn context_item(&self, item: ContextId) -> Result<Option<FoundItem>, StoreError>;

    /// A piece of a context file, by position.
    async fn context_chunk(&self, item: ContextId, position: u32) -> Result<Option<Vec<u8>>, StoreError>;

    /// Prompts to serve, read in one snapshot.
    async fn serve_prompts(&self, query: ServeQuery) -> Result<Served, StoreError>;
}
