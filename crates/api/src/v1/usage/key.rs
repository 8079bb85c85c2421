//! `GET /v1/workspaces/{slug}/keys/{id}/usage`

use axum::{Json, extract::State};

use super::Period;
use crate::{
    actor::{ReadUsage, Scope},
    edge::StrictQuery,
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{KeyPath, LastUses, Usage},
};

problems! {}

/// Usage of a key
///
/// Needs `usage:read`.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/keys/{id}/usage", operation_id = "get_key_usage", tag = "Usage",
    params(KeyPath, Period),
    responses((status = 200, description = "Totals and a series.", body = Usage), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadUsage>,
    StrictQuery(period): StrictQuery<Period>,
) -> Result<Json<Usage>, ApiError> {
    let key = scope.key(&state).await?;
    let query = period.query(&scope.workspace, Some(key.number), scope.now())?;
    let buckets = state.store.usage(query.clone()).await.map_err(of_store)?;
    let last_uses = LastUses::of(&state, std::slice::from_ref(&key)).await?;
    Ok(Json(Usage::new(&query, buckets, last_uses.key(key.number))))
}

#[cfg(test)]
mod tests {
    use keywright_domain::{
        key::KeyNumber,
        store::Store,
        time::{Clock, Timestamp},
        usage::{AgentClass, UsageBatch, UsageRow},
        verdict::Code,
    };

    use crate::harness::Api;

    /// 40 accepted and 10 refused verifications of the key, one hour ago, from two addresses.
    async fn used(api: &Api, number: KeyNumber) {
        let an_hour_ago = api.clock.now().plus_seconds(-3_600);
        let row = |code, count, last: u8| UsageRow {
            key: number,
            secret_ordinal: 1,
            minute: an_hour_ago.unix_ms() / 60_000,
            address: Some([203, 0, 113, last].into()),
            route: "POST /v1/chat".to_owned(),
            code,
            agent: AgentClass::Library,
            count,
            cost: if code == Code::Valid { count * 2 } else { 0 },
            last_at: an_hour_ago,
        };
        let rows = vec![row(Code::Valid, 40, 7), row(Code::RateLimited, 10, 8)];
        let batch = UsageBatch { incarnation: [1; 16], batch: 1, rows };
        api.store.flush_usage(batch).await.unwrap();
    }

    async fn number_of(api: &Api, id: &str) -> KeyNumber {
        let workspace =
            api.state.store.workspace("acme".to_owned().try_into().unwrap()).await.unwrap().unwrap();
        let id = keywright_domain::ids::KeyId::parse(id).unwrap();
        api.state.store.key(workspace.id, id).await.unwrap().unwrap().number
    }

    #[tokio::test]
    async fn totals_series_and_ledger() {
        let api = Api::start().await;
        let (_, id) = api.key_with(&[]).await;
        used(&api, number_of(&api, &id).await).await;
        let path = format!("/v1/workspaces/acme/keys/{id}");
        let usage = api.get(&api.operator, &format!("{path}/usage")).await.json();
        insta::assert_json_snapshot!(usage, @r#"
        {
          "accepted": 40,
          "by_code": {
            "rate_limited": 10,
            "valid": 40
          },
          "cost": 80,
          "error_rate": 0.2,
          "from": "2026-11-20T08:00:00.000Z",
          "granularity": "hour",
          "last_used_at": "2026-11-21T07:00:00.000Z",
          "refused": 10,
          "series": [
            {
              "by_code": {
                "rate_limited": 10,
                "valid": 40
              },
              "cost": 80,
              "start": "2026-11-21T07:00:00.000Z",
              "total": 50
            }
          ],
          "total": 50,
          "until": "2026-11-21T08:00:00.001Z"
        }
        "#);
        let ledger = api.get(&api.operator, &format!("{path}/ledger?limit=1")).await.json();
        insta::assert_json_snapshot!(ledger["data"], @r#"
        [
          {
            "address": "203.0.113.8",
            "agent": "library",
            "code": "rate_limited",
            "count": 10,
            "minute": "2026-11-21T07:00:00.000Z",
            "route": "POST /v1/chat",
            "secret_ordinal": 1
          }
        ]
        "#);
        let next = format!("{path}/ledger?limit=1&cursor={}", ledger["cursor"].as_str().unwrap());
        assert_eq!(api.get(&api.operator, &next).await.json()["has_more"], false);
        let key = api.get(&api.operator, &path).await.json();
        assert_eq!(key["last_used_at"], "2026-11-21T07:00:00.000Z");
        assert_eq!(key["secrets"][0]["last_used_at"], "2026-11-21T07:00:00.000Z");
        let all = api.get(&api.operator, "/v1/workspaces/acme/usage?granularity=day").await.json();
        assert_eq!(
            (&all["total"], &all["series"][0]["start"]),
            (&50.into(), &"2026-11-21T00:00:00.000Z".into())
        );
    }

    #[tokio::test]
    async fn a_call_a_moment_ago_is_known() {
        let api = Api::start().await;
        let (key, id) = api.key_with(&[]).await;
        api.get(&key, "/v1/permissions").await;
        let shown = api.get(&api.operator, &format!("/v1/workspaces/acme/keys/{id}")).await.json();
        assert_eq!(shown["last_used_at"], Timestamp::to_rfc3339(api.clock.now()));
    }

    #[tokio::test]
    async fn times_out_of_range() {
        let api = Api::start().await;
        for (query, expected) in [
            ("from=2026-11-21T06:00:00Z&until=2026-11-21T07:00:00Z", "200"),
            ("from=2026-11-21T07:00:00Z&until=2026-11-21T07:00:00Z", "400 invalid_query"),
            ("from=2026-11-21T07:59:00Z&until=2026-11-21T07:59:01Z", "200"),
            ("from=2027-11-21T07:00:00Z", "400 invalid_query"),
            ("granularity=minute&from=2026-11-20T00:00:00Z&until=2026-11-21T01:00:00Z", "200"),
            (
                "granularity=minute&from=2026-11-20T00:00:00Z&until=2026-11-21T01:00:00.001Z",
                "400 invalid_query",
            ),
            ("from=-009999-01-01T00:00:00Z&until=9999-01-01T00:00:00Z", "400 invalid_query"),
            ("from=yesterday", "400 invalid_query"),
            ("granularity=week", "400 invalid_query"),
        ] {
            let answer = api.get(&api.operator, &format!("/v1/workspaces/acme/usage?{query}")).await;
            assert_eq!(answer.outcome(), expected, "{query}: {}", answer.text);
        }
    }
}
