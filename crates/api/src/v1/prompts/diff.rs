//! `GET /v1/workspaces/{slug}/prompts/{prompt}/diff`

use axum::{Json, extract::State};
use keywright_domain::prompt::{Content, VersionRef};
use serde::{Deserialize, Serialize};
use similar::{ChangeTag, TextDiff};
use utoipa::{IntoParams, ToSchema};

use super::Author;
use crate::{
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::PromptPath,
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// `v0`, `v1`, … or `latest`; what is compared with; `latest` unless given.
    #[param(example = "v1")]
    from: Option<String>,
    /// The same; `v0`, the draft, unless given.
    #[param(example = "v0")]
    to: Option<String>,
}

/// How two versions of a prompt differ.
#[derive(Serialize, ToSchema)]
#[schema(as = PromptDiff)]
pub(crate) struct Answer {
    /// What is compared with.
    #[schema(example = "v1")]
    from: String,
    /// What is compared.
    #[schema(example = "v0")]
    to: String,
    /// The fields that differ.
    fields: Vec<FieldDiff>,
}

/// How one field differs.
#[derive(Serialize, ToSchema)]
pub(crate) struct FieldDiff {
    /// The field.
    #[schema(example = "generator")]
    field: &'static str,
    /// Its lines.
    lines: Vec<LineDiff>,
}

/// A line of both versions, or of one.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineDiff {
    /// `same`, `removed` or `added`.
    #[schema(example = "added")]
    change: &'static str,
    /// The line, without its end.
    text: String,
}

problems! { InvalidQuery }

/// Compare versions of a prompt
///
/// Needs `prompts:write`. Line by line, for each field that differs.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/prompts/{prompt}/diff", operation_id = "diff_prompt", tag = "Prompts",
    params(PromptPath, Request),
    responses((status = 200, description = "The differences.", body = Answer), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    author: Author,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Answer>, ApiError> {
    let (from, before) =
        content(&state, &author, "from", request.from.as_deref().unwrap_or("latest")).await?;
    let (to, after) = content(&state, &author, "to", request.to.as_deref().unwrap_or("v0")).await?;
    Ok(Json(Answer { from, to, fields: differences(&before, &after) }))
}

/// The version called `text`, and what it holds.
async fn content(
    state: &AppState,
    author: &Author,
    field: &str,
    text: &str,
) -> Result<(String, Content), ApiError> {
    let number = match VersionRef::parse(text) {
        Ok(VersionRef::Draft) => return Ok(("v0".to_owned(), author.prompt.draft.clone())),
        Ok(VersionRef::Number(number)) => number,
        Ok(VersionRef::Latest) => author.prompt.latest.ok_or(ErrorCode::NotFound)?,
        Err(_) => {
            let detail = format!("`{field}` is v0, v1, … or latest.");
            return Err(ApiError::with_detail(ErrorCode::InvalidQuery, detail).member("field", field));
        }
    };
    let found = state.store.prompt_version(author.prompt.id, number).await.map_err(of_store)?;
    Ok((format!("v{number}"), found.ok_or(ErrorCode::NotFound)?.content))
}

fn differences(before: &Content, after: &Content) -> Vec<FieldDiff> {
    let tags = |content: &Content| content.tags.join("\n");
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        ("title", before.title.clone(), after.title.clone()),
        ("description", text(&before.description), text(&after.description)),
        ("category", text(&before.category), text(&after.category)),
        ("tags", tags(before), tags(after)),
        ("generator", before.generator.clone(), after.generator.clone()),
        ("system_prompt", text(&before.system), text(&after.system)),
        ("critique_prompt", text(&before.critique), text(&after.critique)),
    ]
    .into_iter()
    .filter(|(_, before, after)| before != after)
    .map(|(field, before, after)| FieldDiff { field, lines: lines(&before, &after) })
    .collect()
}

fn lines(before: &str, after: &str) -> Vec<LineDiff> {
    let diff = TextDiff::from_lines(before, after);
    diff.iter_all_changes()
        .map(|change| LineDiff {
            change: match change.tag() {
                ChangeTag::Equal => "same",
                ChangeTag::Delete => "removed",
                ChangeTag::Insert => "added",
            },
            text: change.value().trim_end_matches(['\r', '\n']).to_owned(),
        })
        .collect()
}
