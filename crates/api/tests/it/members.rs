//! Roles, members, service accounts, and what becomes of keys: over HTTP, the way people meet them.

use http::{Method, StatusCode};
use keywright_domain::{
    permission::{Builtin, Role},
    principal::Membership,
};
use serde_json::{Value, json};

use crate::harness::{Answer, Api, Who, holder};

const KEYS: &str = "/v1/workspaces/acme/keys";
const MEMBERS: &str = "/v1/workspaces/acme/members";
const ACCOUNTS: &str = "/v1/workspaces/acme/service-accounts";

fn everything() -> Vec<&'static str> {
    Builtin::ALL.map(Builtin::name).into()
}

fn place(member: &Membership) -> String {
    format!("{MEMBERS}/{}", member.principal.id_text())
}

async fn ask(api: &Api, who: &Who, permissions: &[&str]) -> Value {
    let Who::Holder(secret) = who else { panic!("nobody") };
    let body = json!({"key": secret, "cost": 0, "permissions": permissions});
    api.post(&api.operator, "/v1/keys/verify", &body).await.json()
}

async fn delete(api: &Api, who: &Who, path: &str) -> Answer {
    api.call(Method::DELETE, who, path, None).await
}

fn assert_receipt(answer: &Answer) {
    assert_eq!(answer.outcome(), "200", "{}", answer.text);
    assert_eq!(answer.json()["effective"]["nodes"], 1, "{}", answer.text);
}

/// The table of the documents: Owner and Admin create, view and delete keys; Member and Viewer do none of these.
#[tokio::test]
async fn who_may_create_view_and_delete_keys() {
    for role in Role::ALL {
        let api = Api::start().await;
        let (who, _) = api.key_of(&api.member(role).await, &everything()).await;
        let (_, other) = api.key_with(&[]).await;
        let path = format!("{KEYS}/{other}");
        let may = matches!(role, Role::Owner | Role::Admin);
        let (yes, no) = (|code: &str| code.to_owned(), "403 insufficient_permissions".to_owned());
        let body = json!({"name": "web", "environment": "ci", "permissions": []});
        for (outcome, expected) in [
            (api.post(&who, KEYS, &body).await.outcome(), "201"),
            (api.get(&who, KEYS).await.outcome(), "200"),
            (api.get(&who, &path).await.outcome(), "200"),
            (delete(&api, &who, &path).await.outcome(), "204"),
        ] {
            assert_eq!(outcome, if may { yes(expected) } else { no.clone() }, "{role:?}");
        }
    }
}

#[tokio::test]
async fn what_a_role_loses_its_keys_lose_with_a_receipt() {
    let api = Api::start().await;
    let member = api.member(Role::Member).await;
    let path = place(&member);
    assert_receipt(&api.patch(&api.operator, &path, &json!({"role": "admin"})).await);
    let (key, id) = api.key_of(&member, &["prompts:read", "keys:read"]).await;
    assert_eq!(ask(&api, &key, &["prompts:read", "keys:read"]).await["code"], "valid");
    let lowered = api.patch(&api.operator, &path, &json!({"role": "viewer"})).await;
    assert_receipt(&lowered);
    assert_eq!(lowered.json()["role"], "viewer");
    let refused = ask(&api, &key, &["keys:read"]).await;
    assert_eq!(refused["code"], "insufficient_permissions");
    let accepted = ask(&api, &key, &["prompts:read"]).await;
    assert_eq!((&accepted["code"], &accepted["permissions"]), (&json!("valid"), &json!(["prompts:read"])));
    let shown = api.get(&api.operator, &format!("{KEYS}/{id}")).await.json();
    assert_eq!(
        (&shown["permissions"], &shown["effective_permissions"]),
        (&json!(["prompts:read", "keys:read"]), &json!(["prompts:read"]))
    );
    assert_eq!(api.get(&key, KEYS).await.outcome(), "403 insufficient_permissions");
    assert_receipt(&api.patch(&api.operator, &path, &json!({"permissions": []})).await);
    assert_eq!(ask(&api, &key, &["prompts:read"]).await["code"], "insufficient_permissions");
    assert_receipt(&api.patch(&api.operator, &path, &json!({"permissions": null})).await);
    assert_eq!(ask(&api, &key, &["prompts:read"]).await["code"], "valid");
}

