//! `POST /v1/workspaces/{slug}/credits/reservations/{id}/commit`

use axum::{Json, extract::State};
use keywright_domain::credit::CreditCommand;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Reserved, change_reservation};
use crate::{
    actor::{Scope, VerifyKeys},
    edge::OptionalJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::ReservationPath,
};

/// How much of a reservation was used.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CommitCredits)]
pub(crate) struct Request {
    /// What the work cost, 0 to what was reserved; all of it unless given. The rest goes back.
    #[serde(default)]
    amount: Option<u64>,
}

problems! { ReservationEnded }

/// Commit a reservation
///
/// Needs `keys:verify`. Again with the same amount, it changes nothing and answers the same.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/credits/reservations/{id}/commit", operation_id = "commit_credits",
    tag = "Credits", params(ReservationPath),
    request_body(content = Option<Request>, example = json!({"amount": 12})),
    responses((status = 200, description = "The reservation and the account as they are now.", body = Reserved), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<VerifyKeys>,
    body: OptionalJson<Request>,
) -> Result<Json<Reserved>, ApiError> {
    let commit = CreditCommand::Commit { reservation: scope.reservation()?, amount: body.value.amount };
    Ok(Json(change_reservation(&state, &scope, commit, &[]).await?))
}
