//! `POST /v1/workspaces/{slug}/keys/revoke`

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use keywright_domain::{caps, command::Command, command::CommandError, key::KeyStatus, query};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    actor::{Scope, WriteKeys},
    edge::StrictJson,
    error::{ApiError, ErrorCode},
    openapi::{Accepted, problems},
    state::AppState,
    v1::problems::{of_command, of_store},
    wire::{Effective, KeyFilter, Operation, Receipted, WorkspacePath},
};

/// Which keys to revoke.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RevokeKeys)]
pub(crate) struct Request {
    /// Which keys. At least one field is needed: `{"status": "active"}` takes all that work.
    filter: KeyFilter,
    /// The reason, for the audit trail.
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
    /// Only tell what would be revoked.
    #[serde(default)]
    dry_run: bool,
}

/// What was revoked, or would be.
#[derive(Serialize, ToSchema)]
pub(crate) struct RevokedKeys {
    /// Whether nothing was changed.
    dry_run: bool,
    /// Number of keys.
    count: u64,
    /// Ids of some of them; in a dry run only.
    sample: Vec<String>,
    /// The change's place in the log; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 42)]
    sequence: Option<u64>,
    /// The receipt: what the change took away, no node gives any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    effective: Option<Effective>,
    /// The change is made, and some nodes may not go by it yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
}

/// Ids that a dry run shows.
const SAMPLE_KEYS: usize = 20;

problems! { LimitReached, AlreadyApplied, IdempotencyMismatch }

/// Revoke many keys
///
/// Needs `keys:write`. All or none, at most 10,000 in one call. When the answer is there, no node accepts one of them.
#[utoipa::path(
    post, path = "/v1/workspaces/{slug}/keys/revoke", operation_id = "revoke_keys", tag = "Keys",
    params(WorkspacePath, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless.")),
    request_body(content = Request, example = json!({"filter": {"environment": "ci"}, "reason": "CI was breached.", "dry_run": true})),
    responses((status = 200, description = "How many keys.", body = RevokedKeys), Accepted<RevokedKeys>, Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<WriteKeys>,
    body: StrictJson<Request>,
) -> Result<Response, ApiError> {
    let request = body.value;
    if request.filter.is_empty() {
        let detail = "`filter` needs at least one field; {\"status\": \"active\"} takes all keys that work.";
        return Err(ApiError::invalid_field("filter", detail));
    }
    let filter = request.filter.at(scope.now(), ErrorCode::InvalidField)?;
    check_reason(request.reason.as_deref())?;
    if request.dry_run {
        return Ok(Json(preview(&state, &scope, filter).await?).into_response());
    }
    let origin = &scope.caller.origin;
    let context = origin.context(&state, scope.permit, origin.idempotency(&scope.caller.actor, &body.raw));
    let done = state.commit(origin, context, Command::RevokeKeys { filter, reason: request.reason }).await?;
    let (receipt, count) = (done.receipt.clone(), done.revoked()?);
    let answer = Receipted::new(receipt, |receipt| RevokedKeys {
        dry_run: false,
        count,
        sample: Vec::new(),
        sequence: Some(receipt.sequence),
        effective: receipt.effective,
        operation: receipt.operation,
    });
    Ok(answer.into_response())
}

/// A dry run is refused what the call itself would be.
fn check_reason(reason: Option<&str>) -> Result<(), ApiError> {
    let characters = reason.map_or(1, |reason| reason.chars().count());
    if (1..=caps::REASON_MAX_CHARS).contains(&characters) {
        return Ok(());
    }
    let detail = format!("`reason` has 1 to {} characters.", caps::REASON_MAX_CHARS);
    Err(ApiError::invalid_field("reason", detail))
}

async fn preview(
    state: &AppState,
    scope: &Scope<WriteKeys>,
    filter: query::KeyFilter,
) -> Result<RevokedKeys, ApiError> {
    let limit = u32::try_from(caps::BULK_REVOKE_MAX).expect("the cap fits") + 1;
    let (mut count, mut sample) = (0, Vec::new());
    let query =
        query::KeyQuery { workspace: scope.workspace.id, filter, now: scope.now(), after: None, limit };
    let page = state.store.keys(query).await.map_err(of_store)?;
    for key in page.items.iter().filter(|key| key.status(scope.now()) != KeyStatus::Revoked) {
        count += 1;
        if sample.len() < SAMPLE_KEYS {
            sample.push(key.id.to_string());
        }
    }
    if count > caps::BULK_REVOKE_MAX as u64 {
        return Err(of_command(CommandError::TooManyMatches, &state.plane.catalogue()));
    }
    Ok(RevokedKeys { dry_run: true, count, sample, sequence: None, effective: None, operation: None })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::harness::Api;

    const PATH: &str = "/v1/workspaces/acme/keys/revoke";

    #[tokio::test]
    async fn a_dry_run_tells_what_the_real_one_does() {
        let api = Api::start().await;
        let (kept, _) = api.key_with(&[]).await;
        let mut ids = Vec::new();
        for number in 0..3 {
            let body = json!({"name": format!("job {number}"), "environment": "ci"});
            let created = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await.json();
            ids.push(created["key"]["id"].clone());
        }
        api.post(
            &api.operator,
            &format!("/v1/workspaces/acme/keys/{}/revoke", ids[0].as_str().unwrap()),
            &json!({}),
        )
        .await;
        let body =
            |dry_run: bool| json!({"filter": {"environment": "ci"}, "reason": "Breach.", "dry_run": dry_run});
        let preview = api.post(&api.operator, PATH, &body(true)).await.json();
        assert_eq!(preview, json!({"dry_run": true, "count": 2, "sample": [ids[2], ids[1]]}));
        let mut done = api.post(&api.operator, PATH, &body(false)).await.json();
        assert!(done.as_object_mut().unwrap().remove("sequence").unwrap().is_u64());
        let receipt = json!({"nodes": 1, "waited_ms": 0.0, "silent": 0});
        assert_eq!(done, json!({"dry_run": false, "count": 2, "sample": [], "effective": receipt}));
        assert_eq!(api.post(&api.operator, PATH, &body(true)).await.json()["count"], 0);
        assert_eq!(api.verdict(&kept).await, "valid");
        let revoked = api.get(&api.operator, "/v1/workspaces/acme/keys?status=revoked").await.json();
        assert_eq!(revoked["data"].as_array().unwrap().len(), 3);
    }

    #[tokio::test]
    async fn nobody_revokes_everything_by_mistake() {
        let api = Api::start().await;
        for (body, expected) in [
            (json!({}), "400 missing_field"),
            (json!({"filter": {}}), "400 invalid_field"),
            (json!({"filter": {"enviroment": "ci"}}), "400 unknown_field"),
            (json!({"filter": {"unused_days": 36_501}}), "400 invalid_field"),
            (json!({"filter": {"status": "active"}, "dry_run": "yes"}), "400 invalid_field"),
        ] {
            assert_eq!(api.post(&api.operator, PATH, &body).await.outcome(), expected, "{body}");
        }
    }
}