#[tokio::test]
async fn permissions_stay_within_the_role() {
    let api = Api::start().await;
    let member = api.member(Role::Admin).await;
    let path = place(&member);
    let narrow = json!({"permissions": ["keys:read", "prompts:read"]});
    let narrowed = api.patch(&api.operator, &path, &narrow).await.json();
    assert_eq!(narrowed["effective_permissions"], json!(["prompts:read", "keys:read"]));
    let lowered = api.patch(&api.operator, &path, &json!({"role": "viewer"})).await.json();
    assert_eq!(lowered["permissions"], json!(["prompts:read"]), "narrowed within the new role, too");
    let beyond = api.patch(&api.operator, &path, &narrow).await;
    assert_eq!(beyond.outcome(), "400 invalid_field");
    assert_eq!(beyond.json()["not_allowed"], json!(["keys:read"]));
    let owner = json!({"role": "owner", "permissions": ["prompts:read"]});
    assert_eq!(api.patch(&api.operator, &path, &owner).await.outcome(), "400 invalid_field");
    for (body, outcome) in [
        (json!({"role": null}), "400 invalid_field"),
        (json!({"role": "king"}), "400 invalid_field"),
        (json!({"permissions": ["no:such"]}), "400 unknown_permission"),
        (json!({"name": "Ada"}), "400 unknown_field"),
        (json!({}), "200"),
    ] {
        assert_eq!(api.patch(&api.operator, &path, &body).await.outcome(), outcome, "{body}");
    }
    for nobody in ["usr_01k9zq3v4w5x6y7z8a9b0c1d2e", "sa_01k9zq3v4w5x6y7z8a9b0c1d2e", "x"] {
        let path = format!("{MEMBERS}/{nobody}");
        assert_eq!(api.get(&api.operator, &path).await.outcome(), "404 not_found", "{nobody}");
    }
}

