//! `POST /v1/account/totp/confirm`

use axum::{Json, extract::State};
use keywright_domain::account::CredentialCommand;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::change;
use crate::{
    actor::Caller,
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    totp,
    v1::problems::of_store,
};

/// The first code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConfirmTotp)]
pub(crate) struct Request {
    /// What the authenticator shows.
    #[schema(example = "005924")]
    code: String,
}

/// Codes for the day when the authenticator is lost.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecoveryCodes {
    /// Each is good once, instead of a code. Shown once: print them.
    #[schema(example = json!(["ABCD-EFGH-IJKL-MNOP"]))]
    pub(super) recovery_codes: Vec<String>,
}

problems! { Conflict, NotFound, InvalidCode, ReauthenticationRequired }

/// Confirm a second factor
///
/// With the first code. From now on, signing in takes a code or one of the recovery codes in this answer.
#[utoipa::path(
    post, path = "/v1/account/totp/confirm", operation_id = "confirm_totp", tag = "Accounts",
    request_body(content = Request, example = json!({"code": "005924"})),
    responses((status = 200, description = "Ten recovery codes.", body = RecoveryCodes), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    body: StrictJson<Request>,
) -> Result<Json<RecoveryCodes>, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    caller.require_fresh()?;
    let user = signed_in.session.user;
    let factor = state.store.second_factor(user).await.map_err(of_store)?.ok_or(ErrorCode::NotFound)?;
    let code: String = body.value.code.split_whitespace().collect();
    let step = totp::matching_step(&factor.secret, &code, caller.origin.now).ok_or(ErrorCode::InvalidCode)?;
    let (shown, codes) = totp::new_codes(&*state.entropy);
    let command = CredentialCommand::ConfirmSecondFactor { user, step, codes };
    change(&state, &caller.origin, permit, command).await?;
    let recovery_codes = shown.iter().map(|code| (**code).clone()).collect();
    Ok(Json(RecoveryCodes { recovery_codes }))
}
