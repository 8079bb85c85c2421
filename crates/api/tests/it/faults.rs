//! A store that fails the n-th call, looped over all n: for every operation that changes something, the answer is an
//! honest 5xx, nothing is half done, and the engine's verdicts are those of what is stored.

use http::Method;
use keywright_testkit::Failure;
use serde_json::{Value, json};

use crate::harness::{Answer, Api, Who, holder};

/// What is called, on the key `web` of `acme`.
struct Scenario {
    method: Method,
    path: &'static str,
    body: Value,
    /// Whether a rotation runs before.
    rotating: bool,
}

fn scenario(method: Method, path: &'static str, body: Value) -> Scenario {
    Scenario { method, path, body, rotating: false }
}

fn scenarios() -> Vec<Scenario> {
    let key = |action: &'static str, body: Value| scenario(Method::POST, action, body);
    let rotating = |action: &'static str| Scenario { rotating: true, ..key(action, json!({})) };
    vec![
        scenario(Method::POST, "/v1/workspaces/acme/keys", json!({"name": "new", "environment": "ci"})),
        scenario(Method::PATCH, "/v1/workspaces/acme/keys/{id}", json!({"allowed_ips": ["203.0.113.7"]})),
        scenario(Method::DELETE, "/v1/workspaces/acme/keys/{id}", Value::Null),
        key("/v1/workspaces/acme/keys/{id}/rotate", json!({"overlap_seconds": 0})),
        key("/v1/workspaces/acme/keys/{id}/rotate", json!({"overlap_seconds": 60})),
        rotating("/v1/workspaces/acme/keys/{id}/rotate/complete"),
        rotating("/v1/workspaces/acme/keys/{id}/rotate/cancel"),
        key("/v1/workspaces/acme/keys/{id}/disable", json!({})),
        key("/v1/workspaces/acme/keys/{id}/revoke", json!({"reason": "x"})),
        key("/v1/workspaces/acme/keys/{id}/compromise", json!({"replace": true})),
        key("/v1/workspaces/acme/keys/{id}/compromise", json!({"replace": false})),
        key("/v1/workspaces/acme/keys/revoke", json!({"filter": {"external_id": "bulk"}})),
        scenario(Method::POST, "/v1/workspaces", json!({"slug": "new"})),
        scenario(Method::PATCH, "/v1/workspaces/acme", json!({"suspended": true})),
        scenario(Method::PATCH, "/v1/workspaces/acme", json!({"policy": {"allowed_permissions": []}})),
        scenario(Method::PUT, "/v1/permissions/chat:send", json!({"description": "Send."})),
        scenario(Method::PUT, "/v1/plans/standard", json!({"key_limits": []})),
        scenario(Method::DELETE, "/v1/plans/spare", Value::Null),
        scenario(Method::POST, "/v1/operators", json!({"name": "new"})),
        scenario(Method::POST, "/v1/operators/{operator}/revoke", json!({})),
    ]
}

/// The installation of one attempt, with what a scenario works on.
struct Stage {
    api: Api,
    id: String,
    secrets: Vec<Who>,
    operator: String,
}

impl Stage {
    async fn set(scenario: &Scenario) -> Self {
        let api = Api::start().await;
        let body = json!({"name": "web", "environment": "production", "external_id": "bulk"});
        let created = api.post(&api.operator, "/v1/workspaces/acme/keys", &body).await.json();
        let id = created["key"]["id"].as_str().unwrap().to_owned();
        let mut secrets = vec![holder(&created["secret"])];
        let spare =
            api.call(Method::PUT, &api.operator, "/v1/plans/spare", Some(&json!({"key_limits": []}))).await;
        assert_eq!(spare.outcome(), "200");
        let second = api.post(&api.operator, "/v1/operators", &json!({"name": "second"})).await.json();
        let operator = second["operator"]["id"].as_str().unwrap().to_owned();
        if scenario.rotating {
            let path = format!("/v1/workspaces/acme/keys/{id}/rotate");
            secrets.push(holder(&api.post(&api.operator, &path, &json!({})).await.json()["secret"]));
        }
        for secret in &secrets {
            // Once here, so that looking again changes nothing about when it was last used.
            assert_eq!(api.verdict(secret).await, "valid");
        }
        Self { api, id, secrets, operator }
    }

    async fn play(&self, scenario: &Scenario) -> Answer {
        let path = scenario.path.replace("{id}", &self.id).replace("{operator}", &self.operator);
        let body = Some(&scenario.body).filter(|body| !body.is_null());
        self.api.call(scenario.method.clone(), &self.api.operator, &path, body).await
    }

