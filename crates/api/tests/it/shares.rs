//! Limits that two nodes share.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::StatusCode;
use keywright_domain::{
    pool::{Counter, Draw, Drawn, LimitPool, PoolWindow, Return},
    store::StoreError,
    time::Timestamp,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::{Answer, Api, START, holder};

/// A pool in memory, on a clock that stands still.
#[derive(Default)]
pub(crate) struct FakePool {
    counters: Mutex<HashMap<PoolWindow, Counter>>,
    is_down: AtomicBool,
    statements: AtomicUsize,
}

impl FakePool {
    fn now_ms() -> i64 {
        Timestamp::parse_rfc3339(START).unwrap().unix_ms()
    }
}

#[async_trait]
impl LimitPool for FakePool {
    async fn draw(&self, draws: Vec<Draw>) -> Result<Drawn, StoreError> {
        // Others come to their turn in the meantime, as they do with a database.
        tokio::task::yield_now().await;
        if self.is_down.load(SeqCst) {
            return Err(StoreError::Unavailable("out of reach".to_owned()));
        }
        if !draws.is_empty() {
            self.statements.fetch_add(1, SeqCst);
        }
        let (mut counters, now_ms) = (self.counters.lock(), Self::now_ms());
        let mut draw =
            |draw: &Draw| counters.entry(draw.window).or_default().draw(draw, u64::try_from(now_ms).unwrap());
        Ok(Drawn { grants: draws.iter().map(&mut draw).collect(), now_ms })
    }

    async fn give_back(&self, units: Vec<Return>) -> Result<(), StoreError> {
        let mut counters = self.counters.lock();
        for back in units {
            counters.entry(back.window).or_default().give_back(&back);
        }
        Ok(())
    }

    async fn prune(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Two nodes of which each has made the same key, and the key's secret.
async fn two_nodes(limits: Value) -> (Arc<FakePool>, [Api; 2], String) {
    let pool = Arc::new(FakePool::default());
    let nodes = [Api::sharing(Arc::clone(&pool) as _).await, Api::sharing(Arc::clone(&pool) as _).await];
    let mut secrets = Vec::new();
    for node in &nodes {
        node.state.plane.engine().set_nodes(2);
        let body = json!({"name": "shared", "environment": "production", "permissions": ["keys:verify"], "limits": limits});
        let answer = node.post(&node.operator, "/v1/workspaces/acme/keys", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        secrets.push(answer.json()["secret"].as_str().unwrap().to_owned());
    }
    assert_eq!(secrets[0], secrets[1], "both nodes have drawn the same random numbers");
    (pool, nodes, secrets.remove(0))
}

async fn verify(node: &Api, secret: &str, cost: u32) -> Answer {
    node.post(&node.operator, "/v1/keys/verify", &json!({"key": secret, "cost": cost})).await
}

async fn code(node: &Api, secret: &str, cost: u32) -> String {
    let answer = verify(node, secret, cost).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_nodes_admit_exactly_the_limit() {
    let (pool, nodes, secret) =
        two_nodes(json!([{"name": "minute", "limit": 20, "window_seconds": 60}])).await;
    let mut valid = 0;
    for call in 0..40 {
        match code(&nodes[call % 3 % 2], &secret, 1).await.as_str() {
            "valid" => valid += 1,
            "rate_limited" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(valid, 20);
    assert!(pool.statements.load(SeqCst) < 40);
    let refused = nodes[0].get(&holder(&json!(secret)), "/v1/check").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.headers["x-ratelimit-remaining"], "0");
    assert_eq!(refused.headers["x-ratelimit-limit"], "20");
}

#[tokio::test]
async fn many_calls_at_once_share_draws_and_admit_exactly_the_limit() {
    let windows = json!([
        {"name": "minute", "limit": 50, "window_seconds": 60},
        {"name": "day", "limit": 70, "window_seconds": 86400, "mode": "exact"},
        {"name": "smooth", "limit": 60, "window_seconds": 3600, "algorithm": "smooth"},
    ]);
    let (pool, nodes, secret) = two_nodes(windows).await;
    let calls = (0..120).map(|call| code(&nodes[call % 2], &secret, 1));
    let codes = futures_util::future::join_all(calls).await;
    let valid = codes.iter().filter(|code| *code == "valid").count();
    // Units that are on their way between windows may be missing to the last calls.
    assert!((40..=50).contains(&valid), "{valid} of 50");
    assert!(codes.iter().all(|code| ["valid", "rate_limited", "quota_exceeded"].contains(&code.as_str())));
    assert!(pool.statements.load(SeqCst) < 200, "{} statements", pool.statements.load(SeqCst));
}

#[tokio::test]
async fn without_the_pool_each_node_has_its_part_and_exact_limits_say_what_they_were_told() {
    for (window, expected) in [
        (
            json!({"name": "m", "limit": 10, "window_seconds": 60}),
            [(StatusCode::OK, "valid"), (StatusCode::OK, "rate_limited")],
        ),
        (
            json!({"name": "m", "limit": 10, "window_seconds": 60, "algorithm": "smooth"}),
            [(StatusCode::OK, "valid"), (StatusCode::OK, "rate_limited")],
        ),
        (
            json!({"name": "m", "limit": 10, "window_seconds": 60, "mode": "exact"}),
            [
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            ],
        ),
        (
            json!({"name": "m", "limit": 10, "window_seconds": 60, "mode": "exact", "on_unavailable": "open"}),
            [(StatusCode::OK, "valid"), (StatusCode::OK, "valid")],
        ),
    ] {
        let (pool, nodes, secret) = two_nodes(json!([window])).await;
        pool.is_down.store(true, SeqCst);
        for (call, (status, code)) in (0..6).zip([0, 0, 0, 0, 0, 1].map(|then: usize| expected[then])) {
            let answer = verify(&nodes[0], &secret, 1).await;
            assert_eq!(
                (answer.status, answer.json()["code"].as_str()),
                (status, Some(code)),
                "call {call}: {}",
                answer.text
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_spent_goes_back_and_a_pool_that_is_back_is_used_again() {
    let (pool, nodes, secret) =
        two_nodes(json!([{"name": "minute", "limit": 100, "window_seconds": 60}])).await;
    for _ in 0..30 {
        assert_eq!(code(&nodes[0], &secret, 1).await, "valid");
    }
    // The shares' clock stands still, the runtime's does not.
    for _ in 0..100 {
        sleep(Duration::from_millis(50)).await;
        if pool.counters.lock().values().all(|counter| counter.current == 30) {
            break;
        }
    }
    assert_eq!(pool.counters.lock().values().map(|counter| counter.current).collect::<Vec<_>>(), [30]);
    pool.is_down.store(true, SeqCst);
    assert_eq!(code(&nodes[1], &secret, 50).await, "valid");
    assert_eq!(code(&nodes[1], &secret, 1).await, "rate_limited");
    pool.is_down.store(false, SeqCst);
    let mut last = String::new();
    for _ in 0..100 {
        sleep(Duration::from_millis(20)).await;
        last = code(&nodes[1], &secret, 1).await;
        if last == "valid" {
            break;
        }
    }
    assert_eq!(last, "valid");
    // 30, what the node granted itself, and one.
    assert!(pool.counters.lock().values().all(|counter| counter.current >= 81));
}

#[tokio::test]
async fn a_window_says_how_it_is_counted() {
    let api = Api::start().await;
    let windows = json!([
        {"name": "a", "limit": 5, "window_seconds": 60, "algorithm": "sliding"},
        {"name": "b", "limit": 5, "window_seconds": 60, "algorithm": "sliding", "mode": "exact", "on_unavailable": "open"},
    ]);
    let body = json!({"name": "k", "environment": "production", "limits": windows});
    let made = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert_eq!(made.json()["key"]["limits"], windows);
    let wrong = json!({"name": "k", "environment": "production", "limits": [{"name": "a", "limit": 5, "window_seconds": 60, "mode": "never"}]});
    assert_eq!(
        api.post(&api.operator, "/v1/workspaces/acme/keys", &wrong).await.status,
        StatusCode::BAD_REQUEST
    );
}
