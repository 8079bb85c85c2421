//! `GET /v1/prompts`

use axum::{extract::State, response::Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{json_answer, reader};
use crate::{
    edge::StrictQuery,
    error::ApiError,
    hot::{Admitted, ListPrompts},
    openapi::problems,
    packages::{FlatPage, Question, serve},
    state::AppState,
    wire::page_limit,
};

/// Which page.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// Size of the page; 20 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `cursor` of the page before.
    cursor: Option<String>,
}

impl Request {
    /// The question that this is.
    ///
    /// # Errors
    /// `invalid_query`.
    pub(crate) fn question(self) -> Result<Question<'static>, ApiError> {
        Ok(Question::Page { limit: page_limit(self.limit)?, cursor: self.cursor })
    }
}

problems! { InvalidCursor, RateLimited, QuotaExceeded }

/// List prompts
///
/// Needs `prompts:list`. Newest first; of each prompt its latest version, or where none is published and the caller sees
/// it, the draft. The shape of the page is the one that the shipped clients read.
#[utoipa::path(
    get, path = "/v1/prompts", operation_id = "list_packages", tag = "Prompts", params(Request),
    responses((status = 200, description = "A page of prompts.", body = FlatPage), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    admitted: Admitted<ListPrompts>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Response, ApiError> {
    let question = request.question()?;
    let reader = reader(&state, &admitted)?;
    Ok(json_answer(String::from(&*serve(&state, &reader, &question).await?)))
}
