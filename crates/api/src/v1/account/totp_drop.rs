//! `DELETE /v1/account/totp`

use axum::extract::State;
use http::StatusCode;
use keywright_domain::account::CredentialCommand;

use super::change;
use crate::{actor::Caller, error::ApiError, openapi::problems, state::AppState};

problems! { NotFound, ReauthenticationRequired }

/// Do without a second factor
///
/// Within 10 minutes of proving who one is, with a code. The recovery codes go, too.
#[utoipa::path(
    delete, path = "/v1/account/totp", operation_id = "drop_totp", tag = "Accounts",
    responses((status = 204, description = "There is none any more."), Problems),
)]
pub(crate) async fn handler(State(state): State<AppState>, caller: Caller) -> Result<StatusCode, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    caller.require_fresh()?;
    let command = CredentialCommand::DropSecondFactor(signed_in.session.user);
    change(&state, &caller.origin, permit, command).await?;
    Ok(StatusCode::NO_CONTENT)
}
