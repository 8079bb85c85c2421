//! The audit trail.

pub(super) mod checkpoints;
mod export;
pub(super) mod installation;
pub(super) mod list;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use keywright_domain::{ids::WorkspaceId, query::AuditQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    cursor::CursorScope,
    edge::accepts,
    error::{ApiError, ErrorCode},
    state::AppState,
    v1::problems::of_store,
    wire::{AuditEntry, Page, page_limit},
};

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The id or name of what was changed.
    target: Option<String>,
    /// What happened, such as `key.revoked`.
    action: Option<String>,
    /// Size of the page; 20 unless given. Not for exports.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `cursor` of the page before. Not for exports.
    cursor: Option<String>,
}

/// The answer of both lists: a page, or everything as lines of JSON.
async fn answer(
    state: AppState,
    workspace: Option<WorkspaceId>,
    request: Request,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    if !accepts(headers, export::MEDIA_TYPE) {
        return page(&state, workspace, request).await.map(IntoResponse::into_response);
    }
    if request.limit.is_some() || request.cursor.is_some() {
        let detail = "An export is no page: leave `limit` and `cursor` out.";
        return Err(ApiError::with_detail(ErrorCode::InvalidQuery, detail));
    }
    export::respond(state, export::Wanted { workspace, target: request.target, action: request.action }).await
}

async fn page(
    state: &AppState,
    workspace: Option<WorkspaceId>,
    request: Request,
) -> Result<Json<Page<AuditEntry>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let whose = workspace.map(|id| id.to_string()).unwrap_or_default();
    // Whether a filter is given is part of the text: absent is not the same as empty.
    let (target, action) = (format!("{:?}", request.target), format!("{:?}", request.action));
    let cursors = CursorScope::new("audit", &[&whose, &target, &action]);
    let query = AuditQuery {
        workspace,
        target: request.target,
        action: request.action,
        before: cursors.decode_array(request.cursor.as_deref())?.map(u64::from_be_bytes),
        limit,
    };
    let found = state.store.audit(query).await.map_err(of_store)?;
    let cursor = cursors.after(&found, |entry| entry.sequence.to_be_bytes());
    let data = found.items.into_iter().map(AuditEntry::try_from).collect::<Result<_, _>>()?;
    Ok(Json(Page::new(data, cursor)))
}
