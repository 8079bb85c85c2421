//! `POST /v1/account/recovery/finish`

use axum::extract::State;
use http::StatusCode;
use keywright_domain::{
    account::{CredentialCommand, NewPassword},
    privacy::Who,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::change;
use crate::{
    actor::Origin,
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    one_time::{OneTimeToken, Purpose},
    openapi::problems,
    password::Password,
    password_rules,
    sign_in::system_permit,
    state::AppState,
    v1::problems::of_store,
};

/// A new password by a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = FinishRecovery)]
pub(crate) struct Request {
    /// What follows `#` in the link.
    #[schema(example = "kwr_…")]
    token: String,
    /// The password from now on: 12 characters or more.
    #[schema(value_type = String, format = Password)]
    password: Password,
}

problems! { InvalidLink, PasswordRefused, Unavailable }

/// Set a password by a link
///
/// Works once. All sessions of the account end; a second factor stays, and is asked for at the next sign-in.
#[utoipa::path(
    post, path = "/v1/account/recovery/finish", operation_id = "finish_recovery", tag = "Accounts",
    request_body(content = Request, example = json!({"token": "kwr_…", "password": "…"})),
    responses((status = 204, description = "It is set: sign in."), Problems),
    security(()),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    origin: Origin,
    body: StrictJson<Request>,
) -> Result<StatusCode, ApiError> {
    let Request { token, password } = body.value;
    let token = OneTimeToken::parse(Purpose::Recovery, &token).ok_or(ErrorCode::InvalidLink)?;
    let digest = token.digest();
    let found = state.store.recovery(digest).await.map_err(of_store)?;
    let recovery = found.filter(|found| origin.now < found.expires_at).ok_or(ErrorCode::InvalidLink)?;
    let user = state.store.person(Who::Id(recovery.user)).await.map_err(of_store)?;
    let user = user.ok_or(ErrorCode::InvalidLink)?;
    password_rules::check(&password, Some(&user.email), state.breach_list.as_deref()).await?;
    let password = NewPassword { hash: state.passwords.hash(&password, &*state.entropy).await? };
    change(&state, &origin, system_permit()?, CredentialCommand::Recover { digest, password }).await?;
    Ok(StatusCode::NO_CONTENT)
}
