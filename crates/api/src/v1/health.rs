//! `GET /v1/health`

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
};

/// That the service can be used.
#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub(crate) struct Answer {
    /// `ok`: keys are verified and requests are answered.
    #[schema(example = "ok")]
    status: &'static str,
    /// The server's version.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

problems! { Unavailable }

/// Ask whether the service can be used
///
/// Needs no credential. Probes of a supervisor or a load balancer ask `/healthz` and `/readyz`, which tell more.
#[utoipa::path(
    get, path = "/v1/health", operation_id = "get_health", tag = "Service",
    responses((status = 200, description = "It can be used.", body = Answer), Problems),
    security(()),
)]
pub(crate) async fn handler(State(state): State<AppState>) -> Result<Json<Answer>, ApiError> {
    if state.plane.engine().is_ready() {
        return Ok(Json(Answer { status: "ok", version: env!("CARGO_PKG_VERSION") }));
    }
    let detail = "This node can not verify keys at the moment; ask again, or another one.";
    Err(ApiError::with_detail(ErrorCode::Unavailable, detail).retry_after_seconds(1))
}
