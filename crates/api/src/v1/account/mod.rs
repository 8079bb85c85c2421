//! The signed-in user's own account: password, second factor, recovery.

mod get;
mod password;
mod recovery_codes;
mod recovery_finish;
mod recovery_start;
mod totp_begin;
mod totp_confirm;
mod totp_drop;

use keywright_domain::{
    account::{AccountOutcome, CredentialCommand},
    command::Command,
    permit::Permit,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{actor::Origin, error::ApiError, sign_in::account_outcome, state::AppState};

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(get::handler))
        .routes(routes!(password::handler))
        .routes(routes!(recovery_start::handler))
        .routes(routes!(recovery_finish::handler))
        .routes(routes!(totp_begin::handler, totp_drop::handler))
        .routes(routes!(totp_confirm::handler))
        .routes(routes!(recovery_codes::handler))
}

/// Carries out a change of credentials.
///
/// # Errors
/// The domain's refusal.
pub(super) async fn change(
    state: &AppState,
    origin: &Origin,
    permit: Permit,
    command: CredentialCommand,
) -> Result<AccountOutcome, ApiError> {
    account_outcome(state, origin, permit, Command::Credential(command)).await
}
