//! `POST /v1/sessions/reauthenticate`

use axum::{Json, extract::State};
use keywright_domain::{
    account::{AccountOutcome, CredentialCommand},
    command::Command,
    privacy::Who,
};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    actor::Caller,
    commit::unexpected,
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    openapi::problems,
    password::Password,
    sign_in::{account_outcome, begin_attempt, check_password, second_factor, subjects},
    state::AppState,
    v1::problems::of_store,
    wire::Session,
};

/// A proof of who one is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Reauthenticate)]
pub(crate) struct Request {
    /// The password.
    #[schema(value_type = String, format = Password)]
    password: Password,
    /// What the authenticator shows, or a recovery code, if the account has a second factor.
    #[schema(example = "005924")]
    code: Option<String>,
}

problems! { InvalidSignIn, InvalidCode, SecondFactorRequired, TooManyFailedAttempts, Unavailable }

/// Prove again who I am
///
/// Dangerous actions ask for a proof that is not older than 10 minutes
/// ([`reauthentication_required`](/errors/reauthentication_required)). An account without a password signs in anew instead.
#[utoipa::path(
    post, path = "/v1/sessions/reauthenticate", operation_id = "reauthenticate", tag = "Accounts",
    request_body(content = Request, example = json!({"password": "…"})),
    responses((status = 200, description = "The session, good for dangerous actions again.", body = Session), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    body: StrictJson<Request>,
) -> Result<Json<Session>, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    let (user, session) = (signed_in.session.user, signed_in.session.id);
    let person = state.store.person(Who::Id(user)).await.map_err(of_store)?;
    let person = person.ok_or(ErrorCode::InvalidSession)?;
    let forgive = subjects(&state, &caller.origin, &person.email);
    begin_attempt(&state, &caller.origin, forgive.clone()).await?;
    check_password(&state, Some(&person), &body.value.password).await?;
    let factor = second_factor(&state, &caller.origin, user, body.value.code.as_deref()).await?;
    let command = CredentialCommand::Reauthenticate { user, session, factor, forgive };
    match account_outcome(&state, &caller.origin, permit, Command::Credential(command)).await? {
        AccountOutcome::Session(now) => {
            Ok(Json(Session::new(&now, Some(session), state.config.session_limits)))
        }
        _ => Err(unexpected()),
    }
}
