//! `GET /v1/workspaces/{slug}/audit`

use axum::{extract::State, response::Response};
use http::HeaderMap;

use super::{Request, answer};
use crate::{
    actor::{ReadAudit, Scope},
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    wire::{AuditEntry, Page, WorkspacePath},
};

problems! { InvalidCursor }

/// The audit trail of a workspace
///
/// Newest first. Needs `audit:read`. With `Accept: application/x-ndjson`: everything, one JSON object per line, each
/// entry with the chain's hash, then the signed checkpoints, then an `end` line; an export without that line is cut off.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/audit", operation_id = "list_audit", tag = "Audit",
    params(WorkspacePath, Request),
    responses(
        (status = 200, description = "A page of entries, or the export.", content(
            (Page<AuditEntry> = "application/json"),
            (String = "application/x-ndjson"),
        )),
        Problems,
    ),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadAudit>,
    StrictQuery(request): StrictQuery<Request>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    answer(state, Some(scope.workspace.id), request, &headers).await
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, header};
    use keywright_domain::audit::{ChainVerifier, StoredEntry};
    use serde_json::{Value, json};

    use crate::harness::{Answer, Api, Who};

    const PATH: &str = "/v1/workspaces/acme/audit";

    async fn export(api: &Api, who: &Who, path: &str) -> Answer {
        let mut request = Api::request(Method::GET, who, path, axum::body::Body::empty());
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/x-ndjson"));
        api.send(request).await
    }

    #[tokio::test]
    async fn who_did_what_newest_first() {
        let api = Api::start().await;
        let owner = api.owner_key().await;
        let (_, id) = api.key_with(&[]).await;
        api.clock.advance_seconds(1);
        let body = json!({"reason": "The contractor left."});
        api.post(&owner, &format!("/v1/workspaces/acme/keys/{id}/revoke"), &body).await;
        let page = api.get(&owner, &format!("{PATH}?limit=1")).await.json();
        let mut entry = page["data"][0].clone();
        assert!(entry["actor"]["id"].take().as_str().unwrap().starts_with("key_"));
        assert!(entry["hash"].take().as_str().unwrap().len() == 64);
        insta::assert_json_snapshot!(entry, @r#"
        {
          "action": "key.revoked",
          "actor": {
            "id": null,
            "principal": {
              "id": "opr_01m7yhx300e51gr1xjqpv7qrt9",
              "type": "operator"
            },
            "type": "key"
          },
          "address": "127.0.0.1",
          "at": "2026-11-21T08:00:01.000Z",
          "changes": [],
          "hash": null,
          "id": "aud_01m7yhx3z84rs3b4xw90d622vc",
          "reason": "The contractor left.",
          "request_id": "req_01m7yhx3z8de70xz5h1pj8stjf",
          "sequence": 6,
          "target": {
            "id": "key_01m7yhx300jw8x750xyvhg1w5f",
            "type": "key"
          },
          "user_agent": null,
          "workspace_id": "ws_01m7yhx300bvxc74s3hvdxbs9d"
        }
        "#);
        let cursor = page["cursor"].as_str().unwrap();
        let next = api.get(&owner, &format!("{PATH}?limit=1&cursor={cursor}")).await.json();
        assert_eq!(next["data"][0]["action"], "key.created");
        let elsewhere = api.get(&api.operator, &format!("/v1/audit?cursor={cursor}")).await;
        assert_eq!(elsewhere.outcome(), "400 invalid_cursor");
        let revoked = api.get(&owner, &format!("{PATH}?action=key.revoked&target={id}")).await.json();
        assert_eq!(revoked["data"].as_array().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn the_export_of_the_installation_verifies() {
        let api = Api::start().await;
        for _ in 0..3 {
            api.key_with(&["prompts:read"]).await;
        }
        let answer = export(&api, &api.operator, "/v1/audit").await;
        assert_eq!(answer.headers["content-type"], "application/x-ndjson");
        let lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mut chain = ChainVerifier::default();
        for line in &lines[..lines.len() - 1] {
            let body = line["body"].as_str().unwrap();
            let hash: Vec<u8> = (0..32)
                .map(|position| {
                    u8::from_str_radix(&line["hash"].as_str().unwrap()[position * 2..][..2], 16).unwrap()
                })
                .collect();
            let entry = StoredEntry {
                sequence: line["sequence"].as_u64().unwrap(),
                body: body.as_bytes().to_vec(),
                hash: hash.try_into().unwrap(),
                personal: None,
            };
            chain.push(&entry, "").unwrap();
        }
        assert_eq!(lines.last().unwrap(), &json!({"type": "end", "entries": chain.last()}));
        assert!(chain.last() >= 4, "set-up and three keys");
        let head = api.state.store.audit_head().await.unwrap();
        assert_eq!(head, (chain.last(), chain.hash()));
    }

    #[tokio::test]
    async fn exports_of_a_workspace_hold_its_own_entries_and_no_secret() {
        let api = Api::start().await;
        let owner = api.owner_key().await;
        api.post(&api.operator, "/v1/workspaces", &json!({"slug": "other"})).await;
        let answer = export(&api, &owner, PATH).await;
        assert!(answer.text.contains("key.created") && !answer.text.contains("other"));
        let Who::Holder(secret) = &owner else { panic!("nobody") };
        assert!(!answer.text.contains(secret.as_str()));
        assert_eq!(export(&api, &owner, &format!("{PATH}?limit=5")).await.outcome(), "400 invalid_query");
    }

    #[tokio::test]
    async fn an_export_longer_than_a_batch_has_every_entry() {
        let api = Api::start().await;
        let count = u64::from(crate::caps::EXPORT_BATCH_ENTRIES) * 2 + 3;
        let (_, id) = api.key_with(&[]).await;
        for number in 0..count {
            let action = if number % 2 == 0 { "disable" } else { "enable" };
            api.post(&api.operator, &format!("/v1/workspaces/acme/keys/{id}/{action}"), &json!({})).await;
        }
        let entries =
            |text: &str| text.lines().filter(|line| line.contains("\"type\":\"entry\"")).count() as u64;
        let whole = export(&api, &api.operator, "/v1/audit").await;
        assert_eq!(entries(&whole.text), api.state.store.audit_head().await.unwrap().0);
        let of_key = export(&api, &api.operator, &format!("{PATH}?target={id}")).await;
        assert_eq!(entries(&of_key.text), count + 1);
        assert!(of_key.text.ends_with(&format!("{{\"entries\":{},\"type\":\"end\"}}\n", count + 1)));
    }
}
