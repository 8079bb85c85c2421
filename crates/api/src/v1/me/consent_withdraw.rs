//! `DELETE /v1/me/consents/{name}`

use axum::{Json, extract::State};

use crate::{
    actor::Caller,
    edge::StrictPath,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::users::rights::{self, Consents},
    wire::OwnConsentPath,
};

problems! {}

/// Withdraw consent
///
/// The record keeps when it was given and when it was withdrawn. Only for sessions.
#[utoipa::path(
    delete, path = "/v1/me/consents/{name}", operation_id = "withdraw_my_consent", tag = "Privacy",
    params(OwnConsentPath),
    responses((status = 200, description = "The record, oldest first.", body = Consents), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    StrictPath(name): StrictPath<String>,
) -> Result<Json<Consents>, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    let context = caller.origin.context(&state, permit, None);
    rights::withdraw(&state, &caller.origin, context, signed_in.session.user, &name).await.map(Json)
}
