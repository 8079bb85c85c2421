//! `POST /v1/workspaces/{slug}/keys/{id}/disable`

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
#[schema(as = DisableKey)]
pub(crate) struct Request {}

problems! { KeyAlreadyRevoked }

/// Disable a key
///
/// Needs `keys:write`. Reversible. When the answer is there, no node accepts the key.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/{id}/disable", operation_id = "disable_key", tag = "Keys",
    params(KeyPath),
    request_body(content = Option<Request>, example = json!({})),
    responses((status = 200, description = "The key as it is now.", body = ChangedKey), Accepted<ChangedKey>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    place: Place<WriteKeys>,
    _body: OptionalJson<Request>,
) -> Result<Receipted<ChangedKey>, ApiError> {
    let changed = change(&state, &place, KeyChange::Disable, &[]).await?;
    Ok(changed.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn off_and_on_again() {
        let api = Api::start().await;
        let (secret, id) = api.key_with(&[]).await;
        let path = format!("/v1/workspaces/acme/keys/{id}");
        for (action, status, verdict) in [
            ("disable", "disabled", "disabled_key"),
            ("disable", "disabled", "disabled_key"),
            ("enable", "active", "valid"),
            ("enable", "active", "valid"),
        ] {
            let answer = api.post(&api.operator, &format!("{path}/{action}"), &json!({})).await.json();
            assert_eq!(
                (&answer["key"]["status"], &answer["effective"]["nodes"]),
                (&json!(status), &json!(1))
            );
            assert_eq!(api.verdict(&secret).await, verdict);
        }
        let answer = api.post(&api.operator, &format!("{path}/disable"), &json!({"why": 1})).await;
        assert_eq!(answer.outcome(), "400 unknown_field");
        api.post(&api.operator, &format!("{path}/revoke"), &json!({})).await;
        for action in ["disable", "enable"] {
            let answer = api.post(&api.operator, &format!("{path}/{action}"), &json!({})).await;
            assert_eq!(answer.outcome(), "409 key_already_revoked");
        }
    }
}
