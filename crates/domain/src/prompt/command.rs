//! Commands about prompts.

use super::{Content, ContextItem, ContextKind, Prompt, PromptSlug, Version};
use crate::ids::{ContextId, PromptId};

/// A prompt about to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPrompt {
    /// The id.
    pub id: PromptId,
    /// The name in addresses.
    pub slug: PromptSlug,
    /// Its draft.
    pub draft: Content,
}

/// What to change of a draft. `None`: nothing; for fields that may be empty, `Some(None)` empties them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromptPatch {
    /// The title.
    pub title: Option<String>,
    /// What it is for.
    pub description: Option<Option<String>>,
    /// The category.
    pub category: Option<Option<String>>,
    /// The tags.
    pub tags: Option<Vec<String>>,
    /// The text.
    pub generator: Option<String>,
    /// The system prompt.
    pub system: Option<Option<String>>,
    /// The critique prompt.
    pub critique: Option<Option<String>>,
}

/// A context item about to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContext {
    /// The id.
    pub id: ContextId,
    /// A label for people.
    pub label: Option<String>,
    /// What it is.
    pub kind: ContextKind,
    /// A file's bytes, in pieces of [`super::CHUNK_BYTES`]; none for a link.
    pub chunks: Vec<Vec<u8>>,
}

/// A change of a workspace's prompts. Each needs `WritePrompts` on the workspace that the permit names.
#[derive(Clone, Debug)]
pub enum PromptCommand {
    /// Create a prompt.
    Create(Box<NewPrompt>),
    /// Change a draft.
    Edit {
        /// The prompt.
        prompt: PromptId,
        /// What to change.
        patch: Box<PromptPatch>,
        /// Only if the draft has this revision.
        if_revision: Option<u64>,
    },
    /// Make the draft the next version.
    Publish {
        /// The prompt.
        prompt: PromptId,
        /// Only if the draft has this revision.
        if_revision: Option<u64>,
    },
    /// Take a prompt out of service, or put it back.
    SetArchived {
        /// The prompt.
        prompt: PromptId,
        /// Whether it is to be archived.
        archived: bool,
    },
    /// Take a version out of service, or put it back.
    SetVersionArchived {
        /// The prompt.
        prompt: PromptId,
        /// The version.
        version: u32,
        /// Whether it is to be archived.
        archived: bool,
    },
    /// Add a context item to the draft.
    AddContext {
        /// The prompt.
        prompt: PromptId,
        /// The item.
        item: Box<NewContext>,
    },
    /// Delete a context item, for the draft and for every version.
    RemoveContext {
        /// The prompt.
        prompt: PromptId,
        /// The item.
        item: ContextId,
    },
    /// Delete a prompt with its versions and context items.
    Delete(PromptId),
}

/// What a command about prompts brought about.
#[derive(Clone, Debug)]
pub enum PromptOutcome {
    /// A prompt as it is now.
    Prompt(Prompt),
    /// A prompt and one of its versions as they are now.
    Version(Prompt, Version),
    /// A prompt as it is now, and the item that was added.
    Context(Prompt, ContextItem),
}
