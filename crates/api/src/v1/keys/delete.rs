//! `DELETE /v1/workspaces/{slug}/keys/{id}`

use axum::extract::State;
use keywright_domain::key::KeyChange;

use super::change;
use crate::{
    actor::{Place, WriteKeys},
    error::ApiError,
    openapi::{Accepted, problems},
    state::AppState,
    wire::{KeyPath, Receipt, Receipted},
};

problems! {}

/// Delete a key
///
/// Needs `keys:write`. Revokes the key and takes it from the lists; the audit trail keeps it. When the answer is there,
/// no node accepts the key.
#[utoipa::path(
    delete, path = "/v1/workspaces/{slug}/keys/{id}", operation_id = "delete_key", tag = "Keys",
    params(KeyPath),
    responses((status = 204, description = "It is gone."), Accepted<Receipt>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    place: Place<WriteKeys>,
) -> Result<Receipted<Receipt>, ApiError> {
    let changed = change(&state, &place, KeyChange::Delete, &[]).await?;
    Ok(Receipted::empty(changed.receipt))
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn revoked_and_gone_from_the_lists_but_not_from_the_trail() {
        let api = Api::start().await;
        let (secret, id) = api.key_with(&[]).await;
        let path = format!("/v1/workspaces/acme/keys/{id}");
        let answer = api.call(Method::DELETE, &api.operator, &path, None).await;
        assert_eq!((answer.outcome(), answer.text.as_str()), ("204".into(), ""));
        assert_eq!(api.verdict(&secret).await, "invalid_key");
        assert_eq!(api.get(&api.operator, &path).await.outcome(), "404 not_found");
        assert_eq!(api.get(&api.operator, "/v1/workspaces/acme/keys").await.json()["data"], json!([]));
        assert_eq!(api.call(Method::DELETE, &api.operator, &path, None).await.outcome(), "404 not_found");
        let trail = api.get(&api.operator, &format!("/v1/workspaces/acme/audit?target={id}")).await.json();
        assert_eq!(trail["data"][0]["action"], "key.deleted");
    }
}
