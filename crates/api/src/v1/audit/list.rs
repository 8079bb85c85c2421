//! `GET /v1/workspaces/{slug}/audit`

use axum::{extract::State, response::Response};
use http::HeaderMap;

use super::{Request, answer};
use crate::{
    actor::{ReadAudit, Scope},
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{AuditEntry, Page, WorkspacePath},
};

problems! { InvalidCursor }

/// The audit trail of a workspace
///
/// Newest first. Needs `audit:read`. With `Accept: application/x-ndjson`: everything, one JSON object per line, each
/// entry with the chain's hash, then the signed checkpoints, then an `end` line; an export without that line is cut off.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/audit", operation_id = "list_audit", tag = "Audit",
    params(WorkspacePath, Request),
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
    scope: Scope<ReadAudit>,
    StrictQuery(request): StrictQuery<Request>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    answer(state, Some(scope.workspace.id), request, &headers).await
}
