//! People who are signed in: what they may do, as their membership is at that moment.

use http::Method;
use keywright_api::outbox::LetterKind;
use keywright_domain::{permission::Role, time::Clock as _};
use ring::hmac;
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

const PASSWORD: &str = "correct horse battery staple";
const INVITATIONS: &str = "/v1/workspaces/acme/invitations";

/// What follows `#` in a link.
fn token(link: &Value) -> &str {
    link.as_str().unwrap().split_once('#').unwrap().1
}

async fn invite(api: &Api, who: &Who, email: &str, role: &str) -> Value {
    let body = json!({"invitations": [{"email": email, "role": role}]});
    let answer = api.post(who, INVITATIONS, &body).await;
    assert_eq!(answer.outcome(), "201", "{}", answer.text);
    answer.json()["data"][0].clone()
}

async fn sign_in(api: &Api, body: Value) -> Answer {
    api.post(&Who::Anonymous, "/v1/sessions", &body).await
}

fn credentials(email: &str, password: &str) -> Value {
    json!({"email": email, "password": password})
}

#[tokio::test]
async fn somebody_is_invited_joins_and_creates_a_key() {
    let api = Api::start().await;
    let owner = api.person("owner").await;
    let invited = invite(&api, &owner, "Ada@Company.com", "admin").await;
    assert_eq!((&invited["email"], &invited["delivered"]), (&json!("ada@company.com"), &json!(false)));
    assert!(invited["link"].as_str().unwrap().starts_with("https://keys.example/invite#kwi_"));
    let listed = api.get(&owner, INVITATIONS).await.json();
    assert_eq!(listed["data"][0]["id"], invited["id"]);
    assert!(listed["data"][0].get("link").is_none(), "shown once");

    let lookup = json!({"token": token(&invited["link"])});
    let seen = api.post(&Who::Anonymous, "/v1/invitations/lookup", &lookup).await.json();
    assert_eq!(
        (&seen["email"], &seen["role"], &seen["needs_password"]),
        (&json!("ada@company.com"), &json!("admin"), &json!(true))
    );
    let accept = async |extra: Value| {
        let mut body = lookup.clone();
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        api.post(&Who::Anonymous, "/v1/invitations/accept", &body).await
    };
    assert_eq!(accept(json!({})).await.outcome(), "400 password_needed");
    assert_eq!(accept(json!({"password": "password1234"})).await.outcome(), "400 password_refused");
    let joined = accept(json!({"password": PASSWORD, "name": "Ada"})).await;
    assert_eq!(joined.outcome(), "200", "{}", joined.text);
    let ada = holder(&joined.json()["token"]);
    assert_eq!(joined.json()["session"]["method"], "invitation");
    let account = api.get(&ada, "/v1/account").await.json();
    assert_eq!((&account["name"], &account["email"]), (&json!("Ada"), &json!("ada@company.com")));
    let new = json!({"name": "web", "environment": "production"});
    assert_eq!(api.post(&ada, KEYS, &new).await.outcome(), "201");
    assert_eq!(accept(json!({"password": PASSWORD})).await.outcome(), "404 invalid_link", "once");
    assert_eq!(sign_in(&api, credentials("ada@company.com", PASSWORD)).await.outcome(), "201");
    let again = json!({"invitations": [{"email": "ada@company.com"}]});
    assert_eq!(api.post(&owner, INVITATIONS, &again).await.outcome(), "409 already_exists");
}