#[tokio::test]
async fn an_owner_is_always_there_and_only_owners_touch_owners() {
    let api = Api::start().await;
    let owner = api.get(&api.operator, &format!("{MEMBERS}?role=owner")).await.json()["data"][0].clone();
    let owner_path = format!("{MEMBERS}/{}", owner["id"].as_str().unwrap());
    assert_eq!(owner["email"], "owner@example.com");
    let viewer = json!({"role": "viewer"});
    assert_eq!(api.patch(&api.operator, &owner_path, &viewer).await.outcome(), "409 last_owner");
    assert_eq!(delete(&api, &api.operator, &owner_path).await.outcome(), "409 last_owner");
    let admin = api.member(Role::Admin).await;
    let (by_admin, _) = api.key_of(&admin, &everything()).await;
    assert_eq!(api.patch(&by_admin, &owner_path, &viewer).await.outcome(), "403 owner_only");
    assert_eq!(delete(&api, &by_admin, &owner_path).await.outcome(), "403 owner_only");
    let to_owner = json!({"role": "owner"});
    assert_eq!(api.patch(&by_admin, &place(&admin), &to_owner).await.outcome(), "403 owner_only");
    let transfer = "/v1/workspaces/acme/transfer-ownership";
    let to_admin = json!({"to": admin.principal.id_text(), "from": owner["id"]});
    assert_eq!(api.post(&by_admin, transfer, &to_admin).await.outcome(), "403 owner_only");
    let done = api.post(&api.operator, transfer, &to_admin).await;
    assert_receipt(&done);
    let done = done.json();
    assert_eq!((&done["owner"]["role"], &done["previous_owner"]["role"]), (&json!("owner"), &json!("admin")));
    assert_eq!(
        api.post(&api.operator, transfer, &to_admin).await.outcome(),
        "403 owner_only",
        "none any more"
    );
    assert_eq!(delete(&api, &by_admin, &owner_path).await.outcome(), "200", "an Owner's key by now");
    let bad = json!({"to": "sa_01k9zq3v4w5x6y7z8a9b0c1d2e"});
    assert_eq!(api.post(&api.operator, transfer, &bad).await.outcome(), "400 invalid_field");
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let api = Api::start().await;
    let admin = api.member(Role::Admin).await;
    let (weak, _) = api.key_of(&admin, &["members:write", "prompts:read"]).await;
    let viewer = api.member(Role::Viewer).await;
    let refused = api.patch(&weak, &place(&viewer), &json!({"role": "admin"})).await;
    assert_eq!(refused.outcome(), "403 permission_escalation");
    let body = |permissions: Value| json!({"name": "batch", "email": "batch@company.com", "role": "admin", "permissions": permissions});
    let refused = api.post(&weak, ACCOUNTS, &body(json!(["prompts:read", "audit:read"]))).await;
    assert_eq!(refused.outcome(), "403 permission_escalation");
    assert_eq!(refused.json()["missing_permissions"], json!(["audit:read"]));
    assert_eq!(api.post(&weak, ACCOUNTS, &body(json!(null))).await.outcome(), "403 permission_escalation");
    assert_eq!(api.post(&weak, ACCOUNTS, &body(json!(["prompts:read"]))).await.outcome(), "201");
    let (strong, _) = api.key_of(&admin, &everything()).await;
    assert_eq!(api.patch(&strong, &place(&viewer), &json!({"role": "admin"})).await.outcome(), "200");
}

#[tokio::test]
async fn when_a_member_leaves_the_keys_stop_or_are_handed_over() {
    let api = Api::start().await;
    let (first, second) = (api.member(Role::Admin).await, api.member(Role::Admin).await);
    let (stopped, stopped_id) = api.key_of(&first, &["prompts:read"]).await;
    let (kept, _) = api.key_of(&second, &["prompts:read", "prompts:write"]).await;
    let removed = delete(&api, &api.operator, &format!("{}?reason=left", place(&first))).await;
    assert_receipt(&removed);
    assert_eq!(removed.json()["keys"], json!({"stopped": 1, "handed_over": 0, "warnings": []}));
    assert_eq!(api.verdict(&stopped).await, "disabled_key");
    let orphaned = api.get(&api.operator, &format!("{KEYS}?orphaned=true")).await.json();
    assert_eq!(orphaned["data"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&orphaned["data"][0]["id"], &orphaned["data"][0]["creator_active"]),
        (&json!(stopped_id), &json!(false))
    );
    assert_eq!(delete(&api, &api.operator, &place(&first)).await.outcome(), "404 not_found");

    let body = json!({"name": "api", "email": "api@company.com", "permissions": ["prompts:read"]});
    let account = api.post(&api.operator, ACCOUNTS, &body).await.json()["id"].as_str().unwrap().to_owned();
    let removed = delete(&api, &api.operator, &format!("{}?hand_over_to={account}", place(&second))).await;
    assert_receipt(&removed);
    let keys = &removed.json()["keys"];
    assert_eq!((&keys["stopped"], &keys["handed_over"]), (&json!(0), &json!(1)));
    assert_eq!(keys["warnings"][0]["code"], "permissions_lost");
    assert_eq!(keys["warnings"][0]["lost_permissions"], json!(["prompts:write"]));
    assert_eq!(keys["warnings"][1]["code"], "secret_known");
    let verdict = ask(&api, &kept, &["prompts:read"]).await;
    assert_eq!((&verdict["code"], &verdict["permissions"]), (&json!("valid"), &json!(["prompts:read"])));
    assert_eq!(verdict["principal"], json!({"type": "service_account", "id": account}));

    let one = format!("{KEYS}/{stopped_id}/hand-over");
    assert_receipt(&api.post(&api.operator, &one, &json!({"to": account})).await);
    assert_eq!(api.verdict(&stopped).await, "valid", "also after its creator has left");
    let all = json!({"from": first.principal.id_text(), "to": account});
    let all = api.post(&api.operator, &format!("{KEYS}/hand-over"), &all).await;
    assert_eq!(all.json()["keys"]["handed_over"], 0, "none is left");
    let trail =
        api.get(&api.operator, &format!("/v1/workspaces/acme/audit?target={stopped_id}")).await.json();
    assert_eq!(trail["data"][0]["action"], "key.handed_over");
    for query in ["hand_over_to=x", "reason=", "unknown=1"] {
        let member = api.member(Role::Viewer).await;
        let answer = delete(&api, &api.operator, &format!("{}?{query}", place(&member))).await;
        assert_eq!(answer.outcome(), "400 invalid_query", "{query}");
    }
}

