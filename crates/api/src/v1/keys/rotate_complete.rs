//! `POST /v1/workspaces/{slug}/keys/{id}/rotate/complete`

use axum::extract::State;
use keywright_domain::key::KeyChange;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{ChangedKey, change};
use crate::{
    actor::{Place, WriteKeys},
    edge::OptionalJson,
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{KeyPath, Receipted},
};

/// Nothing needs to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CompleteRotation)]
pub(crate) struct Request {}

problems! { KeyAlreadyRevoked, NoRotationInProgress }

/// Complete a rotation
///
/// Needs `keys:write`. Ends the overlap: when the answer is there, no node accepts the old secret.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/rotate/complete", operation_id = "complete_rotation", tag = "Keys",
    params(KeyPath),
    request_body(content = Option<Request>, example = json!({})),
    responses((status = 200, description = "The key as it is now.", body = ChangedKey), Accepted<ChangedKey>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    place: Place<WriteKeys>,
    _body: OptionalJson<Request>,
) -> Result<Receipted<ChangedKey>, ApiError> {
    let changed = change(&state, &place, KeyChange::CompleteRotation, &[]).await?;
    Ok(changed.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, holder};

    const KEYS: &str = "/v1/workspaces/acme/keys";

    #[tokio::test]
    async fn one_secret_is_left() {
        let api = Api::start().await;
        let created =
            api.post(&api.operator, KEYS, &json!({"name": "web", "environment": "ci"})).await.json();
        let path = format!("{KEYS}/{}", created["key"]["id"].as_str().unwrap());
        let end = format!("{path}/rotate/complete");
        assert_eq!(api.post(&api.operator, &end, &json!({})).await.outcome(), "409 no_rotation_in_progress");
        let rotated = api.post(&api.operator, &format!("{path}/rotate"), &json!({})).await.json();
        let answer = api.post(&api.operator, &end, &json!({})).await.json();
        assert_eq!(answer["key"]["secrets"].as_array().unwrap().len(), 1);
        assert_eq!(answer["key"]["secrets"][0]["expires_at"], json!(null));
        let verdicts =
            (api.verdict(&holder(&created["secret"])).await, api.verdict(&holder(&rotated["secret"])).await);
        assert_eq!(verdicts, ("revoked_key".into(), "valid".into()));
        assert_eq!(api.post(&api.operator, &end, &json!({})).await.outcome(), "409 no_rotation_in_progress");
    }
}
