//! Prompts: the texts that the protected API serves. A draft (`v0`) is edited, publishing it makes the next immutable
//! version, and context items (files and links) hang on it.

mod command;
mod limits;
mod link;
mod package;
mod query;
mod transition;

use serde::{Deserialize, Serialize};

pub use self::{
    command::{NewContext, NewPrompt, PromptCommand, PromptOutcome, PromptPatch},
    limits::*,
    link::{InvalidLink, check_link, is_public},
    package::{InvalidPackageName, PackageName, VersionRef},
    query::{
        Choice, FoundItem, PromptFilter, PromptQuery, PromptStore, ServeQuery, Served, ServedPrompt,
        Visibility,
    },
    transition::{
        Published, add_context, create, delete, edit, publish, remove_context, set_archived,
        set_version_archived,
    },
};
use crate::{
    ids::{ContextId, PromptId, WorkspaceId},
    principal::Principal,
    time::Timestamp,
};

/// Why a prompt cannot be what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromptError {
    /// A field has a value that it cannot have.
    #[error("`{field}` {reason}")]
    Field {
        /// The field's name on the wire.
        field: &'static str,
        /// What it must be.
        reason: String,
    },
    /// Another prompt of the workspace has the slug.
    #[error("the workspace has a prompt with this slug already")]
    SlugTaken,
    /// There is no such prompt, version or context item.
    #[error("there is no such prompt, version or context item")]
    NotFound,
    /// The workspace has as many prompts as it may have.
    #[error("the workspace has {PROMPTS_MAX} prompts, as many as it may have")]
    TooManyPrompts,
    /// The prompt has as many versions as it may have.
    #[error("the prompt has {VERSIONS_MAX} versions, as many as it may have")]
    TooManyVersions,
    /// The prompt has as many context items as it may have.
    #[error("the prompt has {CONTEXT_ITEMS_MAX} context items, as many as it may have")]
    TooManyItems,
    /// The workspace's files take as much room as they may.
    #[error(
        "the workspace's context files take more than {CONTEXT_BYTES_PER_WORKSPACE_MAX} bytes with this one"
    )]
    TooManyBytes,
    /// The draft was changed since the caller read it.
    #[error("the draft was changed meanwhile: it has revision {current}")]
    Revision {
        /// The revision that it has.
        current: u64,
    },
    /// The draft is what the newest version is.
    #[error("the draft is the same as version v{version}: there is nothing to publish")]
    Unchanged {
        /// The newest version.
        version: u32,
    },
    /// The prompt is archived: it has to be restored before it is changed.
    #[error("the prompt is archived: restore it first")]
    Archived,
}

impl PromptError {
    pub(crate) fn field(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Field { field, reason: reason.into() }
    }
}

/// The name of a prompt in addresses: `[A-Za-z0-9_-]+`, as the shipped clients' package names have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PromptSlug(String);

impl PromptSlug {
    /// Checks the form of `text`.
    ///
    /// # Errors
    /// [`PromptError::Field`] when it has another form.
    pub fn parse(text: &str) -> Result<Self, PromptError> {
        let is_valid = (1..=SLUG_MAX_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if is_valid {
            return Ok(Self(text.to_owned()));
        }
        let reason = format!("has 1 to {SLUG_MAX_BYTES} letters, digits, `-` and `_`");
        Err(PromptError::field("slug", reason))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PromptSlug {
    type Error = PromptError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<PromptSlug> for String {
    fn from(slug: PromptSlug) -> Self {
        slug.0
    }
}

/// What a version holds: everything but the context items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Title for people.
    pub title: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// One word that sorts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Words that find it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The text itself, with variables such as `{{name:string // what it is}}`.
    pub generator: String,
    /// The system prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The text that has an answer criticised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critique: Option<String>,
}

impl Content {
    /// Checks every field.
    ///
    /// # Errors
    /// [`PromptError::Field`] for the first that is not as it must be.
    pub fn check(&self) -> Result<(), PromptError> {
        check_line("title", &self.title, 1, TITLE_MAX_CHARS)?;
        if let Some(description) = &self.description {
            check_text("description", description, DESCRIPTION_MAX_BYTES)?;
        }
        if let Some(category) = &self.category {
            check_line("category", category, 1, CATEGORY_MAX_CHARS)?;
        }
        if self.tags.len() > TAGS_MAX {
            return Err(PromptError::field("tags", format!("has at most {TAGS_MAX} entries")));
        }
        for tag in &self.tags {
            check_line("tags", tag, 1, TAG_MAX_CHARS)?;
        }
        for (field, text) in [
            ("generator", Some(&self.generator)),
            ("system_prompt", self.system.as_ref()),
            ("critique_prompt", self.critique.as_ref()),
        ] {
            check_text(field, text.map_or("", String::as_str), TEXT_MAX_BYTES)?;
        }
        Ok(())
    }
}

fn check_line(field: &'static str, text: &str, min: usize, max: usize) -> Result<(), PromptError> {
    if crate::key::is_printable(text, min, max) && !text.trim().is_empty() {
        return Ok(());
    }
    Err(PromptError::field(field, format!("has {min} to {max} printable characters")))
}

/// Texts may have line breaks and tabs; the character NUL no database takes.
fn check_text(field: &'static str, text: &str, max: usize) -> Result<(), PromptError> {
    if text.len() > max {
        return Err(PromptError::field(field, format!("is at most {max} bytes long")));
    }
    if text.contains('\0') {
        return Err(PromptError::field(field, "has no character NUL in it"));
    }
    Ok(())
}

/// A prompt: its draft, and what there is to know of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The id.
    pub id: PromptId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The name in addresses.
    pub slug: PromptSlug,
    /// The draft, `v0`.
    pub draft: Content,
    /// The draft's context items, in order.
    pub context: Vec<ContextId>,
    /// Counts the changes of the draft, from 1.
    pub revision: u64,
    /// The last version's number; 0: never published.
    pub published: u32,
    /// The newest version that is not archived.
    pub latest: Option<u32>,
    /// Who created it.
    pub created_by: Principal,
    /// When.
    pub created_at: Timestamp,
    /// When the draft was last changed.
    pub updated_at: Timestamp,
    /// When it was archived, if it is.
    pub archived_at: Option<Timestamp>,
}

/// A published version. Its content never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its number, from 1.
    pub number: u32,
    /// What it holds.
    pub content: Content,
    /// Its context items, in order; those that were deleted since are not shown any more.
    pub context: Vec<ContextId>,
    /// When it was published.
    pub published_at: Timestamp,
    /// By whom.
    pub published_by: Principal,
    /// When it was archived, if it is.
    pub archived_at: Option<Timestamp>,
}

/// A version's number, and whether it is archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionMark {
    /// The number.
    pub number: u32,
    /// When it was archived, if it is.
    pub archived_at: Option<Timestamp>,
}

/// What a context item is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContextKind {
    /// A file that is kept here.
    File {
        /// Its name, without a path.
        name: String,
        /// Its media type.
        mime_type: String,
        /// Its length in bytes.
        size: u64,
        /// SHA-256 of its bytes, in hexadecimal.
        sha256: String,
    },
    /// An address elsewhere. It is never fetched by Keywright.
    Link {
        /// The address.
        url: String,
    },
}

impl ContextKind {
    /// How many bytes are kept for it.
    pub const fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Link { .. } => 0,
        }
    }
}

/// A file or link that belongs to a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextItem {
    /// The id.
    pub id: ContextId,
    /// The prompt.
    pub prompt: PromptId,
    /// A label for people.
    pub label: Option<String>,
    /// What it is.
    pub kind: ContextKind,
    /// When it was added.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests;