#[tokio::test]
async fn a_service_account_outlives_the_people_who_made_it() {
    let api = Api::start().await;
    let admin = api.member(Role::Admin).await;
    let (by_admin, _) = api.key_of(&admin, &everything()).await;
    let body = json!({
        "name": "api-production", "email": "api-production@company.com", "purpose": "The public interface",
        "owning_team": "platform", "role": "admin", "permissions": ["prompts:read", "keys:write"],
    });
    let created = api.post(&by_admin, ACCOUNTS, &body).await;
    assert_eq!(created.outcome(), "201", "{}", created.text);
    let account = created.json();
    assert_eq!(account["created_by"]["id"], admin.principal.id_text());
    let id = account["id"].as_str().unwrap();
    let path = format!("{ACCOUNTS}/{id}");
    let mut shown = api.get(&by_admin, &path).await.json();
    shown["sequence"] = account["sequence"].clone();
    assert_eq!(shown, account);

    let key = json!({"name": "web", "environment": "production", "permissions": ["prompts:read", "keys:write"], "service_account": id});
    let created = api.post(&by_admin, KEYS, &key).await;
    assert_eq!(created.outcome(), "201", "{}", created.text);
    assert_eq!(created.json()["key"]["created_by"], json!({"type": "service_account", "id": id}));
    let secret = holder(&created.json()["secret"]);
    let own = json!({"name": "own", "environment": "ci", "permissions": ["prompts:read"]});
    let own = api.post(&secret, KEYS, &own).await;
    assert_eq!(own.json()["key"]["created_by"]["id"], id, "created by the account itself");
    let greedy =
        json!({"name": "web", "environment": "ci", "permissions": ["audit:read"], "service_account": id});
    assert_eq!(api.post(&by_admin, KEYS, &greedy).await.outcome(), "403 permission_escalation");

    assert_eq!(delete(&api, &api.operator, &place(&admin)).await.outcome(), "200");
    assert_eq!(api.verdict(&by_admin).await, "disabled_key");
    assert_eq!(api.verdict(&secret).await, "valid");

    assert_receipt(&api.post(&api.operator, &format!("{path}/disable"), &json!({})).await);
    assert_eq!(api.get(&api.operator, &path).await.json()["status"], "disabled");
    assert_eq!(api.verdict(&secret).await, "disabled_key");
    assert_eq!(api.post(&api.operator, KEYS, &key).await.outcome(), "409 conflict");
    assert_eq!(api.post(&api.operator, &format!("{path}/enable"), &json!({})).await.outcome(), "200");
    assert_eq!(api.verdict(&secret).await, "valid");
    assert_receipt(&api.patch(&api.operator, &path, &json!({"permissions": ["prompts:list"]})).await);
    assert_eq!(ask(&api, &secret, &["prompts:read"]).await["code"], "insufficient_permissions");
    let gone = delete(&api, &api.operator, &path).await;
    assert_receipt(&gone);
    assert_eq!(gone.json()["keys"]["stopped"], 2);
    assert_eq!(api.verdict(&secret).await, "disabled_key");
    assert_eq!(api.get(&api.operator, &path).await.outcome(), "404 not_found");
}

