//! `DELETE /v1/workspaces/{slug}/members/{id}`

use axum::extract::State;
use keywright_domain::{caps, key::is_printable, member::MemberCommand};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{EndedMembership, account_id, change, ended, user_id};
use crate::{
    actor::{Scope, WriteMembers},
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    openapi::{Accepted, problems},
    state::AppState,
    wire::{MemberPath, Receipted},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The service account that gets the member's keys in the same step, so that they go on working. Needs `keys:write`.
    hand_over_to: Option<String>,
    /// The reason, for the audit trail: 1 to 500 characters.
    reason: Option<String>,
}

problems! { PermissionEscalation, OwnerOnly, LastOwner, Conflict, LimitReached }

/// Remove a member
///
/// Needs `members:write`. The member's keys stop in the same moment, or are handed over: when the answer is there, no
/// node accepts a key that stopped. `GET …/keys?orphaned=true` lists them. The last Owner can not be removed.
#[utoipa::path(
    delete, path = "/v1/workspaces/{slug}/members/{id}", operation_id = "remove_member", tag = "Members",
    params(MemberPath, Request),
    responses((status = 200, description = "What became of the keys.", body = EndedMembership), Accepted<EndedMembership>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteMembers>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Receipted<EndedMembership>, ApiError> {
    let user = user_id(&scope)?;
    let hand_over_to = request.hand_over_to.map(|id| account_id("hand_over_to", &id)).transpose();
    let hand_over_to =
        hand_over_to.map_err(|_| not_a_value("hand_over_to", "is the id of a service account"))?;
    if request.reason.as_ref().is_some_and(|reason| !is_printable(reason, 1, caps::REASON_MAX_CHARS)) {
        return Err(not_a_value("reason", "has 1 to 500 printable characters"));
    }
    let command = MemberCommand::Remove { user, hand_over_to, reason: request.reason };
    ended(&state, change(&state, &scope, command, &[]).await?)
}

fn not_a_value(field: &str, text: &str) -> ApiError {
    ApiError::with_detail(ErrorCode::InvalidQuery, format!("`{field}` {text}.")).member("field", field)
}
