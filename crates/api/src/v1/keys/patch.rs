//! `PATCH /v1/workspaces/{slug}/keys/{id}`

use axum::extract::State;
use keywright_domain::key::{KeyChange, KeyPatch};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{change, fields};
use crate::{
    actor::{Place, WriteKeys},
    edge::StrictJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Key, KeyPath, LimitWindow, Patch, Receipt, Receipted, Time, parse_networks},
};

/// Changes of a key. Absent: stays; `null`: is cleared; a value: is set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchKey)]
pub(crate) struct Request {
    /// The name.
    #[serde(default)]
    #[schema(value_type = String, min_length = 1, max_length = 64)]
    name: Patch<String>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    purpose: Patch<String>,
    /// What it may do. Not more than the caller may, unless the key may already.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    permissions: Patch<Vec<String>>,
    /// When it expires; `null`: never.
    #[serde(default)]
    #[schema(value_type = Option<Time>)]
    expires_at: Patch<Time>,
    /// Addresses and networks it may be used from; `null` and `[]`: any.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 64)]
    allowed_ips: Patch<Vec<String>>,
    /// Windows of its own; `null`: those of the plan.
    #[serde(default)]
    #[schema(value_type = Option<Vec<LimitWindow>>, max_items = 8)]
    limits: Patch<Vec<LimitWindow>>,
    /// Your own name for the customer.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    external_id: Patch<String>,
    /// Whatever you want to keep with it, as a whole; `null`: nothing.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: Patch<Map<String, Value>>,
}

/// A key that was changed.
#[derive(Serialize, ToSchema)]
pub(crate) struct PatchedKey {
    #[serde(flatten)]
    key: Key,
    #[serde(flatten)]
    receipt: Receipt,
}

problems! { UnknownPermission, PermissionEscalation, KeyAlreadyRevoked }

/// Change a key
///
/// Needs `keys:write`. When the answer is there, no node goes by what was taken away.
#[utoipa::path(
    patch, path = "/v1/workspaces/{slug}/keys/{id}", operation_id = "patch_key", tag = "Keys",
    params(KeyPath),
    request_body(content = Request, example = json!({"name": "production-web", "expires_at": null, "allowed_ips": ["203.0.113.0/24"]})),
    responses((status = 200, description = "The key as it is now.", body = PatchedKey), Accepted<PatchedKey>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    place: Place<WriteKeys>,
    body: StrictJson<Request>,
) -> Result<Receipted<PatchedKey>, ApiError> {
    let patch = body.value.into_patch(&state)?;
    let changed = change(&state, &place, KeyChange::Patch(Box::new(patch)), &[]).await?;
    let key = changed.key;
    Ok(Receipted::new(changed.receipt, |receipt| PatchedKey { key, receipt }))
}

