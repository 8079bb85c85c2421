//! `GET /v1/usage`

use axum::{Json, extract::State};
use keywright_domain::{
    key::KeyNumber,
    permission::Builtin,
    time::Timestamp,
    usage::{Granularity, UsageQuery},
    usage_summary::{SummaryDays, UsageSummary},
    workspace::Workspace,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    actor::Caller,
    caps::USAGE_AVERAGE_DAYS,
    edge::StrictQuery,
    error::{ApiError, ErrorCode},
    hot::{Admitted, AnyKey},
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{OwnUsage, UsageScope, six_digits},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Request {
    /// Whose usage: that of the `key` that asks (default), or that of the whole `workspace`, which needs `usage:read`.
    scope: Option<UsageScope>,
}

problems! { QuotaExceeded }

/// Usage of the key that asks
///
/// Any key may read its own usage. Made for a simple alert: today's requests more than twice the average of the days before,
/// or an error rate above 5 %. Days are those of UTC; the average is over the 7 full days before today, or as many as the
/// key has existed for. The call itself is a request, too. Counts are complete about a second after a request; under
/// heavy load, up to a minute.
#[utoipa::path(
    get, path = "/v1/usage", operation_id = "get_own_usage", tag = "Usage", params(Request),
    responses((status = 200, description = "Three numbers, and where they come from.", body = OwnUsage), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    admitted: Admitted<AnyKey>,
    StrictQuery(request): StrictQuery<Request>,
) -> Result<Json<OwnUsage>, ApiError> {
    let scope = request.scope.unwrap_or_default();
    let Subject { workspace, key, created_at } = Subject::of(&state, &admitted, scope).await?;
    let now = admitted.caller.origin.now;
    let days = SummaryDays::before(now, created_at, USAGE_AVERAGE_DAYS);
    let query = |granularity, from| UsageQuery {
        workspace: workspace.number,
        key,
        granularity,
        from,
        until: now.plus_ms(1),
    };
    let by_day = state.store.usage(query(Granularity::Day, days.first)).await.map_err(of_store)?;
    let by_hour = state.store.usage(query(Granularity::Hour, days.today)).await.map_err(of_store)?;
    let summary = UsageSummary::of(days, &by_day);
    Ok(Json(OwnUsage {
        requests_today: summary.requests_today,
        avg_requests: six_digits(summary.avg_requests),
        error_rate: six_digits(summary.error_rate),
        errors_today: summary.errors_today,
        average_days: days.count(),
        scope,
        workspace: workspace.slug.into(),
        key_id: key.map(|_| admitted.key.id.to_string()),
        today: days.today.into(),
        hours: by_hour.into_iter().map(Into::into).collect(),
        days: by_day.into_iter().map(Into::into).collect(),
    }))
}

/// Whose usage is asked for.
struct Subject {
    workspace: Workspace,
    key: Option<KeyNumber>,
    created_at: Timestamp,
}

impl Subject {
    async fn of(state: &AppState, admitted: &Admitted<AnyKey>, scope: UsageScope) -> Result<Self, ApiError> {
        let Caller { actor, .. } = &admitted.caller;
        let found = state.store.workspace(admitted.workspace.clone()).await.map_err(of_store)?;
        let workspace = found.ok_or(ErrorCode::NotFound)?;
        if scope == UsageScope::Workspace {
            if !admitted.key.permissions.contains(Builtin::UsageRead.bit()) {
                let missing = vec![Builtin::UsageRead.name().to_owned()];
                return Err(ApiError::insufficient_permissions(missing));
            }
            let created_at = workspace.created_at;
            return Ok(Self { workspace, key: None, created_at });
        }
        debug_assert!(actor.text().contains(&admitted.key.id.to_string()), "the actor is the key");
        let key = state.store.key(workspace.id, admitted.key.id).await.map_err(of_store)?;
        let key = key.ok_or(ErrorCode::NotFound)?;
        Ok(Self { workspace, key: Some(key.number), created_at: key.created_at })
    }
}

#[cfg(test)]
mod tests {
    use keywright_domain::{
        ids::KeyId,
        store::Store,
        time::Clock,
        usage::{AgentClass, UsageBatch, UsageRow},
        verdict::Code,
    };
    use serde_json::json;

    use super::*;
    use crate::harness::Api;

    async fn number_of(api: &Api, id: &str) -> KeyNumber {
        let slug = keywright_domain::workspace::Slug::parse("acme").unwrap();
        let workspace = api.store.workspace(slug).await.unwrap().unwrap();
        api.store.key(workspace.id, KeyId::parse(id).unwrap()).await.unwrap().unwrap().number
    }

    /// So many verifications, `hours_ago`.
    async fn used(api: &Api, key: KeyNumber, batch: u64, hours_ago: i64, (valid, refused): (u64, u64)) {
        let at = api.clock.now().plus_seconds(-3_600 * hours_ago);
        let row = |code, count| UsageRow {
            key,
            secret_ordinal: 1,
            minute: at.unix_ms() / 60_000,
            address: None,
            route: String::new(),
            code,
            agent: AgentClass::Library,
            count,
            cost: 0,
            last_at: at,
        };
        let rows = vec![row(Code::Valid, valid), row(Code::RateLimited, refused)];
        api.store.flush_usage(UsageBatch { incarnation: [1; 16], batch, rows }).await.unwrap();
    }

    #[tokio::test]
    async fn the_numbers_of_the_documents_alert() {
        let api = Api::start().await;
        let (who, id) = api.key_with(&[]).await;
        let (_, other) = api.key_with(&[]).await;
        api.clock.advance_seconds(8 * 86_400);
        let number = number_of(&api, &id).await;
        used(&api, number, 1, 24, (400, 0)).await;
        used(&api, number, 2, 48, (300, 0)).await;
        used(&api, number, 3, 2, (189, 12)).await;
        used(&api, number_of(&api, &other).await, 4, 2, (1_000, 0)).await;
        let answer = api.get(&who, "/v1/usage").await;
        assert_eq!(answer.outcome(), "200", "{}", answer.text);
        let usage = answer.json();
        assert_eq!(
            [&usage["requests_today"], &usage["avg_requests"], &usage["error_rate"], &usage["errors_today"]],
            [&json!(201), &json!(100.0), &json!(0.059_701), &json!(12)]
        );
        assert_eq!(
            [&usage["average_days"], &usage["scope"], &usage["workspace"], &usage["key_id"]],
            [&json!(7), &json!("key"), &json!("acme"), &json!(id)]
        );
        assert_eq!(usage["days"].as_array().unwrap().len(), 3);
        assert_eq!(
            usage["hours"],
            json!([{
                "start": "2026-11-29T06:00:00.000Z", "total": 201, "cost": 0,
                "by_code": {"valid": 189, "rate_limited": 12}
            }])
        );
    }

    #[tokio::test]
    async fn the_whole_workspace_needs_a_permission() {
        let api = Api::start().await;
        let (plain, _) = api.key_with(&["prompts:read"]).await;
        let refused = api.get(&plain, "/v1/usage?scope=workspace").await;
        assert_eq!(refused.outcome(), "403 insufficient_permissions");
        assert_eq!(refused.json()["missing_permissions"], json!(["usage:read"]));
        let (reader, id) = api.key_with(&["usage:read"]).await;
        used(&api, number_of(&api, &id).await, 1, 1, (5, 0)).await;
        let usage = api.get(&reader, "/v1/usage?scope=workspace").await.json();
        assert_eq!([&usage["requests_today"], &usage["key_id"]], [&json!(5), &json!(null)]);
        assert_eq!(api.get(&plain, "/v1/usage").await.json()["requests_today"], 0);
        assert_eq!(api.get(&reader, "/v1/usage?scope=all").await.outcome(), "400 invalid_query");
        let operator = api.get(&api.operator, "/v1/usage").await;
        assert_eq!(operator.outcome(), "403 insufficient_permissions");
    }

    #[tokio::test]
    async fn limits_are_spent_told_and_kept() {
        let api = Api::start().await;
        let limits = json!([
            {"name": "minute", "limit": 3, "window_seconds": 60},
            {"name": "hour", "limit": 100, "window_seconds": 3_600},
        ]);
        let body = json!({"name": "limited", "environment": "production", "limits": limits});
        let answer = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await.json();
        let who = crate::harness::holder(&answer["secret"]);
        for left in ["2", "1", "0"] {
            let answer = api.get(&who, "/v1/usage").await;
            assert_eq!(answer.outcome(), "200");
            assert_eq!(answer.headers["x-ratelimit-remaining"], left);
            assert_eq!(answer.headers["x-ratelimit-limit"], "3", "the tightest window");
            assert!(answer.headers.contains_key("x-ratelimit-reset"));
        }
        let refused = api.get(&who, "/v1/usage").await;
        assert_eq!(refused.outcome(), "429 rate_limited");
        assert_eq!(refused.headers["x-ratelimit-remaining"], "0");
        assert!(refused.headers["ratelimit"].to_str().unwrap().contains(r#""hour";r=97;"#));
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        api.clock.advance_seconds(wait);
        assert_eq!(api.get(&who, "/v1/usage").await.outcome(), "200");
    }
}
