//! Prompts as their authors see them.

use keywright_domain::{prompt, workspace::Workspace};
use keywright_template::{Options, Template};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::{Principal, Time};

/// A prompt of a workspace.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct PromptPath {
    /// The workspace's slug.
    #[param(example = "acme")]
    pub slug: String,
    /// The prompt's slug.
    #[param(example = "support-assistant")]
    pub prompt: String,
}

/// A version of a prompt.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub struct VersionPath {
    /// The workspace's slug.
    #[param(example = "acme")]
    pub slug: String,
    /// The prompt's slug.
    #[param(example = "support-assistant")]
    pub prompt: String,
    /// `v1`, `v2`, …
    #[param(example = "v1")]
    pub version: String,
}

/// A variable of a prompt's texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PromptVariable {
    /// The name.
    #[schema(example = "question")]
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    #[schema(example = "string")]
    pub kind: String,
    /// What the template says that it is.
    pub description: Option<String>,
}

/// What a draft or a version holds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PromptContent {
    /// Title for people.
    #[schema(example = "Support assistant")]
    pub title: String,
    /// What it is for.
    pub description: Option<String>,
    /// One word that sorts it.
    #[schema(example = "support")]
    pub category: Option<String>,
    /// Words that find it.
    pub tags: Vec<String>,
    /// The text.
    #[schema(example = "Answer {{question}} in one sentence.")]
    pub generator: String,
    /// The system prompt.
    pub system_prompt: Option<String>,
    /// The text that has an answer criticised.
    pub critique_prompt: Option<String>,
    /// The variables of the texts.
    pub variables: Vec<PromptVariable>,
}

/// A context item.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContextItem {
    /// The id.
    #[schema(example = "ctx_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// A label for people.
    pub label: Option<String>,
    /// When it was added.
    pub created_at: Time,
    /// What it is.
    #[serde(flatten)]
    pub kind: ContextKind,
}

/// What a context item is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContextKind {
    /// A file.
    File {
        /// Its name.
        #[schema(example = "faq.md")]
        file_name: String,
        /// Its media type.
        #[schema(example = "text/markdown")]
        mime_type: String,
        /// Its length in bytes.
        size: u64,
        /// SHA-256 of its bytes, in hexadecimal.
        sha256: String,
    },
    /// A link.
    Link {
        /// Where it leads.
        #[schema(example = "https://example.com/faq")]
        url: String,
    },
}

/// A prompt with its draft.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Prompt {
    /// The id.
    #[schema(example = "pmt_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// Slug of the workspace.
    #[schema(example = "acme")]
    pub workspace: String,
    /// The name in addresses.
    #[schema(example = "support-assistant")]
    pub slug: String,
    /// What clients ask for.
    #[schema(example = "@acme/support-assistant")]
    pub package: String,
    /// The draft, `v0`.
    pub draft: PromptContent,
    /// Counts the changes of the draft. Send it as `If-Match` to change only what you have read.
    #[schema(example = 3)]
    pub revision: u64,
    /// The newest version in service; `null`: none.
    #[schema(example = "v2")]
    pub latest: Option<String>,
    /// How many versions were published.
    #[schema(example = 2)]
    pub versions: u32,
    /// The ids of the draft's context items, in order.
    pub context: Vec<String>,
    /// Who created it.
    pub created_by: Principal,
    /// When.
    pub created_at: Time,
    /// When the draft last changed.
    pub updated_at: Time,
    /// When it was archived, if it is.
    pub archived_at: Option<Time>,
}

/// A published version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PromptVersion {
    /// `v1`, `v2`, …
    #[schema(example = "v1")]
    pub version: String,
    /// What it holds.
    pub content: PromptContent,
    /// The ids of its context items, in order. Those that were deleted since are not served any more.
    pub context: Vec<String>,
    /// When it was published.
    pub published_at: Time,
    /// By whom.
    pub published_by: Principal,
    /// When it was archived, if it is.
    pub archived_at: Option<Time>,
}

impl From<prompt::Content> for PromptContent {
    fn from(content: prompt::Content) -> Self {
        let variables = variables(&content);
        let prompt::Content { title, description, category, tags, generator, system, critique } = content;
        Self {
            title,
            description,
            category,
            tags,
            generator,
            system_prompt: system,
            critique_prompt: critique,
            variables,
        }
    }
}

/// The variables of the three texts, each once.
fn variables(content: &prompt::Content) -> Vec<PromptVariable> {
    let mut found: Vec<PromptVariable> = Vec::new();
    let texts = [Some(&content.generator), content.system.as_ref(), content.critique.as_ref()];
    for text in texts.into_iter().flatten() {
        let Ok(template) = Template::self_declared(text, Options::default()) else { continue };
        for variable in template.variables() {
            if !found.iter().any(|known| known.name == variable.name()) {
                found.push(PromptVariable {
                    name: variable.name().to_owned(),
                    kind: variable.kind().name().to_owned(),
                    description: variable.description().map(str::to_owned),
                });
            }
        }
    }
    found
}

impl Prompt {
    /// The prompt of this workspace.
    pub(crate) fn new(prompt: prompt::Prompt, workspace: &Workspace) -> Self {
        let workspace = workspace.slug.as_str();
        Self {
            id: prompt.id.to_string(),
            workspace: workspace.to_owned(),
            package: format!("@{workspace}/{}", prompt.slug.as_str()),
            slug: prompt.slug.into(),
            draft: prompt.draft.into(),
            revision: prompt.revision,
            latest: prompt.latest.map(|number| format!("v{number}")),
            versions: prompt.published,
            context: prompt.context.iter().map(ToString::to_string).collect(),
            created_by: prompt.created_by.into(),
            created_at: prompt.created_at.into(),
            updated_at: prompt.updated_at.into(),
            archived_at: prompt.archived_at.map(Into::into),
        }
    }
}

impl From<prompt::Version> for PromptVersion {
    fn from(version: prompt::Version) -> Self {
        Self {
            version: format!("v{}", version.number),
            content: version.content.into(),
            context: version.context.iter().map(ToString::to_string).collect(),
            published_at: version.published_at.into(),
            published_by: version.published_by.into(),
            archived_at: version.archived_at.map(Into::into),
        }
    }
}

impl From<prompt::ContextItem> for ContextItem {
    fn from(item: prompt::ContextItem) -> Self {
        let kind = match item.kind {
            prompt::ContextKind::File { name, mime_type, size, sha256 } => {
                ContextKind::File { file_name: name, mime_type, size, sha256 }
            }
            prompt::ContextKind::Link { url } => ContextKind::Link { url },
        };
        Self { id: item.id.to_string(), label: item.label, created_at: item.created_at.into(), kind }
    }
}