    /// Everything that can be read, and the verdicts on the secrets.
    async fn state(&self) -> Value {
        let api = &self.api;
        let mut state = Vec::new();
        for path in [
            "/v1/workspaces/acme/keys",
            "/v1/workspaces",
            "/v1/permissions",
            "/v1/plans",
            "/v1/operators",
            "/v1/audit?limit=100",
        ] {
            state.push(api.get(&api.operator, path).await.json());
        }
        for path in ["keys", "incidents"] {
            state.push(api.get(&api.operator, &format!("/v1/workspaces/acme/{path}")).await.json());
        }
        for secret in &self.secrets {
            state.push(json!(api.verdict(secret).await));
        }
        json!(state)
    }

    /// Whether each secret is good exactly when the stored key says so.
    async fn verdicts_follow_the_store(&self) {
        let api = &self.api;
        let listed = api.get(&api.operator, &format!("/v1/workspaces/acme/keys/{}", self.id)).await;
        let suspended = api.get(&api.operator, "/v1/workspaces/acme").await.json()["suspended"] == true;
        for secret in &self.secrets {
            let Who::Holder(text) = secret else { panic!("nobody") };
            let verdict = api.verdict(secret).await;
            let key = if listed.status.is_success() { listed.json() } else { Value::Null };
            let hints = key["secrets"].as_array().cloned().unwrap_or_default();
            let is_live = hints
                .iter()
                .any(|secret| text.starts_with(secret["hint"].as_str().unwrap().split('…').next().unwrap()));
            let is_open = key["allowed_ips"].as_array().is_some_and(Vec::is_empty);
            let expected = is_live && is_open && key["status"] == "active" && !suspended;
            assert_eq!(verdict == "valid", expected, "{verdict} {key}");
        }
    }
}

#[tokio::test]
async fn a_failed_call_changes_nothing_and_says_so() {
    for scenario in scenarios() {
        for failure in [Failure::Unavailable, Failure::Full, Failure::ReadOnly] {
            let stage = Stage::set(&scenario).await;
            let before = stage.state().await;
            let mut call = 1;
            loop {
                stage.api.store.fail_at(call, failure);
                let answer = stage.play(&scenario).await;
                let failed = stage.api.store.has_failed();
                stage.api.store.heal();
                let at = format!(
                    "{} {}, call {call}, {failure:?}: {}",
                    scenario.method, scenario.path, answer.text
                );
                if !failed {
                    assert!(answer.status.is_success(), "{at}");
                    assert!(stage.state().await != before, "nothing happened: {at}");
                    stage.verdicts_follow_the_store().await;
                    break;
                }
                let expected =
                    if failure == Failure::Full { "507 storage_full" } else { "503 store_unavailable" };
                assert_eq!(answer.outcome(), expected, "{at}");
                assert!(stage.state().await == before, "something changed: {at}");
                stage.verdicts_follow_the_store().await;
                call += 1;
            }
            assert!(call > 1, "{} calls the store", scenario.path);
        }
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_told_as_such() {
    for scenario in scenarios() {
        let (mut stage, mut told) = (Stage::set(&scenario).await, 0);
        for call in 1.. {
            stage.api.store.fail_at(call, Failure::CommitUnknown);
            let answer = stage.play(&scenario).await;
            let failed = stage.api.store.has_failed();
            stage.api.store.heal();
            if !failed {
                break;
            }
            stage.verdicts_follow_the_store().await;
            match answer.outcome().as_str() {
                "503 store_unavailable" => {}
                "503 commit_unknown" => {
                    told += 1;
                    stage = Stage::set(&scenario).await;
                }
                other => panic!("{} {}, call {call}: {other}", scenario.method, scenario.path),
            }
        }
        assert_eq!(told, 1, "{} {}", scenario.method, scenario.path);
    }
}

#[tokio::test]
async fn questions_are_answered_honestly_without_a_store() {
    let api = Api::start().await;
    let (_, id) = api.key_with(&[]).await;
    let key = format!("/v1/workspaces/acme/keys/{id}");
    let paths = [
        "/v1/workspaces".to_owned(),
        "/v1/workspaces/acme".to_owned(),
        "/v1/workspaces/acme/keys".to_owned(),
        key.clone(),
        format!("{key}/usage"),
        format!("{key}/ledger"),
        "/v1/workspaces/acme/usage".to_owned(),
        "/v1/workspaces/acme/audit".to_owned(),
        "/v1/workspaces/acme/incidents".to_owned(),
        "/v1/audit".to_owned(),
        "/v1/audit/checkpoints".to_owned(),
        "/v1/plans".to_owned(),
        "/v1/operators".to_owned(),
    ];
    api.store.fail_all(Failure::Unavailable);
    for path in paths {
        let answer = api.get(&api.operator, &path).await;
        assert_eq!(answer.outcome(), "503 store_unavailable", "{path}");
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(!answer.text.contains("made to fail"), "the store's own words are for the log");
    }
    assert_eq!(api.get(&api.operator, "/v1/permissions").await.outcome(), "200", "the engine knows");
}