#[tokio::test]
async fn invitations_have_limits_and_are_taken_back() {
    let letters = Letters::shared();
    let api = Api::start().await.sending(&letters);
    let (owner, admin) = (api.person("owner").await, api.person("admin").await);
    let body = |email: &str, role: &str| json!({"invitations": [{"email": email, "role": role}]});
    assert_eq!(
        api.post(&admin, INVITATIONS, &body("eve@company.com", "owner")).await.outcome(),
        "403 owner_only"
    );
    let beyond = json!({"invitations": [{"email": "eve@company.com", "role": "viewer", "permissions": ["keys:read"]}]});
    assert_eq!(api.post(&owner, INVITATIONS, &beyond).await.outcome(), "400 invalid_field");
    for bad in [json!({"invitations": []}), body("no address", "viewer"), body("a@b@c", "viewer")] {
        assert_eq!(api.post(&owner, INVITATIONS, &bad).await.outcome(), "400 invalid_field", "{bad}");
    }
    let many = |count: usize| {
        let one = |number| json!({"email": format!("p{number}@company.com"), "role": "viewer"});
        json!({"invitations": (0..count).map(one).collect::<Vec<_>>()})
    };
    assert_eq!(api.post(&owner, INVITATIONS, &many(101)).await.outcome(), "400 invalid_field");
    let bulk = api.post(&owner, INVITATIONS, &many(100)).await;
    assert_eq!(bulk.outcome(), "201", "{}", bulk.text);
    assert!(bulk.json()["data"].as_array().unwrap().iter().all(|one| one["delivered"] == json!(true)));
    assert!(bulk.json()["data"][0].get("link").is_none(), "it went out by letter");
    let sent = letters.take();
    assert_eq!(sent.len(), 100);
    let LetterKind::Invitation { workspace_name, link, .. } = &sent[7].kind else { panic!("another letter") };
    assert_eq!((sent[7].to.as_str(), workspace_name.as_str()), ("p7@company.com", "acme"));

    let place = format!("{INVITATIONS}/{}", bulk.json()["data"][7]["id"].as_str().unwrap());
    let resent = api.post(&owner, &format!("{place}/resend"), &json!({})).await;
    assert_eq!(resent.outcome(), "200", "{}", resent.text);
    let old = json!({"token": link.split_once('#').unwrap().1});
    assert_eq!(api.post(&Who::Anonymous, "/v1/invitations/lookup", &old).await.outcome(), "404 invalid_link");
    assert_eq!(delete(&api, &admin, &place).await.outcome(), "204");
    assert_eq!(delete(&api, &admin, &place).await.outcome(), "404 not_found");
    let sent = letters.take();
    let LetterKind::Invitation { link, .. } = &sent[0].kind else { panic!("another letter") };
    let new = json!({"token": link.split_once('#').unwrap().1});
    assert_eq!(api.post(&Who::Anonymous, "/v1/invitations/lookup", &new).await.outcome(), "404 invalid_link");
    for form in ["kwi_x", "kwr_0", ""] {
        let answer = api.post(&Who::Anonymous, "/v1/invitations/lookup", &json!({"token": form})).await;
        assert_eq!(answer.outcome(), "404 invalid_link", "{form}");
    }
}

#[tokio::test]
async fn an_invitation_ends_after_seven_days_and_with_its_inviter() {
    let api = Api::start().await;
    let (owner, admin) = (api.person("owner").await, api.person("admin").await);
    let by_admin = invite(&api, &admin, "eve@company.com", "admin").await;
    let accept = async |invited: &Value| {
        let body = json!({"token": token(&invited["link"]), "password": PASSWORD});
        api.post(&Who::Anonymous, "/v1/invitations/accept", &body).await.outcome()
    };
    let admin_place = place(&api, &admin).await;
    assert_receipt(&api.patch(&owner, &admin_place, &json!({"role": "viewer"})).await);
    assert_eq!(accept(&by_admin).await, "409 inviter_lost");
    let invited = invite(&api, &owner, "bob@company.com", "member").await;
    api.clock.advance_seconds(7 * 86_400);
    assert_eq!(accept(&invited).await, "404 invalid_link");
    let place = format!("{INVITATIONS}/{}/resend", invited["id"].as_str().unwrap());
    let resent = api.post(&api.operator, &place, &json!({})).await.json();
    api.clock.advance_seconds(7 * 86_400 - 1);
    assert_eq!(accept(&resent).await, "200");
}

