//! `POST /v1/workspaces/{slug}/credits/reservations/{id}/refund`

use axum::{Json, extract::State};
use keywright_domain::credit::CreditCommand;

use super::{Reserved, change_reservation};
use crate::{
    actor::{Scope, VerifyKeys},
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::ReservationPath,
};

problems! { ReservationEnded }

/// Refund a reservation
///
/// Needs `keys:verify`. All of it goes back. Again, it changes nothing and answers the same.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/credits/reservations/{id}/refund", operation_id = "refund_credits",
    tag = "Credits", params(ReservationPath),
    responses((status = 200, description = "The reservation and the account as they are now.", body = Reserved), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<VerifyKeys>,
) -> Result<Json<Reserved>, ApiError> {
    let refund = CreditCommand::Refund { reservation: scope.reservation()? };
    Ok(Json(change_reservation(&state, &scope, refund, &[]).await?))
}
