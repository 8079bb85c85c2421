//! `GET /v1/workspaces/{slug}/members`

use axum::{Json, extract::State};
use keywright_domain::{member::MemberQuery, principal::MembershipNumber};
use serde::Deserialize;
use utoipa::IntoParams;

use super::shown;
use crate::{
    actor::{ReadMembers, Scope},
    cursor::CursorScope,
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Member, Page, Role, WorkspacePath, page_limit},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The role.
    role: Option<Role>,
    /// Size of the page; 20 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `cursor` of the page before.
    cursor: Option<String>,
}

problems! { InvalidCursor }

/// List members
///
/// The people of the workspace, those who joined first first. Needs `members:read`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/members", operation_id = "list_members", tag = "Members",
    params(WorkspacePath, Request),
    responses((status = 200, description = "A page of members.", body = Page<Member>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadMembers>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<Member>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let role = request.role.map(Role::as_str).unwrap_or_default();
    let cursors = CursorScope::new("members", &[&scope.workspace.id.to_string(), role]);
    let after = cursors.decode_array(request.cursor.as_deref())?.map(u32::from_be_bytes);
    let query = MemberQuery {
        workspace: scope.workspace.id,
        role: request.role.map(Into::into),
        after: after.map(MembershipNumber),
        limit,
    };
    let page = state.store.members(query).await.map_err(of_store)?;
    let cursor = cursors.after(&page, |membership| membership.number.0.to_be_bytes());
    Ok(Json(Page::new(shown(&state, &page.items).await?, cursor)))
}
