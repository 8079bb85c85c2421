//! `POST /v1/operators/{id}/revoke`

use axum::{Json, extract::State};
use keywright_domain::{command::Command, ids::OperatorId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    edge::{OptionalJson, StrictPath},
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    wire::{Effective, Operator, OperatorPath},
};

/// Nothing needs to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevokeOperator)]
pub(crate) struct Request {}

/// An operator credential that was revoked.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevokedOperator {
    /// The credential.
    operator: Operator,
    /// The receipt: no node accepts it any more.
    effective: Effective,
}

problems! { Conflict }

/// Revoke an operator credential
///
/// Operator only. When the answer is there, no node accepts it. The last one that works is never revoked.
#[utoipa::path(
    post, path = "/v1/operators/{id}/revoke", operation_id = "revoke_operator", tag = "Operators",
    params(OperatorPath),
    request_body(content = Option<Request>, example = json!({})),
    responses((status = 200, description = "The credential, and the receipt.", body = RevokedOperator), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(id): StrictPath<String>,
    _body: OptionalJson<Request>,
) -> Result<Json<RevokedOperator>, ApiError> {
    let id = OperatorId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let context = caller.origin.context(&state, permit, None);
    let done = state.commit(context, Command::RevokeOperator(id)).await?;
    let effective = done.effective.into();
    Ok(Json(RevokedOperator { operator: done.operator()?.into(), effective }))
}