#[tokio::test]
async fn a_password_is_changed_forgotten_and_set_by_a_link() {
    let letters = Letters::shared();
    let api = Api::start().await.sending(&letters);
    let email = "ada@example.com";
    let id = api.person_with_password(email, PASSWORD, "admin").await;
    let first = holder(&sign_in(&api, credentials(email, PASSWORD)).await.json()["token"]);
    let second = holder(&sign_in(&api, credentials(email, PASSWORD)).await.json()["token"]);
    let change = async |current: &str, new: &str| {
        let body = json!({"current_password": current, "new_password": new});
        api.call(Method::PUT, &first, "/v1/account/password", Some(&body)).await.outcome()
    };
    assert_eq!(change("wrong", "another good password").await, "401 invalid_sign_in");
    assert_eq!(change(PASSWORD, "short").await, "400 password_refused");
    assert_eq!(change(PASSWORD, "another good password").await, "204");
    assert_eq!(api.get(&first, "/v1/account").await.outcome(), "200", "goes on");
    assert_eq!(api.get(&second, "/v1/account").await.outcome(), "401 invalid_session", "all others end");
    letters.take();

    for address in [email, "nobody@example.com", "nonsense"] {
        let answer = api.post(&Who::Anonymous, "/v1/account/recovery", &json!({"email": address})).await;
        assert_eq!((answer.outcome().as_str(), answer.text.as_str()), ("202", ""), "{address}");
    }
    let mut sent = letters.take();
    while sent.is_empty() {
        tokio::task::yield_now().await;
        sent = letters.take();
    }
    assert_eq!((sent.len(), sent[0].to.as_str()), (1, email));
    let LetterKind::PasswordRecovery { link, .. } = &sent[0].kind else { panic!("another letter") };
    let finish = async |link: &str, password: &str| {
        let body = json!({"token": link.split_once('#').unwrap().1, "password": password});
        api.post(&Who::Anonymous, "/v1/account/recovery/finish", &body).await.outcome()
    };
    assert_eq!(finish(link, "ada@example.com").await, "400 password_refused");
    assert_eq!(finish(link, "a third good password").await, "204");
    assert_eq!(finish(link, "a third good password").await, "404 invalid_link", "once");
    assert_eq!(api.get(&first, "/v1/account").await.outcome(), "401 invalid_session", "all sessions end");
    assert_eq!(sign_in(&api, credentials(email, "a third good password")).await.outcome(), "201");

    // Without letters, the operator hands the link over.
    let quiet = api.silent();
    let made = quiet.post(&quiet.operator, &format!("/v1/users/{id}/recovery"), &json!({})).await;
    assert_eq!((made.outcome().as_str(), &made.json()["delivered"]), ("201", &json!(false)));
    let link = made.json()["link"].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://keys.example/recover#kwr_"));
    quiet.clock.advance_seconds(3_600);
    let body = json!({"token": link.split_once('#').unwrap().1, "password": "a fourth good password"});
    let late = quiet.post(&Who::Anonymous, "/v1/account/recovery/finish", &body).await;
    assert_eq!(late.outcome(), "404 invalid_link", "an hour is over");
    let ada = holder(&sign_in(&quiet, credentials(email, "a third good password")).await.json()["token"]);
    let ended = quiet.post(&quiet.operator, &format!("/v1/users/{id}/end-sessions"), &json!({})).await;
    assert_eq!((ended.outcome().as_str(), &ended.json()["ended"]), ("200", &json!(2)));
    assert_eq!(quiet.get(&ada, "/v1/account").await.outcome(), "401 invalid_session");
}

#[tokio::test]
async fn a_second_factor_is_set_up_asked_for_and_lost() {
    let api = Api::start().await;
    let email = "ada@example.com";
    let id = api.person_with_password(email, PASSWORD, "admin").await;
    let ada = holder(&sign_in(&api, credentials(email, PASSWORD)).await.json()["token"]);
    let begun = api.post(&ada, "/v1/account/totp", &json!({})).await.json();
    let secret = begun["secret"].as_str().unwrap().to_owned();
    assert!(begun["uri"].as_str().unwrap().contains(&secret));
    let confirm = "/v1/account/totp/confirm";
    assert_eq!(api.post(&ada, confirm, &json!({"code": "000000"})).await.outcome(), "401 invalid_code");
    let code = shown_at(&secret, api.clock.now().unix_ms());
    let confirmed = api.post(&ada, confirm, &json!({"code": code})).await;
    assert_eq!(confirmed.outcome(), "200", "{}", confirmed.text);
    let codes = confirmed.json()["recovery_codes"].as_array().unwrap().clone();
    assert_eq!(codes.len(), 10);

    let with = |code: &str| json!({"email": email, "password": PASSWORD, "code": code});
    assert_eq!(sign_in(&api, credentials(email, "wrong wrong wrong")).await.outcome(), "401 invalid_sign_in");
    assert_eq!(sign_in(&api, credentials(email, PASSWORD)).await.outcome(), "401 second_factor_required");
    assert_eq!(sign_in(&api, with(&code)).await.outcome(), "401 invalid_code", "used to confirm");
    api.clock.advance_seconds(30);
    let code = shown_at(&secret, api.clock.now().unix_ms());
    let signed_in = sign_in(&api, with(&code)).await;
    assert_eq!(signed_in.json()["session"]["method"], "password_and_code", "{}", signed_in.text);
    assert_eq!(sign_in(&api, with(&code)).await.outcome(), "401 invalid_code", "no step counts twice");
    let recovery = codes[4].as_str().unwrap();
    assert_eq!(sign_in(&api, with(recovery)).await.outcome(), "201");
    assert_eq!(sign_in(&api, with(recovery)).await.outcome(), "401 invalid_code", "used up");

    // Lost: the operator takes it off.
    let off = format!("/v1/users/{id}/totp");
    assert_eq!(delete(&api, &api.operator, &off).await.outcome(), "204");
    assert_eq!(delete(&api, &api.operator, &off).await.outcome(), "404 not_found");
    assert_eq!(sign_in(&api, credentials(email, PASSWORD)).await.outcome(), "201");
}

