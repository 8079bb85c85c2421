//! `GET /v1/workspaces/{slug}/keys`

use axum::{Json, extract::State};
use keywright_domain::{ids::KeyId, key::ApiKey, query::KeyQuery};
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
    /// Whether it works and counts as idle by the workspace's policy (`idle_days`). A page may be shorter than `limit`: keys
    /// that were used a moment ago are left out.
    idle: Option<bool>,
    /// Part of the name, in any case.
    name: Option<String>,
    /// The locator of one of its secrets: the 12 characters after the prefix.
    #[param(pattern = "^[0-9A-Za-z]{12}$")]
    locator: Option<String>,
    /// Whether its creator's membership has ended, so that no node accepts it.
    orphaned: Option<bool>,
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
    let cursor = cursors.after(&page, |key| key.id.to_bytes());
    let texts =
        KeyTexts { state: &state, workspace: &scope.workspace, last_uses: &last_uses, now: scope.now() };
    // What was counted since the last flush, the engine knows: a key that was used a moment ago is not idle.
    let is_meant = |key: &ApiKey| filter.idle != Some(true) || texts.is_idle(key);
    let data = page.items.into_iter().filter(is_meant).map(|key| texts.show(key)).collect();
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
            idle: self.idle,
            name: self.name.clone(),
            locator: self.locator.clone(),
            orphaned: self.orphaned,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, Who};

    const PATH: &str = "/v1/workspaces/acme/keys";

    async fn names(api: &Api, query: &str) -> Vec<String> {
        let answer = api.get(&api.operator, &format!("{PATH}?{query}")).await;
        assert_eq!(answer.outcome(), "200", "{query}: {}", answer.text);
        let page = answer.json();
        page["data"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
    }

    /// `old` (100 days), then `disabled`, `revoked`, `expiring` and `fresh`.
    async fn with_keys() -> Api {
        let api = Api::start().await;
        for (name, environment) in [
            ("old", "production"),
            ("disabled", "staging"),
            ("revoked", "ci"),
            ("expiring", "ci"),
            ("fresh", "production"),
        ] {
            let mut body =
                json!({"name": name, "environment": environment, "external_id": format!("cust {name}")});
            if name == "expiring" {
                body["expires_at"] = json!("2027-03-01T08:00:01Z");
            }
            let answer = api.post(&api.operator, PATH, &body).await;
            assert_eq!(answer.outcome(), "201");
            let id = answer.json()["key"]["id"].as_str().unwrap().to_owned();
            match name {
                "old" => api.clock.advance_seconds(100 * 86_400),
                "disabled" => assert_eq!(
                    api.post(&api.operator, &format!("{PATH}/{id}/disable"), &json!({})).await.outcome(),
                    "200"
                ),
                "revoked" => assert_eq!(
                    api.post(&api.operator, &format!("{PATH}/{id}/revoke"), &json!({})).await.outcome(),
                    "200"
                ),
                _ => api.clock.advance_ms(1_000),
            }
        }
        api
    }

    #[tokio::test]
    async fn every_filter() {
        let api = with_keys().await;
        let all = ["fresh", "expiring", "revoked", "disabled", "old"];
        for (query, expected) in [
            ("", &all[..]),
            ("environment=production", &["fresh", "old"]),
            ("status=active", &["fresh", "old"]),
            ("status=disabled", &["disabled"]),
            ("status=expired", &["expiring"]),
            ("status=revoked", &["revoked"]),
            ("external_id=cust%20old", &["old"]),
            ("external_id=cust", &[]),
            ("unused_days=100", &["old"]),
            ("unused_days=101", &[]),
            ("rotation_due=true", &["old"]),
            ("name=RE", &["fresh", "revoked"]),
            ("name=%25", &[]),
            ("environment=production&rotation_due=false", &["fresh"]),
            ("created_by=key_01m7yhx3001y00p7tpcjvhkr3j", &[]),
        ] {
            assert_eq!(names(&api, query).await, expected, "{query}");
        }
        let page = api.get(&api.operator, PATH).await.json();
        let oldest = &page["data"][4];
        let hint = oldest["secrets"][0]["hint"].as_str().unwrap();
        let locator = &hint["sk_live_".len()..][..12];
        assert_eq!(names(&api, &format!("locator={locator}")).await, ["old"]);
        assert_eq!(
            names(&api, &format!("created_by={}", oldest["created_by"]["id"].as_str().unwrap())).await,
            all
        );
    }

    #[tokio::test]
    async fn pages_show_every_key_once() {
        let api = with_keys().await;
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = api.get(&api.operator, &format!("{PATH}?limit=2{cursor}")).await.json();
            seen.extend(page["data"].as_array().unwrap().iter().map(|key| key["name"].clone()));
            assert_eq!(page["has_more"], json!(page["cursor"].is_string()));
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, ["fresh", "expiring", "revoked", "disabled", "old"]);
    }

    #[tokio::test]
    async fn a_cursor_from_elsewhere_is_refused() {
        let api = with_keys().await;
        api.post(&api.operator, "/v1/workspaces", &json!({"slug": "other"})).await;
        let page =
            api.get(&api.operator, &format!("{PATH}?limit=2&status=active&unused_days=0")).await.json();
        assert_eq!(page["cursor"], json!(null), "two keys are active");
        let page = api.get(&api.operator, &format!("{PATH}?limit=2")).await.json();
        let cursor = page["cursor"].as_str().unwrap();
        for path in [
            format!("{PATH}?status=active&cursor={cursor}"),
            format!("/v1/workspaces/other/keys?cursor={cursor}"),
            format!("/v1/workspaces/acme/audit?cursor={cursor}"),
            format!("{PATH}?cursor=x{cursor}"),
            format!("{PATH}?cursor="),
            format!("{PATH}?cursor=%00"),
        ] {
            assert_eq!(api.get(&api.operator, &path).await.outcome(), "400 invalid_cursor", "{path}");
        }
    }

    #[tokio::test]
    async fn bad_queries() {
        let api = Api::start().await;
        assert_eq!(names(&api, "limit=1").await.len() + names(&api, "limit=100").await.len(), 0);
        for query in [
            "limit=0",
            "limit=101",
            "limit=x",
            "limit=-1",
            "limit=1&limit=2",
            "unknown=1",
            "status=gone",
            "environment=x",
            "unused_days=36501",
            "rotation_due=yes",
            "locator=short",
        ] {
            let answer = api.get(&api.operator, &format!("{PATH}?{query}")).await;
            assert_eq!(answer.outcome(), "400 invalid_query", "{query}");
        }
        assert_eq!(api.get(&api.operator, &format!("{PATH}?name=%ff")).await.outcome(), "400 invalid_utf8");
        let in_url = format!("{PATH}?api_key=sk_live_x");
        assert_eq!(api.get(&Who::Anonymous, &in_url).await.outcome(), "400 credential_in_url");
    }
}
