//! `GET /v1/operations/{id}`

use std::time::Duration;

use axum::extract::State;
use keywright_domain::{ids::OperationId, permit::Action};

use crate::{
    actor::Caller,
    cluster::Stale,
    edge::StrictPath,
    error::{ApiError, ErrorCode},
    openapi::problems,
    operation,
    state::AppState,
    wire::{Operation, OperationAnswer, OperationPath},
};

/// How long this node may take to reach the change itself.
const HERE_PATIENCE: Duration = Duration::from_secs(2);

/// Whoever may do one of these may have made a change that is waited for.
const ACTIONS: [Action; 4] =
    [Action::WriteKeys, Action::WriteWorkspace, Action::ReadKeys, Action::ReadWorkspace];

problems! {}

/// Follow a change
///
/// For a change that was answered with 202: whether every node goes by it now. Answered by any node. With
/// `Prefer: wait=<seconds>` (0 to 400) the answer comes when it is complete, or when the time is over. Needs an operator
/// credential, or a key or member with one of `keys:read`, `keys:write`, `workspace:read`, `workspace:write`.
#[utoipa::path(
    get, path = "/v1/operations/{id}", operation_id = "get_operation", tag = "Operations",
    params(OperationPath, ("Prefer" = Option<String>, Header, description = "`wait=<seconds>`: how long to wait (RFC 7240).")),
    responses((status = 200, description = "How far it is.", body = Operation), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    StrictPath(id): StrictPath<String>,
) -> Result<OperationAnswer, ApiError> {
    caller.workspaces_for(&ACTIONS)?;
    let id = OperationId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let change = operation::change_of(id).ok_or(ErrorCode::NotFound)?;
    // A number that the log never reached is not to be waited for.
    let reached = state.plane.cluster().here(change.sequence, HERE_PATIENCE).await;
    if reached.is_err() || state.plane.engine().applied() < change.sequence {
        return Err(Stale.into());
    }
    Ok(OperationAnswer(state.everywhere(&caller.origin, change, 0).await))
}
