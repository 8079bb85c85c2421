//! `GET /v1/workspaces/{slug}/service-accounts`

use axum::{Json, extract::State};
use keywright_domain::{member::MemberQuery, principal::MembershipNumber};
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
    wire::{Page, Role, ServiceAccount, WorkspacePath, page_limit},
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

/// List service accounts
///
/// Oldest first. Needs `members:read`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/service-accounts", operation_id = "list_service_accounts", tag = "Service accounts",
    params(WorkspacePath, Request),
    responses((status = 200, description = "A page of service accounts.", body = Page<ServiceAccount>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadMembers>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<ServiceAccount>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let role = request.role.map(Role::as_str).unwrap_or_default();
    let cursors = CursorScope::new("service-accounts", &[&scope.workspace.id.to_string(), role]);
    let after = cursors.decode_array(request.cursor.as_deref())?.map(u32::from_be_bytes);
    let query = MemberQuery {
        workspace: scope.workspace.id,
        role: request.role.map(Into::into),
        after: after.map(MembershipNumber),
        limit,
    };
    let page = state.store.service_accounts(query).await.map_err(of_store)?;
    let cursor = cursors.after(&page, |(_, membership)| membership.number.0.to_be_bytes());
    let catalogue = state.plane.catalogue();
    let show = |(account, membership)| ServiceAccount::new(account, &membership, &catalogue);
    Ok(Json(Page::new(page.items.into_iter().map(show).collect(), cursor)))
}