#[tokio::test]
async fn fields_of_service_accounts_have_limits_on_both_sides() {
    let api = Api::start().await;
    let filled = |count: usize| json!("x".repeat(count));
    let identity = |count: usize| json!(format!("{}@b", "a".repeat(count - 2)));
    let cases = [
        ("name", vec![filled(1), filled(64)], vec![json!(""), filled(65), json!(" "), json!("a\n")]),
        (
            "email",
            vec![identity(3), identity(254), json!("a+b.c_d-e@x.y")],
            vec![
                identity(255),
                json!("a"),
                json!("@b"),
                json!("a@"),
                json!("A@b"),
                json!("a@b@c"),
                json!("a@b..c"),
            ],
        ),
        ("purpose", vec![json!(null), filled(500)], vec![json!(""), filled(501)]),
        ("owning_team", vec![json!(null), filled(64)], vec![json!(""), filled(65)]),
        ("role", vec![json!("viewer"), json!(null)], vec![json!("owner")]),
    ];
    let mut number = 0;
    for (field, good, bad) in cases {
        for (value, outcome) in good
            .iter()
            .map(|value| (value, "201"))
            .chain(bad.iter().map(|value| (value, "400 invalid_field")))
        {
            number += 1;
            let mut body =
                json!({"name": "api", "email": format!("{number}@company.com"), "permissions": []});
            body[field] = value.clone();
            let answer = api.post(&api.operator, ACCOUNTS, &body).await;
            assert_eq!(answer.outcome(), outcome, "{field} {value}: {}", answer.text);
        }
    }
    let twice = json!({"name": "api", "email": "1@company.com"});
    assert_eq!(api.post(&api.operator, ACCOUNTS, &twice).await.outcome(), "409 already_exists");
    let patch = format!("{ACCOUNTS}/{}", api.service_account("own@company.com").await);
    let taken = json!({"email": "1@company.com"});
    assert_eq!(api.patch(&api.operator, &patch, &taken).await.outcome(), "409 already_exists");
    let cleared =
        api.patch(&api.operator, &patch, &json!({"purpose": null, "owning_team": "data"})).await.json();
    assert_eq!((&cleared["purpose"], &cleared["owning_team"]), (&json!(null), &json!("data")));
}

#[tokio::test]
async fn lists_show_everybody_once() {
    let api = Api::start().await;
    for number in 0..4 {
        api.member(if number % 2 == 0 { Role::Viewer } else { Role::Admin }).await;
        api.service_account(&format!("{number}@company.com")).await;
    }
    for (path, expected) in [
        (format!("{MEMBERS}?limit=2"), 5),
        (format!("{ACCOUNTS}?limit=2"), 4),
        (format!("{MEMBERS}?limit=1&role=viewer"), 2),
        (format!("{ACCOUNTS}?limit=100&role=viewer"), 0),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = api.get(&api.operator, &format!("{path}{cursor}")).await.json();
            seen.extend(page["data"].as_array().unwrap().iter().map(|item| item["id"].to_string()));
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), expected, "{path}");
    }
    let page = api.get(&api.operator, &format!("{MEMBERS}?limit=1")).await.json();
    let elsewhere = format!("{ACCOUNTS}?limit=1&cursor={}", page["cursor"].as_str().unwrap());
    assert_eq!(api.get(&api.operator, &elsewhere).await.outcome(), "400 invalid_cursor");
    assert_eq!(api.get(&api.operator, &format!("{MEMBERS}?limit=101")).await.outcome(), "400 invalid_query");
    assert_eq!(api.get(&api.operator, MEMBERS).await.status, StatusCode::OK);
}