impl Request {
    fn into_patch(self, state: &AppState) -> Result<KeyPatch, ApiError> {
        Ok(KeyPatch {
            name: self.name.required("name")?,
            purpose: self.purpose.clearable(),
            permissions: self
                .permissions
                .required("permissions")?
                .map(|names| fields::permissions(state, &names))
                .transpose()?,
            expires_at: self.expires_at.clearable().map(|time| time.map(|time| time.0)),
            limits: self.limits.clearable().map(|windows| windows.map(fields::limits)),
            networks: self.allowed_ips.try_map(|texts| parse_networks(&texts))?.or_cleared(Vec::new()),
            external_id: self.external_id.clearable(),
            metadata: self.metadata.or_cleared(Map::new()).map(|object| fields::metadata(&object)),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::harness::{Api, Who, holder};

    const KEYS: &str = "/v1/workspaces/acme/keys";

    /// A key with something in every field, its address and its secret.
    async fn full_key(api: &Api) -> (Value, String, Who) {
        let body = json!({
            "name": "web", "purpose": "p", "environment": "production", "permissions": ["prompts:read", "prompts:list"],
            "expires_at": "2027-01-01T00:00:00Z", "allowed_ips": ["10.0.0.0/8"],
            "limits": [{"name": "m", "limit": 5, "window_seconds": 60}], "external_id": "e", "metadata": {"a": 1},
        });
        let created = api.post(&api.operator, KEYS, &body).await.json();
        let path = format!("{KEYS}/{}", created["key"]["id"].as_str().unwrap());
        (created["key"].clone(), path, holder(&created["secret"]))
    }

    #[tokio::test]
    async fn absent_leaves_null_clears_a_value_sets() {
        let api = Api::start().await;
        let (before, path, _) = full_key(&api).await;
        let mut unchanged = api.patch(&api.operator, &path, &json!({})).await.json();
        assert_eq!(unchanged.as_object_mut().unwrap().remove("effective").unwrap()["nodes"], 1);
        assert!(unchanged.as_object_mut().unwrap().remove("sequence").unwrap().is_u64());
        assert_eq!(unchanged, before);
        let nulls = json!({
            "purpose": null, "expires_at": null, "allowed_ips": null, "limits": null, "external_id": null, "metadata": null,
        });
        let cleared = api.patch(&api.operator, &path, &nulls).await.json();
        for (field, value) in nulls.as_object().unwrap() {
            let expected = match field.as_str() {
                "allowed_ips" => json!([]),
                "metadata" => json!({}),
                _ => value.clone(),
            };
            assert_eq!(cleared[field], expected, "{field}");
        }
        let values = json!({
            "name": "n", "purpose": "q", "permissions": ["prompts:read"], "expires_at": "2027-02-01T00:00:00.000Z",
            "allowed_ips": ["127.0.0.1"], "external_id": "f", "metadata": {"b": [1, 2]},
            "limits": [{"name": "m", "limit": 6, "window_seconds": 60, "algorithm": "smooth"}],
        });
        let set = api.patch(&api.operator, &path, &values).await.json();
        for (field, value) in values.as_object().unwrap() {
            assert_eq!(&set[field], value, "{field}");
        }
    }

    #[tokio::test]
    async fn refusals_change_nothing() {
        let api = Api::start().await;
        let (before, path, _) = full_key(&api).await;
        for (body, expected) in [
            (json!({"name": null}), "400 invalid_field"),
            (json!({"permissions": null}), "400 invalid_field"),
            (json!({"name": "ok", "purpose": 5}), "400 invalid_field"),
            (json!({"name": "ok", "expires_at": "2020-01-01T00:00:00Z"}), "400 invalid_field"),
            (json!({"name": "ok", "environment": "ci"}), "400 unknown_field"),
            (json!({"name": "ok", "permissions": ["no:such"]}), "400 unknown_permission"),
            (json!([]), "400 invalid_field"),
        ] {
            assert_eq!(api.patch(&api.operator, &path, &body).await.outcome(), expected, "{body}");
        }
        assert_eq!(api.get(&api.operator, &path).await.json(), before);
    }

    #[tokio::test]
    async fn what_is_taken_away_is_gone_when_the_answer_is_there() {
        let api = Api::start().await;
        let (_, path, secret) = full_key(&api).await;
        api.patch(&api.operator, &path, &json!({"allowed_ips": null})).await;
        assert_eq!(api.verdict(&secret).await, "valid");
        api.patch(&api.operator, &path, &json!({"allowed_ips": ["10.0.0.0/8"]})).await;
        assert_eq!(api.verdict(&secret).await, "ip_not_allowed");
    }

    #[tokio::test]
    async fn nobody_gives_what_they_do_not_have() {
        let api = Api::start().await;
        let (_, path, _) = full_key(&api).await;
        let (weak, _) = api.key_with(&["keys:write"]).await;
        let more = json!({"permissions": ["prompts:read", "prompts:list", "prompts:write"]});
        assert_eq!(api.patch(&weak, &path, &more).await.outcome(), "403 permission_escalation");
        let less = json!({"permissions": ["prompts:list"]});
        assert_eq!(api.patch(&weak, &path, &less).await.json()["permissions"], json!(["prompts:list"]));
    }
}
