//! `PATCH /v1/workspaces/{slug}/keys/{id}`

use axum::{Json, extract::State};
use keywright_domain::key::{KeyChange, KeyPatch};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{change, fields};
use crate::{
    actor::{Scope, WriteKeys},
    edge::StrictJson,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{Effective, Key, KeyPath, LimitWindow, Patch, Time, parse_networks},
};

/// Changes of a key. Absent: stays; `null`: is cleared; a value: is set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PatchKey)]
pub(crate) struct Request {
    /// The name.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64)]
    name: Patch<String>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 500)]
    purpose: Patch<String>,
    /// What it may do. Not more than the caller may, unless the key may already.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
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
    /// The receipt: what the change took away, no node gives any more.
    effective: Effective,
}

problems! { UnknownPermission, PermissionEscalation, KeyAlreadyRevoked }

/// Change a key
///
/// Needs `keys:write`. When the answer is there, no node goes by what was taken away.
#[utoipa::path(
    patch, path = "/v1/workspaces/{slug}/keys/{id}", operation_id = "patch_key", tag = "Keys",
    params(KeyPath),
    request_body(content = Request, example = json!({"name": "production-web", "expires_at": null, "allowed_ips": ["203.0.113.0/24"]})),
    responses((status = 200, description = "The key as it is now.", body = PatchedKey), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    body: StrictJson<Request>,
) -> Result<Json<PatchedKey>, ApiError> {
    let key = scope.key(&state).await?;
    let patch = body.value.into_patch(&state)?;
    let changed = change(&state, &scope, key, KeyChange::Patch(Box::new(patch)), &[]).await?;
    Ok(Json(PatchedKey { key: changed.key, effective: changed.effective }))
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
