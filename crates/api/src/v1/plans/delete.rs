//! `DELETE /v1/plans/{name}`

use axum::extract::State;
use http::StatusCode;
use keywright_domain::command::Command;

use crate::{
    actor::Installation, edge::StrictPath, error::ApiError, openapi::problems, state::AppState,
    wire::NamePath,
};

problems! { Conflict }

/// Delete a plan
///
/// Operator only. Refused while a workspace is on the plan, and for plans that are built in.
#[utoipa::path(
    delete, path = "/v1/plans/{name}", operation_id = "delete_plan", tag = "Plans",
    params(NamePath),
    responses((status = 204, description = "It is gone."), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(name): StrictPath<String>,
) -> Result<StatusCode, ApiError> {
    let context = caller.origin.context(&state, permit, None);
    state.commit(context, Command::DeletePlan(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
