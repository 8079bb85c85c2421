//! `GET /v1/workspaces/{slug}/keys/{id}/origins`

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    actor::{ReadUsage, Scope},
    error::ApiError,
    openapi::problems,
    state::AppState,
    v1::problems::of_store,
    wire::{KeyPath, Origin},
};

/// The networks that a key is used from.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyOrigins)]
pub(crate) struct Origins {
    /// The networks, those first seen last first.
    data: Vec<Origin>,
    /// Whether as many are known as are remembered, so that new ones are not noted any more.
    is_full: bool,
}

problems! {}

/// Where a key is used from
///
/// Needs `usage:read`. Each network (IPv4 /24, IPv6 /48) with the first and the last use from there and how many were
/// refused, those first seen last first: an unusual location stands at the top. At most 256 networks per key are
/// remembered; the access ledger has every address.
#[utoipa::path(
    get, path = "/v1/workspaces/{slug}/keys/{id}/origins", operation_id = "list_key_origins", tag = "Usage",
    params(KeyPath),
    responses((status = 200, description = "The networks.", body = Origins), Problems),
)]
pub(crate) async fn handler(
    State(state): State<AppState>,
    scope: Scope<ReadUsage>,
) -> Result<Json<Origins>, ApiError> {
    let key = scope.key(&state).await?;
    let found = state.store.origins(key.number).await.map_err(of_store)?;
    let is_full = found.len() >= keywright_domain::caps::ORIGINS_PER_KEY as usize;
    Ok(Json(Origins { data: found.into_iter().map(Origin::from).collect(), is_full }))
}

#[cfg(test)]
mod tests {
    use keywright_domain::{
        ids::KeyId,
        store::Store as _,
        time::Clock as _,
        usage::{AgentClass, UsageBatch, UsageRow},
        verdict::Code,
    };
    use serde_json::json;

    use crate::harness::Api;

    #[tokio::test]
    async fn an_unusual_network_stands_at_the_top() {
        let api = Api::start().await;
        let (_, id) = api.key_with(&["prompts:read"]).await;
        let workspace =
            api.state.store.workspace("acme".to_owned().try_into().unwrap()).await.unwrap().unwrap();
        let key = api.state.store.key(workspace.id, KeyId::parse(&id).unwrap()).await.unwrap().unwrap();
        let row = |address: [u8; 4], code, count, seconds| UsageRow {
            key: key.number,
            secret_ordinal: 1,
            minute: api.clock.now().unix_ms() / 60_000,
            address: Some(address.into()),
            route: String::new(),
            code,
            agent: AgentClass::Library,
            count,
            cost: 0,
            last_at: api.clock.now().plus_seconds(seconds),
        };
        let rows = vec![
            row([203, 0, 113, 7], Code::Valid, 9, 0),
            row([203, 0, 113, 8], Code::RateLimited, 1, 1),
            row([198, 51, 100, 1], Code::IpNotAllowed, 4, 2),
        ];
        api.store.flush_usage(UsageBatch { incarnation: [3; 16], batch: 1, rows }).await.unwrap();
        let path = format!("/v1/workspaces/acme/keys/{id}/origins");
        let found = api.get(&api.operator, &path).await.json();
        assert_eq!(
            found,
            json!({
                "data": [
                    {"network": "198.51.100.0/24", "first_seen_at": "2026-11-21T08:00:02.000Z",
                     "last_seen_at": "2026-11-21T08:00:02.000Z", "accepted": 0, "refused": 4, "error_rate": 1.0},
                    {"network": "203.0.113.0/24", "first_seen_at": "2026-11-21T08:00:00.000Z",
                     "last_seen_at": "2026-11-21T08:00:01.000Z", "accepted": 9, "refused": 1, "error_rate": 0.1},
                ],
                "is_full": false,
            })
        );
    }
}
