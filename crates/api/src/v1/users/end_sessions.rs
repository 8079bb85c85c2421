//! `POST /v1/users/{id}/end-sessions`

use axum::{Json, extract::State};
use keywright_domain::{
    account::{AccountOutcome, CredentialCommand},
    command::Command,
    ids::UserId,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    commit::unexpected,
    edge::StrictPath,
    error::{ApiError, ErrorCode},
    openapi::problems,
    sign_in::account_outcome,
    state::AppState,
    wire::UserPath,
};

/// Sessions of somebody that ended.
#[derive(Serialize, ToSchema)]
pub(crate) struct EndedSessionsOf {
    /// Whose.
    #[schema(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    user: String,
    /// How many.
    ended: u64,
}

problems! {}

/// Sign somebody out everywhere
///
/// Operator only. When the answer is there, no node accepts any of the sessions.
#[utoipa::path(
    post, path = "/v1/users/{id}/end-sessions", operation_id = "end_sessions_of_user", tag = "Accounts",
    params(UserPath),
    responses((status = 200, description = "How many ended.", body = EndedSessionsOf), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(id): StrictPath<String>,
) -> Result<Json<EndedSessionsOf>, ApiError> {
    let user = UserId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let command = Command::Credential(CredentialCommand::EndSessionsOf(user));
    match account_outcome(&state, &caller.origin, permit, command).await? {
        AccountOutcome::Ended(ended) => Ok(Json(EndedSessionsOf { user: user.to_string(), ended })),
        _ => Err(unexpected()),
    }
}
