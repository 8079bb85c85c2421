//! `DELETE /v1/users/{id}/totp`

use axum::extract::State;
use http::StatusCode;
use keywright_domain::{account::CredentialCommand, command::Command, ids::UserId};

use crate::{
    actor::Installation,
    edge::StrictPath,
    error::{ApiError, ErrorCode},
    openapi::problems,
    sign_in::account_outcome,
    state::AppState,
    wire::UserPath,
};

problems! {}

/// Take somebody's second factor off
///
/// Operator only: for those who lost both their authenticator and their recovery codes. Make sure by another way that it is
/// them.
#[utoipa::path(
    delete, path = "/v1/users/{id}/totp", operation_id = "drop_totp_of_user", tag = "Accounts",
    params(UserPath),
    responses((status = 204, description = "There is none any more."), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(id): StrictPath<String>,
) -> Result<StatusCode, ApiError> {
    let user = UserId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let command = Command::Credential(CredentialCommand::DropSecondFactor(user));
    account_outcome(&state, &caller.origin, permit, command).await?;
    Ok(StatusCode::NO_CONTENT)
}
