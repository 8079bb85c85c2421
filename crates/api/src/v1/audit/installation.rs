//! `GET /v1/audit`

use axum::{extract::State, response::Response};
use http::HeaderMap;

use super::{Request, answer};
use crate::{
    actor::Installation,
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{AuditEntry, Page},
};

problems! { InvalidCursor }

/// The audit trail of the installation
///
/// Newest first. Operator only. With `Accept: application/x-ndjson` and no filter: the whole chain, oldest first, one
/// JSON object per line, with what is needed to verify it.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "list_installation_audit", tag = "Audit",
    params(Request),
    responses(
        (status = 200, description = "A page of entries, or the export.", content(
            (Page<AuditEntry> = "application/json"),
            (String = "application/x-ndjson"),
        )),
        Problems,
    ),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    _permitted: Installation,
    StrictQuery(request): StrictQuery<Request>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    answer(state, None, request, &headers).await
}
