//! `PUT /v1/me/consents/{name}`

use axum::{Json, extract::State};

use crate::{
    actor::Caller,
    edge::{StrictJson, StrictPath},
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::users::rights::{self, ConsentVersion, Consents},
    wire::OwnConsentPath,
};

problems! { LimitReached }

/// Consent to something
///
/// To another version of the same, it takes the place of the one before; the same again changes nothing. Only for sessions.
#[utoipa::path(
    put, path = "/v1/me/consents/{name}", operation_id = "give_my_consent", tag = "Privacy",
    params(OwnConsentPath),
    request_body(content = ConsentVersion, example = json!({"version": "2026-11"})),
    responses((status = 200, description = "The record, oldest first.", body = Consents), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    StrictPath(name): StrictPath<String>,
    StrictJson { value, .. }: StrictJson<ConsentVersion>,
) -> Result<Json<Consents>, ApiError> {
    let (signed_in, permit) = caller.own_account()?;
    let context = caller.origin.context(&state, permit, None);
    let user = signed_in.session.user;
    rights::give(&state, &caller.origin, context, user, (&name, &value.version)).await.map(Json)
}
