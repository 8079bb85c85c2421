//! What applications ask for, and the answer to it: from memory where it is still true, else from the store.

use std::{borrow::Cow, sync::Arc};

use keywright_domain::{
    ids::{PromptId, WorkspaceId},
    permission::Builtin,
    principal::Creator,
    prompt::{PackageName, ServeQuery, Served, Visibility},
    workspace::WorkspaceNumber,
};

use super::{
    Rendered,
    body::{FlatPrompt, page_body, prompt_body},
};
use crate::{
    cursor::CursorScope,
    error::{ApiError, ErrorCode},
    state::AppState,
    v1::problems::of_store,
};

/// Whoever reads prompts: a key of a workspace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    /// The workspace's number.
    pub(crate) number: WorkspaceNumber,
    /// The workspace.
    pub(crate) workspace: WorkspaceId,
    /// Its slug.
    pub(crate) slug: &'a str,
    /// Whose drafts the key sees.
    pub(crate) visibility: Visibility,
}

impl<'a> Reader<'a> {
    /// A key of this workspace, by `creator`. It has the eyes of its creator, who sees all drafts when allowed to write
    /// prompts, and the own ones always.
    pub(crate) fn new(
        state: &AppState,
        (number, workspace, slug): (WorkspaceNumber, WorkspaceId, &'a str),
        creator: &Creator,
    ) -> Self {
        let may = state.plane.creator_permissions(creator);
        let visibility = if may.contains(Builtin::PromptsWrite.bit()) {
            Visibility::All
        } else {
            Visibility::Own(creator.principal)
        };
        Self { number, workspace, slug, visibility }
    }
}

/// What a reader asks for.
#[derive(Debug)]
pub(crate) enum Question<'a> {
    /// One prompt.
    One {
        /// Which.
        name: PackageName,
        /// As it was written.
        text: Cow<'a, str>,
    },
    /// A page of prompts.
    Page {
        /// How many at most.
        limit: u32,
        /// The cursor of the page before.
        cursor: Option<String>,
    },
}

impl<'a> Question<'a> {
    /// The question for the prompt of this name.
    ///
    /// # Errors
    /// `invalid_field`.
    pub(crate) fn named(text: impl Into<Cow<'a, str>>) -> Result<Self, ApiError> {
        let text = text.into();
        let name = PackageName::parse(&text)
            .map_err(|error| ApiError::invalid_field("package_name", format!("`package_name` {error}.")))?;
        Ok(Self::One { name, text })
    }

    /// The question, as the store is asked for this reader.
    ///
    /// # Errors
    /// `wrong_workspace`; `invalid_cursor`.
    pub(crate) fn query(&self, reader: &Reader<'_>) -> Result<ServeQuery, ApiError> {
        let Reader { workspace, visibility, .. } = *reader;
        match self {
            Self::One { name, .. } if name.namespace != reader.slug => Err(ErrorCode::WrongWorkspace.into()),
            Self::One { name, .. } => {
                Ok(ServeQuery::One { workspace, slug: name.slug.clone(), version: name.version, visibility })
            }
            Self::Page { limit, cursor } => {
                let after = match cursor {
                    None => None,
                    Some(_) => cursors(reader).decode_array(cursor.as_deref())?.map(PromptId::from_bytes),
                };
                Ok(ServeQuery::Page { workspace, after, limit: *limit, visibility })
            }
        }
    }

    /// What there is not, where nothing was found.
    pub(crate) fn missing(&self) -> ApiError {
        match self {
            Self::One { text, .. } => {
                ApiError::with_detail(ErrorCode::NotFound, format!("Prompt not found: {text}"))
            }
            Self::Page { .. } => ApiError::internal("a page of prompts was not rendered"),
        }
    }

    fn render(&self, reader: &Reader<'_>, served: &Served) -> Option<String> {
        match self {
            Self::One { .. } => {
                served.prompts.first().map(|prompt| prompt_body(&FlatPrompt::new(prompt, reader.slug)))
            }
            Self::Page { .. } => {
                let last = served.prompts.last().filter(|_| served.has_more);
                let cursor = last.map(|last| cursors(reader).encode(&last.prompt.to_bytes()));
                let prompts =
                    served.prompts.iter().map(|prompt| FlatPrompt::new(prompt, reader.slug)).collect();
                Some(page_body(prompts, cursor))
            }
        }
    }
}

fn cursors(reader: &Reader<'_>) -> CursorScope {
    CursorScope::new("packages", &[&reader.workspace.to_string()])
}

/// The answer, if it is in memory and still true.
pub(crate) fn from_memory(state: &AppState, reader: &Reader<'_>, query: &ServeQuery) -> Option<Rendered> {
    state.prompts.get(state.plane.engine(), reader.number, query)
}

/// The answer, as JSON.
///
/// # Errors
/// `wrong_workspace`, `invalid_cursor`, `not_found`, and what the store fails with.
pub(crate) async fn serve(
    state: &AppState,
    reader: &Reader<'_>,
    question: &Question<'_>,
) -> Result<Arc<str>, ApiError> {
    let query = question.query(reader)?;
    if let Some(known) = from_memory(state, reader, &query) {
        return known.body.ok_or_else(|| question.missing());
    }
    let served = state.store.serve_prompts(query.clone()).await.map_err(of_store)?;
    let body: Option<Arc<str>> = question.render(reader, &served).map(Arc::from);
    state.prompts.put(query, Rendered { as_of: served.as_of, body: body.clone() });
    body.ok_or_else(|| question.missing())
}
