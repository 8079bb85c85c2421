//! `POST /v1/account/totp`

use axum::{Json, extract::State};
use keywright_domain::{
    account::{CredentialCommand, NewSecret},
    privacy::Who,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::change;
use crate::{
    actor::Caller,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    totp,
    v1::problems::of_store,
};

/// What an authenticator needs.
#[derive(Serialize, ToSchema)]
pub(crate) struct BegunTotp {
    /// The secret in base 32, for typing.
    #[schema(example = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")]
    secret: String,
    /// The same as an address: for a QR code, or a tap on the phone that has the authenticator.
    #[schema(example = "otpauth://totp/Keywright:ada%40example.com?secret=…")]
    uri: String,
}

problems! { Conflict, ReauthenticationRequired }

/// Set up a second factor
///
/// A time-based one-time password (RFC 6238). It counts once it is confirmed with a code; until then this can be repeated.
/// Within 10 minutes of signing in.
#[utoipa::path(
    post, path = "/v1/account/totp", operation_id = "begin_totp", tag = "Accounts",
    responses((status = 200, description = "What an authenticator needs. Shown once.", body = BegunTotp), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<Json<BegunTotp>, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    caller.require_fresh()?;
    let user = state.store.person(Who::Id(signed_in.session.user)).await.map_err(of_store)?;
    let user = user.ok_or(ErrorCode::InvalidSession)?;
    let secret = totp::new_secret(&*state.entropy);
    let begun = BegunTotp {
        secret: (*totp::base32(&secret)).clone(),
        uri: (*totp::otpauth(&secret, "Keywright", &user.email)).clone(),
    };
    let command = CredentialCommand::BeginSecondFactor { user: user.id, secret: NewSecret(secret) };
    change(&state, &caller.origin, permit, command).await?;
    Ok(Json(begun))
}
