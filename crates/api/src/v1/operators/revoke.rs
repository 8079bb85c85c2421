//! `POST /v1/operators/{id}/revoke`

use axum::extract::State;
use keywright_domain::{command::Command, ids::OperatorId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::Installation,
    edge::{OptionalJson, StrictPath},
    error::{ApiError, ErrorCode},
    openapi::{Accepted, problems},
    state::AppState,
    wire::{Operator, OperatorPath, Receipt, Receipted},
};

/// Nothing needs to be said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevokeOperator)]
pub(crate) struct Request {}

/// An operator credential that was revoked.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevokedOperator {
    /// The credential.
    operator: Operator,
    #[serde(flatten)]
    receipt: Receipt,
}

problems! { Conflict }

/// Revoke an operator credential
///
/// Operator only. When the answer is there, no node accepts it. The last one that works is never revoked.
#[utoipa::path(
    post, path = "/v1/operators/{id}/revoke", operation_id = "revoke_operator", tag = "Operators",
    params(OperatorPath),
    request_body(content = Option<Request>, example = json!({})),
    responses((status = 200, description = "The credential, and the receipt.", body = RevokedOperator), Accepted<RevokedOperator>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    Installation { caller, permit }: Installation,
    StrictPath(id): StrictPath<String>,
    _body: OptionalJson<Request>,
) -> Result<Receipted<RevokedOperator>, ApiError> {
    let id = OperatorId::parse(&id).map_err(|_| ErrorCode::NotFound)?;
    let context = caller.origin.context(&state, permit, None);
    let done = state.commit(&caller.origin, context, Command::RevokeOperator(id)).await?;
    let (receipt, operator) = (done.receipt.clone(), done.operator()?.into());
    Ok(Receipted::new(receipt, |receipt| RevokedOperator { operator, receipt }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::{Api, holder};

    #[tokio::test]
    async fn revoked_at_once_but_never_the_last() {
        let api = Api::start().await;
        let first = api.get(&api.operator, "/v1/operators").await.json()["data"][0]["id"].clone();
        let revoke = |id: &serde_json::Value| format!("/v1/operators/{}/revoke", id.as_str().unwrap());
        assert_eq!(api.post(&api.operator, &revoke(&first), &json!({})).await.outcome(), "409 conflict");
        let second = api.post(&api.operator, "/v1/operators", &json!({"name": "deploy"})).await.json();
        let answer = api.post(&api.operator, &revoke(&second["operator"]["id"]), &json!({})).await.json();
        assert_eq!(answer["operator"]["revoked_at"], "2026-11-21T08:00:00.000Z");
        assert_eq!(answer["effective"], json!({"nodes": 1, "waited_ms": 0.0, "silent": 0}));
        let answer = api.get(&holder(&second["secret"]), "/v1/operators").await;
        assert!(answer.outcome().starts_with("401 "), "{}", answer.outcome());
        assert_eq!(
            api.post(&api.operator, "/v1/operators/x/revoke", &json!({})).await.outcome(),
            "404 not_found"
        );
    }
}
