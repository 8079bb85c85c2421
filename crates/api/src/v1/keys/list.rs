//! `GET /v1/workspaces/{slug}/keys`

use axum::{Json, extract::State};
use keywright_domain::{ids::KeyId, query::KeyQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    actor::{ReadKeys, Scope},
    cursor::CursorScope,
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Environment, Key, KeyFilter, KeyStatus, KeyTexts, LastUses, Page, WorkspacePath, page_limit},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// The environment.
    environment: Option<Environment>,
    /// The status now.
    status: Option<KeyStatus>,
    /// The creator's id.
    created_by: Option<String>,
    /// The `external_id`, exactly.
    external_id: Option<String>,
    /// Not used for so many days; for keys never used, not created since.
    #[param(maximum = 36_500)]
    unused_days: Option<u32>,
    /// Whether rotation is due now.
    rotation_due: Option<bool>,
    /// Part of the name, in any case.
    name: Option<String>,
    /// The locator of one of its secrets: the 12 characters after the prefix.
    locator: Option<String>,
    /// Size of the page; 20 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
    /// The `cursor` of the page before.
    cursor: Option<String>,
}

problems! { InvalidCursor }

/// List keys
///
/// Newest first. Needs `keys:read`. All filters given must apply.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/keys", operation_id = "list_keys", tag = "Keys",
    params(WorkspacePath, Request),
    responses((status = 200, description = "A page of keys.", body = Page<Key>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadKeys>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<Key>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let filter = request.filter();
    let cursors = CursorScope::new("keys", &[&scope.workspace.id.to_string(), &filter.text()]);
    let query = KeyQuery {
        workspace: scope.workspace.id,
        filter: filter.at(scope.now(), ErrorCode::InvalidQuery)?,
        now: scope.now(),
        after: cursors.decode_array(request.cursor.as_deref())?.map(KeyId::from_bytes),
        limit,
    };
    let page = state.store.keys(query).await.map_err(of_store)?;
    let last_uses = LastUses::of(&state, &page.items).await?;
    let last = page.items.last().filter(|_| page.has_more);
    let cursor = last.map(|key| cursors.encode(&key.id.to_bytes()));
    let texts =
        KeyTexts { state: &state, workspace: &scope.workspace, last_uses: &last_uses, now: scope.now() };
    let data = page.items.into_iter().map(|key| texts.show(key)).collect();
    Ok(Json(Page::new(data, cursor)))
}

impl Request {
    fn filter(&self) -> KeyFilter {
        KeyFilter {
            environment: self.environment,
            status: self.status,
            created_by: self.created_by.clone(),
            external_id: self.external_id.clone(),
            unused_days: self.unused_days,
            rotation_due: self.rotation_due,
            name: self.name.clone(),
            locator: self.locator.clone(),
        }
    }
}
