//! Prompts as the shipped clients read them: flat, in camel case, times in milliseconds.

use keywright_domain::prompt::{ContextItem, ContextKind, ServedPrompt};
use serde::Serialize;
use utoipa::ToSchema;

/// A prompt, ready to be used.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlatPrompt {
    /// The id.
    #[schema(example = "pmt_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    id: String,
    /// Title for people.
    #[schema(example = "Support assistant")]
    title: String,
    /// The text: with its variables, or filled where the request gave values.
    #[schema(example = "Answer {{question}} in one sentence.")]
    content: String,
    /// The system prompt.
    system_prompt: Option<String>,
    /// The text that has an answer criticised.
    critique_prompt: Option<String>,
    /// What it is for.
    description: Option<String>,
    /// One word that sorts it.
    category: Option<String>,
    /// Words that find it.
    tags: Vec<String>,
    /// `v0` for the draft, else `v1`, `v2`, …
    #[schema(example = "v1")]
    version: String,
    /// Whether it is the draft.
    #[serde(rename = "is_draft")]
    is_draft: bool,
    /// Slug of the workspace.
    #[schema(example = "acme")]
    workspace_slug: String,
    /// Slug of the prompt.
    #[schema(example = "support-assistant")]
    package_name: String,
    /// Its files and links.
    context: Vec<FlatItem>,
    /// Times.
    metadata: FlatTimes,
}

/// A file or a link of a prompt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlatItem {
    /// The id.
    #[schema(example = "ctx_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    id: String,
    /// `file` or `url`.
    #[serde(rename = "type")]
    #[schema(example = "file")]
    kind: &'static str,
    /// A label for people.
    label: Option<String>,
    /// When it was added, in Unix milliseconds.
    created_at: i64,
    /// Of a file: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_name: Option<String>,
    /// Of a file: its length in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
    /// Of a file: its media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<String>,
    /// Of a link: where it leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Of a link: when it was added, in Unix milliseconds. Keywright never fetches it.
    #[serde(skip_serializing_if = "Option::is_none")]
    url_fetched_at: Option<i64>,
}

/// Times of a prompt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FlatTimes {
    /// When the prompt was created, in Unix milliseconds.
    created_at: i64,
    /// When this version was published, or the draft last changed, in Unix milliseconds.
    generated_at: i64,
}

impl FlatPrompt {
    /// The prompt as clients see it.
    pub(crate) fn new(served: &ServedPrompt, workspace_slug: &str) -> Self {
        let content = &served.content;
        Self {
            id: served.prompt.to_string(),
            title: content.title.clone(),
            content: content.generator.clone(),
            system_prompt: content.system.clone(),
            critique_prompt: content.critique.clone(),
            description: content.description.clone(),
            category: content.category.clone(),
            tags: content.tags.clone(),
            version: format!("v{}", served.version),
            is_draft: served.version == 0,
            workspace_slug: workspace_slug.to_owned(),
            package_name: served.slug.as_str().to_owned(),
            context: served.items.iter().map(FlatItem::new).collect(),
            metadata: FlatTimes {
                created_at: served.created_at.unix_ms(),
                generated_at: served.generated_at.unix_ms(),
            },
        }
    }

    /// The texts that may have variables.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        [Some(self.content.as_str()), self.system_prompt.as_deref(), self.critique_prompt.as_deref()]
            .into_iter()
            .flatten()
    }

    /// With other texts in place of its own.
    pub(crate) fn filled(mut self, fill: impl Fn(&str) -> String) -> Self {
        self.content = fill(&self.content);
        self.system_prompt = self.system_prompt.as_deref().map(&fill);
        self.critique_prompt = self.critique_prompt.as_deref().map(&fill);
        self
    }
}

impl FlatItem {
    fn new(item: &ContextItem) -> Self {
        let created_at = item.created_at.unix_ms();
        let base = Self {
            id: item.id.to_string(),
            kind: "file",
            label: item.label.clone(),
            created_at,
            file_name: None,
            file_size: None,
            mime_type: None,
            url: None,
            url_fetched_at: None,
        };
        match &item.kind {
            ContextKind::File { name, mime_type, size, .. } => Self {
                file_name: Some(name.clone()),
                file_size: Some(*size),
                mime_type: Some(mime_type.clone()),
                ..base
            },
            ContextKind::Link { url } => {
                Self { kind: "url", url: Some(url.clone()), url_fetched_at: Some(created_at), ..base }
            }
        }
    }
}

/// A page of prompts, in the shape that the shipped clients read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FlatPage {
    /// The prompts.
    prompts: Vec<FlatPrompt>,
    /// Send it as `cursor` for the next page; `null` at the end.
    cursor: Option<String>,
    /// Whether there are more.
    #[serde(rename = "hasMore")]
    has_more: bool,
}

/// The body of the answer with this prompt.
pub(crate) fn prompt_body(prompt: &FlatPrompt) -> String {
    serde_json::to_string(prompt).expect("a prompt has string keys only")
}

/// The body of the answer with this page.
pub(crate) fn page_body(prompts: Vec<FlatPrompt>, cursor: Option<String>) -> String {
    let page = FlatPage { prompts, has_more: cursor.is_some(), cursor };
    serde_json::to_string(&page).expect("a page has string keys only")
}
