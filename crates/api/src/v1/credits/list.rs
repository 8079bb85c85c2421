//! `GET /v1/workspaces/{slug}/credits`

use axum::{Json, extract::State};
use keywright_domain::ids::CreditAccountId;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    actor::{ReadUsage, Scope},
    cursor::CursorScope,
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{CreditAccount, Page, WorkspacePath, credit_subject, page_limit},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// Only the account of this key.
    key_id: Option<String>,
    /// Only the account of this `external_id`.
    external_id: Option<String>,
    /// Size of the page; 20 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `cursor` of the page before.
    cursor: Option<String>,
}

problems! { InvalidCursor }

/// List credit accounts
///
/// Needs `usage:read`. Oldest first.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/credits", operation_id = "list_credit_accounts", tag = "Credits",
    params(WorkspacePath, Request),
    responses((status = 200, description = "A page of accounts.", body = Page<CreditAccount>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadUsage>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<CreditAccount>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let workspace = scope.workspace.id;
    if request.key_id.is_some() || request.external_id.is_some() {
        let subject = credit_subject(&state, workspace, request.key_id, request.external_id).await?;
        let found = state.store.credit_account(workspace, subject).await.map_err(of_store)?;
        return Ok(Json(Page::whole(found.into_iter().map(Into::into).collect())));
    }
    let cursors = CursorScope::new("credits", &[scope.workspace.slug.as_str()]);
    let after = cursors.decode_array(request.cursor.as_deref())?.map(CreditAccountId::from_bytes);
    let page = state.store.credit_accounts(workspace, after, limit).await.map_err(of_store)?;
    let cursor = cursors.after(&page, |account| account.id.to_bytes());
    Ok(Json(Page::new(page.items.into_iter().map(Into::into).collect(), cursor)))
}
