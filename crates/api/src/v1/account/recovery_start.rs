//! `POST /v1/account/recovery`

use axum::extract::State;
use http::StatusCode;
use keywright_domain::{account::EmailAddress, privacy::Who};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    actor::Origin,
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    recovery::make_link,
    sign_in::{begin_attempt, subjects, system_permit},
    state::AppState,
    v1::problems::of_store,
};

/// Who forgot their password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = StartRecovery)]
pub(crate) struct Request {
    /// The address of the account.
    #[schema(example = "ada@example.com")]
    email: String,
}

problems! { TooManyFailedAttempts, Unavailable }

/// I forgot my password
///
/// Sends a link with which a password can be set once, within an hour. The answer is the same whether there is such an account
/// or not. An installation that sends no e-mail sends nothing: its operator makes the link
/// (`POST /v1/users/{id}/recovery`, or `keywright users reset-link`).
#[utoipa::path(
    post, path = "/v1/account/recovery", operation_id = "start_recovery", tag = "Accounts",
    request_body(content = Request, example = json!({"email": "ada@example.com"})),
    responses((status = 202, description = "If there is such an account, a letter is on its way."), Problems),
    security(()),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    origin: Origin,
    body: StrictJson<Request>,
) -> Result<StatusCode, ApiError> {
    let email = body.value.email;
    // Counted like a sign-in, but on an account of its own: nobody locks somebody else out by asking for letters.
    let subjects = subjects(&state, &origin, &format!("letters to {}", email.trim()));
    begin_attempt(&state, &origin, subjects).await?;
    if state.outbox.is_none() {
        return Ok(StatusCode::ACCEPTED);
    }
    let user = match EmailAddress::parse(&email) {
        Ok(email) => state.store.person(Who::Email(email.as_str().to_owned())).await.map_err(of_store)?,
        Err(_) => None,
    };
    // In a task of its own: the time of the answer tells nobody whether there is such an account.
    if let Some(user) = user.filter(|user| user.password_hash.is_some()) {
        tokio::spawn(async move {
            let made = async { make_link(&state, &origin, system_permit()?, user).await };
            if let Err(error) = made.await {
                tracing::error!(code = error.code().slug(), "a letter about a password could not be written");
            }
        });
    }
    Ok(StatusCode::ACCEPTED)
}
