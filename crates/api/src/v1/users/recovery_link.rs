//! `POST /v1/users/{id}/recovery`

use axum::{Json, extract::State};
use keywright_domain::{ids::UserId, privacy::Who};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    edge::StrictPath,
    error::{ApiError, ErrorCode},
    openapi::problems,
    recovery::make_link,
    state::AppState,
    v1::problems::of_store,
    wire::{Time, UserPath},
};

/// A link with which a password is set.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryLink {
    /// Whose.
    #[schema(example = "usr_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    user: String,
    /// When it ends.
    expires_at: Time,
    /// Whether it went out by e-mail.
    delivered: bool,
    /// The link, when it did not: hand it over in a way that nobody else reads. Shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://keys.example.com/recover#kwr_…")]
    link: Option<String>,
}

problems! {}

/// Let somebody set a password
///
/// Operator only. Makes a link that is good once, for an hour: for the first password of an Owner, and for those who forgot
/// theirs. Signing in goes on needing the second factor, if there is one.
#[utoipa::path(
    post, path = "/v1/users/{id}/recovery", operation_id = "make_recovery_link", tag = "Accounts",
    params(UserPath),
    responses((status = 201, description = "The link.", body = RecoveryLink), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(id): StrictPath<String>,
) -> Result<(http::StatusCode, Json<RecoveryLink>), ApiError> {
    let user = UserId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let person = state.store.person(Who::Id(user)).await.map_err(of_store)?.ok_or(ErrorCode::NotFound)?;
    let made = make_link(&state, &caller.origin, permit, person).await?;
    let shown = RecoveryLink {
        user: user.to_string(),
        expires_at: made.expires_at.into(),
        delivered: made.undelivered.is_none(),
        link: made.undelivered,
    };
    Ok((http::StatusCode::CREATED, Json(shown)))
}