#[tokio::test]
async fn dangerous_actions_ask_again_who_it_is() {
    let api = Api::start().await;
    let email = "ada@example.com";
    api.person_with_password(email, PASSWORD, "owner").await;
    let ada = holder(&sign_in(&api, credentials(email, PASSWORD)).await.json()["token"]);
    let bob = api.person("admin").await;
    let bob_id = api.get(&bob, "/v1/account").await.json()["id"].clone();
    let transfer = async || {
        let body = json!({"to": bob_id});
        api.post(&ada, "/v1/workspaces/acme/transfer-ownership", &body).await.outcome()
    };
    let reauthenticate = async |password: &str| {
        api.post(&ada, "/v1/sessions/reauthenticate", &json!({"password": password})).await.outcome()
    };
    api.clock.advance_seconds(600);
    let stale = "403 reauthentication_required";
    assert_eq!(transfer().await, stale);
    assert_eq!(delete(&api, &ada, "/v1/workspaces/acme?confirm=acme").await.outcome(), stale);
    assert_eq!(api.post(&ada, "/v1/account/totp", &json!({})).await.outcome(), stale);
    assert_eq!(delete(&api, &ada, "/v1/account/totp").await.outcome(), stale);
    assert_eq!(delete(&api, &ada, "/v1/me").await.outcome(), stale);
    let to_owner = json!({"role": "owner"});
    let bob_place = format!("{MEMBERS}/{}", bob_id.as_str().unwrap());
    assert_eq!(api.patch(&ada, &bob_place, &to_owner).await.outcome(), stale);
    assert_eq!(api.get(&ada, KEYS).await.outcome(), "200", "everything else goes on");
    assert_eq!(reauthenticate("wrong wrong wrong").await, "401 invalid_sign_in");
    assert_eq!(reauthenticate(PASSWORD).await, "200");
    api.clock.advance_seconds(599);
    assert_eq!(api.post(&ada, "/v1/account/totp", &json!({})).await.outcome(), "200");
    assert_eq!(transfer().await, "200");
    let key = api.owner_key().await;
    let answer = delete(&api, &key, "/v1/workspaces/acme?confirm=acme").await;
    assert_eq!(answer.outcome(), "200", "a key is proof enough");
}

/// What an authenticator with this secret shows: RFC 6238, written anew.
fn shown_at(secret: &str, unix_ms: i64) -> String {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: Vec<String> =
        secret.chars().map(|letter| format!("{:05b}", letters.find(letter).unwrap())).collect();
    let bits = bits.concat();
    let key: Vec<u8> = (0..bits.len() / 8)
        .map(|byte| u8::from_str_radix(&bits[byte * 8..byte * 8 + 8], 2).unwrap())
        .collect();
    let step = u64::try_from(unix_ms / 30_000).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key);
    let hash = hmac::sign(&key, &step.to_be_bytes());
    let offset = usize::from(hash.as_ref()[19] & 15);
    let word = u32::from_be_bytes(hash.as_ref()[offset..offset + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

#[tokio::test]
async fn the_first_owner_has_a_password_if_the_set_up_says_so() {
    let api = Api::bare().await;
    api.state.setup.open("setup-token");
    let set_up = async |password: &str| {
        let workspace =
            json!({"slug": "acme", "owner_email": "owner@example.com", "owner_password": password});
        let body = json!({"token": "setup-token", "workspace": workspace});
        api.post(&Who::Anonymous, "/v1/setup", &body).await.outcome()
    };
    assert_eq!(set_up("owner@example.com").await, "400 password_refused");
    assert_eq!(set_up(PASSWORD).await, "201");
    let signed_in = sign_in(&api, credentials("owner@example.com", PASSWORD)).await;
    let owner = holder(&signed_in.json()["token"]);
    assert_eq!(api.get(&owner, KEYS).await.outcome(), "200");
}
