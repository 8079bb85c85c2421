//! `POST /v1/account/recovery-codes`

use axum::{Json, extract::State};
use keywright_domain::account::CredentialCommand;

use super::{change, totp_confirm::RecoveryCodes};
use crate::{actor::Caller, error::ApiError, openapi::problems, state::AppState, totp};

problems! { NotFound, ReauthenticationRequired }

/// Get new recovery codes
///
/// Ten; those before are not good any more. Within 10 minutes of proving who one is.
#[utoipa::path(
    post, path = "/v1/account/recovery-codes", operation_id = "replace_recovery_codes", tag = "Accounts",
    responses((status = 200, description = "Ten recovery codes. Shown once.", body = RecoveryCodes), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<RecoveryCodes>, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    caller.require_fresh()?;
    let (shown, codes) = totp::new_codes(&*state.entropy);
    let command = CredentialCommand::ReplaceRecoveryCodes { user: signed_in.session.user, codes };
    change(&state, &caller.origin, permit, command).await?;
    let recovery_codes = shown.iter().map(|code| (**code).clone()).collect();
    Ok(Json(RecoveryCodes { recovery_codes }))
}
