//! `GET /v1/workspaces/{slug}/invitations`

use axum::{Json, extract::State};
use keywright_domain::ids::InvitationId;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    actor::{ReadMembers, Scope},
    cursor::CursorScope,
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Invitation, Page, WorkspacePath, page_limit},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// Size of the page; 20 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `cursor` of the page before.
    cursor: Option<String>,
}

problems! { InvalidCursor }

/// List invitations
///
/// Those that wait, and those whose link has ended, oldest first. Needs `members:read`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/invitations", operation_id = "list_invitations", tag = "Members",
    params(WorkspacePath, Request),
    responses((status = 200, description = "A page of invitations.", body = Page<Invitation>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadMembers>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<Invitation>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let workspace = scope.workspace.id;
    let cursors = CursorScope::new("invitations", &[&workspace.to_string()]);
    let after = cursors.decode_array(request.cursor.as_deref())?.map(InvitationId::from_bytes);
    let page = state.store.invitations(workspace, after, limit).await.map_err(of_store)?;
    let people = page.items.iter().map(|invitation| invitation.user).collect();
    let people = state.store.people(people).await.map_err(of_store)?;
    let catalogue = state.plane.catalogue();
    let email = |user| people.get(user).map(|person| person.email.clone());
    let shown = page.items.iter().map(|one| Invitation::new(one, email(&one.user), &catalogue)).collect();
    let cursor = cursors.after(&page, |invitation| invitation.id.to_bytes());
    Ok(Json(Page::new(shown, cursor)))
}
