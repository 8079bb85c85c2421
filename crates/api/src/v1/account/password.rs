//! `PUT /v1/account/password`

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
    actor::Caller,
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    openapi::problems,
    password::Password,
    password_rules,
    sign_in::{begin_attempt, check_password, subjects},
    state::AppState,
    v1::problems::of_store,
};

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangePassword)]
pub(crate) struct Request {
    /// The password until now; left out by an account that has none.
    #[schema(value_type = Option<String>, format = Password)]
    current_password: Option<Password>,
    /// The password from now on: 12 characters or more.
    #[schema(value_type = String, format = Password)]
    new_password: Password,
}

problems! { InvalidSignIn, PasswordRefused, ReauthenticationRequired, TooManyFailedAttempts, Unavailable }

/// Change my password
///
/// All other sessions end. An account without a password sets one within 10 minutes of signing in.
#[utoipa::path(
    put, path = "/v1/account/password", operation_id = "change_password", tag = "Accounts",
    request_body(content = Request, example = json!({"current_password": "…", "new_password": "…"})),
    responses((status = 204, description = "It is changed."), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    body: StrictJson<Request>,
) -> Result<StatusCode, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    let Request { current_password, new_password } = body.value;
    let user = state.store.person(Who::Id(signed_in.session.user)).await.map_err(of_store)?;
    let user = user.ok_or(ErrorCode::InvalidSession)?;
    let forgive = if user.password_hash.is_some() {
        let current = current_password.ok_or(ErrorCode::InvalidSignIn)?;
        let subjects = subjects(&state, &caller.origin, &user.email);
        begin_attempt(&state, &caller.origin, subjects.clone()).await?;
        check_password(&state, Some(&user), &current).await?;
        subjects
    } else {
        caller.require_fresh()?;
        Vec::new()
    };
    password_rules::check(&new_password, Some(&user.email), state.breach_list.as_deref()).await?;
    let hash = state.passwords.hash(&new_password, &*state.entropy).await?;
    let keep = Some(signed_in.session.id);
    let password = NewPassword { hash };
    let command = CredentialCommand::SetPassword { user: user.id, password, keep, forgive };
    change(&state, &caller.origin, permit, command).await?;
    Ok(StatusCode::NO_CONTENT)
}
