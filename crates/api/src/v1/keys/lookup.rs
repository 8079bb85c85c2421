//! `POST /v1/keys/lookup`

use axum::{Json, extract::State};
use keywright_domain::{caps, ids::WorkspaceId, permit::Action, workspace::Workspace};
use keywright_keyformat::Locator;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

use crate::{
    actor::Caller,
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    plane::Located,
    state::AppState,
    v1::problems::of_store,
    wire::{Key, KeyTexts, LastUses},
};

/// Locators that were found somewhere.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LookupKeys)]
pub(crate) struct Request {
    /// The 12 characters after the prefix, of up to 100 keys.
    #[schema(max_items = 100)]
    locators: Vec<String>,
}

/// The keys that locators belong to.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundKeys {
    /// One for each locator, in their order.
    data: Vec<FoundKey>,
}

/// The key that a locator belongs to.
#[derive(Serialize, ToSchema)]
pub(crate) struct FoundKey {
    /// The locator.
    #[schema(example = "aB3dE6gH9kLm")]
    locator: String,
    /// The key, or `null` when the caller may see none of this locator.
    key: Option<Key>,
    /// Whether the secret of this locator still works, as far as key and secret go.
    usable: bool,
}

problems! {}

/// Find keys by locator
///
/// For locators that were found in files, logs or leak reports, without handling the secret. An operator finds keys of
/// all workspaces; a key or a member with `keys:read` those of their own.
#[utoipa::path(
    post, path = "/v1/keys/lookup", operation_id = "lookup_keys", tag = "Keys",
    request_body(content = Request, example = json!({"locators": ["aB3dE6gH9kLm"]})),
    responses((status = 200, description = "What each locator belongs to.", body = FoundKeys), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    caller: Caller,
    body: StrictJson<Request>,
) -> Result<Json<FoundKeys>, ApiError> {
    let visible = caller.workspaces_for(&[Action::ReadKeys])?;
    if body.value.locators.len() > caps::LOOKUP_LOCATORS_MAX {
        let detail = format!("`locators` has at most {}.", caps::LOOKUP_LOCATORS_MAX);
        return Err(ApiError::invalid_field("locators", detail));
    }
    let mut workspaces = HashMap::new();
    let mut data = Vec::with_capacity(body.value.locators.len());
    for (position, text) in body.value.locators.into_iter().enumerate() {
        let locator = Locator::parse(&text).map_err(|_| {
            ApiError::invalid_field(&format!("locators[{position}]"), "A locator has 12 letters and digits.")
        })?;
        let located = state.plane.locate(locator);
        let located =
            located.filter(|found| visible.as_ref().is_none_or(|visible| visible.contains(&found.workspace)));
        let (key, usable) = match located {
            Some(located) => show(&state, &caller, &mut workspaces, locator, &located).await?,
            None => (None, false),
        };
        data.push(FoundKey { locator: text, key, usable });
    }
    Ok(Json(FoundKeys { data }))
}

async fn show(
    state: &AppState,
    caller: &Caller,
    workspaces: &mut HashMap<WorkspaceId, Workspace>,
    locator: Locator,
    located: &Located,
) -> Result<(Option<Key>, bool), ApiError> {
    let now = caller.origin.now;
    if !workspaces.contains_key(&located.workspace) {
        let found = state.store.workspace(located.slug.clone()).await.map_err(of_store)?;
        let found = found.filter(|workspace| !workspace.is_gone(now));
        workspaces.extend(found.map(|workspace| (located.workspace, workspace)));
    }
    let Some(workspace) = workspaces.get(&located.workspace) else { return Ok((None, false)) };
    let Some(key) = state.store.key(located.workspace, located.key).await.map_err(of_store)? else {
        return Ok((None, false));
    };
    let usable = key.status_in(workspace, now) == keywright_domain::key::KeyStatus::Active
        && !workspace.is_off()
        && key.live_secrets(now).any(|secret| secret.locator == locator);
    let last_uses = LastUses::of(state, std::slice::from_ref(&key)).await?;
    let texts = KeyTexts { state, workspace, last_uses: &last_uses, now };
    Ok((Some(texts.show(key)), usable))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, Who};

    const PATH: &str = "/v1/keys/lookup";

    fn locator(who: &Who) -> &str {
        let Who::Holder(secret) = who else { panic!("nobody") };
        &secret["sk_live_".len()..][..12]
    }

    #[tokio::test]
    async fn operators_find_all_keys_others_their_own() {
        let api = Api::start().await;
        let (mine, id) = api.key_with(&["keys:read"]).await;
        api.post(&api.operator, "/v1/workspaces", &json!({"slug": "other"})).await;
        let body = json!({"name": "web", "environment": "production"});
        let theirs = api.post(&api.operator, "/v1/workspaces/other/keys", &body).await.json();
        let theirs = (crate::harness::holder(&theirs["secret"]), theirs["key"]["id"].clone());
        let body = json!({"locators": [locator(&mine), locator(&theirs.0), "aB3dE6gH9kLm"]});
        let all = api.post(&api.operator, PATH, &body).await.json();
        assert_eq!((&all["data"][0]["key"]["id"], &all["data"][0]["usable"]), (&json!(id), &json!(true)));
        assert_eq!(
            (&all["data"][1]["key"]["id"], &all["data"][1]["key"]["workspace"]),
            (&theirs.1, &json!("other"))
        );
        assert_eq!(all["data"][2], json!({"locator": "aB3dE6gH9kLm", "key": null, "usable": false}));
        let own = api.post(&mine, PATH, &body).await.json();
        assert_eq!(own["data"][0]["key"]["id"], json!(id));
        assert_eq!(own["data"][1], json!({"locator": locator(&theirs.0), "key": null, "usable": false}));
    }

    #[tokio::test]
    async fn the_secret_of_a_finished_rotation_is_found_but_not_usable() {
        let api = Api::start().await;
        let (old, id) = api.key_with(&[]).await;
        api.post(
            &api.operator,
            &format!("/v1/workspaces/acme/keys/{id}/rotate"),
            &json!({"overlap_seconds": 0}),
        )
        .await;
        let found = api.post(&api.operator, PATH, &json!({"locators": [locator(&old)]})).await.json();
        assert_eq!(
            (&found["data"][0]["key"]["id"], &found["data"][0]["usable"]),
            (&json!(id), &json!(false))
        );
        assert_eq!(found["data"][0]["key"]["status"], "active");
    }

    #[tokio::test]
    async fn the_number_of_locators_has_limits() {
        let api = Api::start().await;
        let body = |count: usize| json!({"locators": vec!["aB3dE6gH9kLm"; count]});
        assert_eq!(api.post(&api.operator, PATH, &body(0)).await.json()["data"], json!([]));
        assert_eq!(api.post(&api.operator, PATH, &body(100)).await.outcome(), "200");
        assert_eq!(api.post(&api.operator, PATH, &body(101)).await.outcome(), "400 invalid_field");
        let answer = api.post(&api.operator, PATH, &json!({"locators": ["aB3dE6gH9kLm", "x"]})).await;
        assert_eq!(
            (answer.outcome(), &answer.json()["field"]),
            ("400 invalid_field".into(), &json!("locators[1]"))
        );
    }
}
