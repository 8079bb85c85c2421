//! `GET /v1/workspaces`

use axum::{Json, extract::State};
use keywright_domain::workspace::Slug;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    actor::Installation,
    cursor::CursorScope,
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{Page, Workspace, page_limit},
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

/// List workspaces
///
/// By slug. Operator only.
#[utoipa::path(
    get, path = "/v1/workspaces", operation_id = "list_workspaces", tag = "Workspaces",
    params(Request),
    responses((status = 200, description = "A page of workspaces.", body = Page<Workspace>), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, .. }: Installation,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<Page<Workspace>>, ApiError> {
    let limit = page_limit(request.limit)?;
    let scope = CursorScope::new("workspaces", &[]);
    let after = request.cursor.map(|cursor| slug_of(&scope, &cursor)).transpose()?;
    let page = state.store.workspaces(after, limit).await.map_err(of_store)?;
    let cursor = scope.after(&page, |workspace| workspace.slug.as_str().as_bytes());
    let catalogue = state.plane.catalogue();
    // What cannot be restored any more is not there any more, even if its data still is.
    let there = page.items.into_iter().filter(|workspace| !workspace.is_gone(caller.origin.now));
    let data = there.map(|workspace| Workspace::new(workspace, &catalogue)).collect();
    Ok(Json(Page::new(data, cursor)))
}

fn slug_of(scope: &CursorScope, cursor: &str) -> Result<Slug, ApiError> {
    let position = scope.decode(cursor)?;
    let slug = std::str::from_utf8(&position).ok().and_then(|text| Slug::parse(text).ok());
    Ok(slug.ok_or(ErrorCode::InvalidCursor)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn pages_by_slug() {
        let api = Api::start().await;
        for slug in ["zeta", "beta", "b-2"] {
            assert_eq!(
                api.post(&api.operator, "/v1/workspaces", &json!({"slug": slug})).await.outcome(),
                "201"
            );
        }
        let first = api.get(&api.operator, "/v1/workspaces?limit=3").await.json();
        let slugs = |page: &serde_json::Value| {
            page["data"].as_array().unwrap().iter().map(|one| one["slug"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(
            (slugs(&first), &first["has_more"]),
            (vec![json!("acme"), json!("b-2"), json!("beta")], &json!(true))
        );
        let cursor = first["cursor"].as_str().unwrap();
        let second = api.get(&api.operator, &format!("/v1/workspaces?limit=3&cursor={cursor}")).await.json();
        assert_eq!(second["data"].as_array().unwrap().len(), 1);
        assert_eq!((&second["data"][0]["slug"], &second["cursor"]), (&json!("zeta"), &json!(null)));
        let keys = api.get(&api.operator, &format!("/v1/workspaces/acme/keys?cursor={cursor}")).await;
        assert_eq!(keys.outcome(), "400 invalid_cursor");
    }
}
