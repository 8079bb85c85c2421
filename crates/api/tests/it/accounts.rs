//! People who are signed in: what they may do, as their membership is at that moment.

use http::Method;
use keywright_api::outbox::LetterKind;
use keywright_domain::permission::Role;
use serde_json::{Value, json};

use crate::{
    harness::{Answer, Api, Who, holder},
    letters::Letters,
};

const KEYS: &str = "/v1/workspaces/acme/keys";
const MEMBERS: &str = "/v1/workspaces/acme/members";

async fn delete(api: &Api, who: &Who, path: &str) -> Answer {
    api.call(Method::DELETE, who, path, None).await
}

/// Where the membership of whoever is signed in is.
async fn place(api: &Api, who: &Who) -> String {
    let id = api.get(who, "/v1/account").await.json()["id"].clone();
    format!("{MEMBERS}/{}", id.as_str().unwrap())
}

async fn verdict(api: &Api, secret: &Value) -> Value {
    let body = json!({"key": secret, "cost": 0, "permissions": ["keys:read"]});
    api.post(&api.operator, "/v1/keys/verify", &body).await.json()["code"].clone()
}

fn assert_receipt(answer: &Answer) {
    assert_eq!(answer.outcome(), "200", "{}", answer.text);
    assert_eq!(answer.json()["effective"]["nodes"], 1, "{}", answer.text);
}

/// The table of the documents, for people: Owner and Admin create, view and delete keys; Member and Viewer do none of these.
#[tokio::test]
async fn who_may_create_view_and_delete_keys() {
    let api = Api::start().await;
    let body = json!({"name": "web", "environment": "ci", "permissions": []});
    for role in Role::ALL {
        let who = api.person(role.as_str()).await;
        let (_, other) = api.key_with(&[]).await;
        let path = format!("{KEYS}/{other}");
        let may = matches!(role, Role::Owner | Role::Admin);
        for (outcome, expected) in [
            (api.post(&who, KEYS, &body).await.outcome(), "201"),
            (api.get(&who, KEYS).await.outcome(), "200"),
            (api.get(&who, &path).await.outcome(), "200"),
            (delete(&api, &who, &path).await.outcome(), "204"),
        ] {
            assert_eq!(outcome, if may { expected } else { "403 insufficient_permissions" }, "{role:?}");
        }
    }
}

/// Everything by people who are signed in: a Member is made Admin, creates a key, and is made Viewer again.
#[tokio::test]
async fn a_key_shrinks_with_the_role_of_whoever_made_it() {
    let api = Api::start().await;
    let (owner, ada) = (api.person("owner").await, api.person("member").await);
    let ada_place = place(&api, &ada).await;
    let new =
        json!({"name": "worker", "environment": "production", "permissions": ["prompts:read", "keys:read"]});
    assert_eq!(api.post(&ada, KEYS, &new).await.outcome(), "403 insufficient_permissions");
    assert_receipt(&api.patch(&owner, &ada_place, &json!({"role": "admin"})).await);
    let created = api.post(&ada, KEYS, &new).await;
    assert_eq!(created.outcome(), "201", "the same session, with the new role: {}", created.text);
    let (secret, key) = (created.json()["secret"].clone(), created.json()["key"].clone());
    assert_eq!(key["created_by"]["type"], "user");
    assert_eq!(verdict(&api, &secret).await, "valid");

    assert_receipt(&api.patch(&owner, &ada_place, &json!({"role": "viewer"})).await);
    assert_eq!(verdict(&api, &secret).await, "insufficient_permissions", "the next verification");
    let shown = api.get(&owner, &format!("{KEYS}/{}", key["id"].as_str().unwrap())).await.json();
    assert_eq!(shown["effective_permissions"], json!(["prompts:read"]));
    assert_eq!(api.get(&ada, KEYS).await.outcome(), "403 insufficient_permissions", "the session, too");
    assert_eq!(
        api.get(&ada, "/v1/workspaces/acme").await.outcome(),
        "200",
        "a Viewer still sees the workspace"
    );
}

#[tokio::test]
async fn removal_stops_the_keys_and_hands_them_over_if_asked() {
    let api = Api::start().await;
    let (owner, ada, bob) = (api.person("owner").await, api.person("admin").await, api.person("admin").await);
    let new = json!({"name": "worker", "environment": "production", "permissions": ["keys:read"]});
    let of_ada = api.post(&ada, KEYS, &new).await.json()["secret"].clone();
    let of_bob = api.post(&bob, KEYS, &new).await.json()["secret"].clone();
    let (ada_place, bob_place) = (place(&api, &ada).await, place(&api, &bob).await);
    assert_receipt(&delete(&api, &owner, &ada_place).await);
    assert_eq!(verdict(&api, &of_ada).await, "disabled_key");
    assert_eq!(api.get(&ada, KEYS).await.outcome(), "404 not_found", "no member any more");
    assert_eq!(api.get(&ada, "/v1/account").await.json()["memberships"], json!([]));

    let account = json!({"name": "batch", "email": "batch@company.com", "role": "admin"});
    let account = api.post(&owner, "/v1/workspaces/acme/service-accounts", &account).await.json();
    let to = account["id"].as_str().unwrap();
    assert_receipt(&delete(&api, &owner, &format!("{bob_place}?hand_over_to={to}")).await);
    assert_eq!(verdict(&api, &of_bob).await, "valid");
}

/// A session acts in every workspace that its user is a member of, and sees no other.
#[tokio::test]
async fn a_person_sees_their_own_workspaces_only() {
    let api = Api::start().await;
    let ada = api.person("owner").await;
    api.post(&api.operator, "/v1/workspaces", &json!({"slug": "other"})).await;
    assert_eq!(api.get(&ada, "/v1/workspaces/other").await.outcome(), "404 not_found");
    assert_eq!(api.get(&ada, "/v1/workspaces/nowhere").await.outcome(), "404 not_found");
    assert_eq!(api.get(&ada, "/v1/operators").await.outcome(), "403 insufficient_permissions");
    let narrow = json!({"permissions": ["keys:read"]});
    let bob = api.person("admin").await;
    let narrowed = api.patch(&ada, &place(&api, &bob).await, &narrow).await;
    assert_eq!(narrowed.outcome(), "200");
    assert_eq!(api.get(&bob, KEYS).await.outcome(), "200");
    let new = json!({"name": "web", "environment": "ci"});
    assert_eq!(
        api.post(&bob, KEYS, &new).await.outcome(),
        "403 insufficient_permissions",
        "role ∩ custom set"
    );
}

#[tokio::test]
async fn a_new_program_that_signs_in_is_told_of_by_letter() {
    let letters = Letters::shared();
    let api = Api::start().await.sending(&letters);
    let (email, password) = ("ada@example.com", "correct horse battery staple");
    api.person_with_password(email, password, "admin").await;
    let body = json!({"email": email, "password": password});
    let token = holder(&api.post(&Who::Anonymous, "/v1/sessions", &body).await.json()["token"]);
    let sent = letters.take();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].to, email);
    assert!(matches!(&sent[0].kind, LetterKind::NewSignIn { agent, .. } if agent == "Unknown program"));
    assert_eq!(api.post(&Who::Anonymous, "/v1/sessions", &body).await.outcome(), "201");
    assert!(letters.take().is_empty(), "the same program again");
    assert_eq!(delete(&api, &token, "/v1/sessions/current").await.outcome(), "204");
}
