//! `POST /v1/workspaces/{slug}/credits/reserve`

use axum::{Json, extract::State};
use http::StatusCode;
use keywright_domain::{credit::CreditCommand, ids::ReservationId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Reserved, change_reservation};
use crate::{
    actor::{Scope, VerifyKeys},
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{WorkspacePath, credit_subject},
};

/// Credits to be set aside.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReserveCredits)]
pub(crate) struct Request {
    /// The key whose own balance it is.
    #[serde(default)]
    key_id: Option<String>,
    /// Or the `external_id` whose balance it is.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 128)]
    external_id: Option<String>,
    /// How many: as much as the work may cost at most.
    #[schema(minimum = 1)]
    amount: u64,
    /// When they go back by themselves, in seconds; 300 unless given.
    #[serde(default = "default_ttl")]
    #[schema(minimum = 1, maximum = 86_400)]
    ttl_seconds: u32,
}

const fn default_ttl() -> u32 {
    300
}

problems! { InsufficientCredits, AlreadyApplied, IdempotencyMismatch }

/// Reserve credits
///
/// Needs `keys:verify`. For work whose cost is known only afterwards: reserve, work, then commit what it cost. What is
/// neither committed nor refunded in time goes back.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/credits/reserve", operation_id = "reserve_credits", tag = "Credits",
    params(WorkspacePath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({"external_id": "cust_42", "amount": 20, "ttl_seconds": 300})),
    responses((status = 201, description = "The reservation, and the account.", body = Reserved), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<VerifyKeys>,
    body: StrictJson<Request>,
) -> Result<(StatusCode, Json<Reserved>), ApiError> {
    let Request { key_id, external_id, amount, ttl_seconds } = body.value;
    let subject = credit_subject(&state, scope.workspace.id, key_id, external_id).await?;
    let reservation = ReservationId::generate(scope.now(), &*state.entropy);
    let reserve = CreditCommand::Reserve { reservation, subject, amount, ttl_seconds };
    Ok((StatusCode::CREATED, Json(change_reservation(&state, &scope, reserve, &body.raw).await?)))
}
