//! Signing in by a provider in memory, over the real router.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, header};
use keywright_domain::time::Clock as _;
use serde_json::{Value, json};

use crate::{
    caps,
    harness::{Answer, Api, Who},
    oidc::{
        Network, ProviderSettings,
        fake_provider::{FakeProvider, ISSUER},
        settings_for_tests,
    },
};

const BEGIN: &str = "/v1/sign-in/oidc/corp";

struct Scene {
    api: Api,
    provider: Arc<FakeProvider>,
}

/// What a browser knows after the redirect.
struct Begun {
    cookie: String,
    state: String,
    nonce: String,
}

impl Scene {
    async fn start() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut ProviderSettings)) -> Self {
        let api = Api::start().await;
        let mut settings = settings_for_tests(ISSUER);
        change(&mut settings);
        let now = api.clock.now().unix_ms() / 1_000;
        let provider = FakeProvider::new(json!({
            "iss": ISSUER, "sub": "Ada-7", "aud": "keywright", "iat": now, "exp": now + 60, "nonce": "",
            "email": "ada@example.com", "email_verified": true, "name": "Ada", "groups": ["all"],
        }));
        let network = Arc::clone(&provider) as Arc<dyn Network>;
        api.state.providers.name(vec![(settings, network)], &api.state.clock);
        Self { api, provider }
    }

    async fn begin(&self) -> Begun {
        let answer = self.api.get(&Who::Anonymous, BEGIN).await;
        assert_eq!(answer.outcome(), "303", "{}", answer.text);
        let location = answer.headers[header::LOCATION].to_str().unwrap();
        let (address, query) = location.split_once('?').unwrap();
        assert_eq!(address, format!("{ISSUER}/auth"));
        let value = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(known, _)| known == name).unwrap().1.into_owned()
        };
        assert_eq!(
            (value("code_challenge_method").as_str(), value("scope").as_str()),
            ("S256", "openid email profile")
        );
        let cookie = set_cookies(&answer.headers).remove(0);
        assert!(
            cookie.starts_with("__Host-keywright_oidc=") && cookie.contains("; HttpOnly; SameSite=Lax"),
            "{cookie}"
        );
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Begun { cookie, state: value("state"), nonce: value("nonce") }
    }

    async fn come_back(&self, cookie: &str, query: &str, accept: &'static str) -> Answer {
        self.get(&format!("{BEGIN}/callback?{query}"), cookie, accept).await
    }

    async fn get(&self, path: &str, cookie: &str, accept: &'static str) -> Answer {
        let mut request = Api::request(Method::GET, &Who::Anonymous, path, Body::empty());
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static(accept));
        self.api.send(request).await
    }

    /// The whole way, with what the provider says now.
    async fn sign_in(&self) -> Answer {
        let begun = self.begin().await;
        self.provider.claim("nonce", json!(begun.nonce));
        self.finish(&begun).await
    }

    async fn finish(&self, begun: &Begun) -> Answer {
        let query = format!("code=good&state={}&session_state=x", begun.state);
        self.come_back(&begun.cookie, &query, "application/json").await
    }

    async fn roles(&self, answer: &Answer) -> Vec<String> {
        assert_eq!(answer.outcome(), "303", "{}", answer.text);
        let cookie = set_cookies(&answer.headers).remove(0);
        let cookie = cookie.split(';').next().unwrap();
        let account = self.get("/v1/account", cookie, "application/json").await;
        assert_eq!(account.outcome(), "200", "{}", account.text);
        let account = account.json();
        let memberships = account["memberships"].as_array().unwrap();
        memberships.iter().map(|one| one["role"].as_str().unwrap().to_owned()).collect()
    }
}

fn set_cookies(headers: &HeaderMap) -> Vec<String> {
    headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn groups_give_and_take() {
    let scene = Scene::start().await;
    let answer = scene.sign_in().await;
    assert_eq!(answer.headers[header::LOCATION], "/account");
    assert!(set_cookies(&answer.headers)[1].contains("keywright_oidc=; Path=/; Max-Age=0"));
    assert_eq!(scene.roles(&answer).await, ["viewer"]);
    let form = &scene.provider.0.lock().form.clone();
    let redirect = ("redirect_uri".to_owned(), format!("https://keys.example{BEGIN}/callback"));
    assert!(
        form.contains(&redirect)
            && form.iter().any(|(name, value)| name == "code_verifier" && value.len() == 43)
    );
    scene.provider.claim("groups", json!(["admins", "all"]));
    assert_eq!(scene.roles(&scene.sign_in().await).await, ["admin"]);
    scene.provider.claim("groups", json!([]));
    assert!(scene.roles(&scene.sign_in().await).await.is_empty());
    // Whoever is known stays known, whatever becomes of the address.
    scene.provider.claim("email", json!("ada.lovelace@example.com"));
    assert!(scene.roles(&scene.sign_in().await).await.is_empty());
}

#[tokio::test]
async fn the_last_owner_stays() {
    let scene = Scene::start().await;
    scene.provider.claim("email", json!("Owner@example.com"));
    scene.provider.claim("groups", json!([]));
    assert_eq!(scene.roles(&scene.sign_in().await).await, ["owner"]);
}

#[tokio::test]
async fn tokens_that_are_not_believed() {
    let scene = Scene::start().await;
    let now = scene.api.clock.now().unix_ms() / 1_000;
    for (claim, value) in [
        ("nonce", json!("another")),
        ("exp", json!(now - 61)),
        ("iat", json!(now + 61)),
        ("aud", json!("other")),
        ("iss", json!("https://evil.example")),
        ("sub", json!("")),
    ] {
        let begun = scene.begin().await;
        scene.provider.claim("nonce", json!(begun.nonce));
        let before = std::mem::replace(&mut scene.provider.0.lock().claims[claim], value);
        assert_eq!(scene.finish(&begun).await.outcome(), "403 identity_not_trusted", "{claim}");
        scene.provider.claim(claim, before);
    }
    let begun = scene.begin().await;
    let query = format!("code=good&state={}&iss=https://evil.example", begun.state);
    let answer = scene.come_back(&begun.cookie, &query, "application/json").await;
    assert_eq!(answer.outcome(), "403 identity_not_trusted", "RFC 9207");
    assert_eq!(scene.sign_in().await.outcome(), "303");
}

#[tokio::test]
async fn keys_change_and_forged_ones_do_not_make_us_ask_often() {
    let scene = Scene::start().await;
    let asked = || scene.provider.0.lock().asked_for_keys;
    assert_eq!(scene.sign_in().await.outcome(), "303");
    assert_eq!(asked(), 1);
    scene.api.clock.advance_seconds(caps::OIDC_KEYS_PAUSE_SECONDS);
    scene.provider.0.lock().key = 2;
    assert_eq!(scene.sign_in().await.outcome(), "303", "the new key is fetched");
    assert_eq!(asked(), 2);
    scene.provider.0.lock().secret_key = Some(3);
    for _ in 0..3 {
        assert_eq!(scene.sign_in().await.outcome(), "403 identity_not_trusted");
    }
    assert_eq!(asked(), 2, "not more often than allowed");
    scene.api.clock.advance_seconds(caps::OIDC_KEYS_PAUSE_SECONDS);
    assert_eq!(scene.sign_in().await.outcome(), "403 identity_not_trusted");
    assert_eq!(asked(), 3);
}

#[tokio::test]
async fn an_answer_counts_once_in_one_browser_for_a_while() {
    let scene = Scene::start().await;
    let begun = scene.begin().await;
    scene.provider.claim("nonce", json!(begun.nonce));
    let other =
        Begun { cookie: scene.begin().await.cookie, state: begun.state.clone(), nonce: String::new() };
    assert_eq!(scene.finish(&other).await.outcome(), "400 sign_in_not_begun");
    let nobody = Begun { cookie: "a=b".to_owned(), state: begun.state.clone(), nonce: String::new() };
    assert_eq!(scene.finish(&nobody).await.outcome(), "400 sign_in_not_begun");
    assert_eq!(scene.finish(&begun).await.outcome(), "303");
    assert_eq!(scene.finish(&begun).await.outcome(), "400 sign_in_not_begun", "a replay");
    let late = scene.begin().await;
    scene.api.clock.advance_seconds(u64::try_from(caps::OIDC_FLOW_SECONDS).unwrap());
    assert_eq!(scene.finish(&late).await.outcome(), "400 sign_in_not_begun");
}

#[tokio::test]
async fn people_who_are_left_out() {
    let scene = Scene::start().await;
    for (claim, value) in
        [("email_verified", json!(false)), ("email", json!("ada@elsewhere.example")), ("email", Value::Null)]
    {
        let before = scene.provider.0.lock().claims[claim].clone();
        scene.provider.claim(claim, value);
        assert_eq!(scene.sign_in().await.outcome(), "403 identity_not_admitted", "{claim}");
        scene.provider.claim(claim, before);
    }
    let strict = Scene::with(|settings| settings.unknown_people = crate::oidc::UnknownPeople::Refuse).await;
    assert_eq!(strict.sign_in().await.outcome(), "403 identity_not_admitted");
    strict.provider.claim("email", json!("owner@example.com"));
    strict.provider.claim("groups", json!(["admins"]));
    assert_eq!(strict.sign_in().await.outcome(), "303", "known by the address");
    let open = Scene::with(|settings| settings.email_domains.clear()).await;
    open.provider.claim("email", json!("owner@example.com"));
    assert_eq!(
        open.sign_in().await.outcome(),
        "403 identity_not_admitted",
        "it does not speak for the domain"
    );
    open.provider.claim("email", json!("eve@elsewhere.example"));
    assert_eq!(open.sign_in().await.outcome(), "303");
}

#[tokio::test]
async fn a_provider_that_refuses_or_is_away() {
    let scene = Scene::start().await;
    let begun = scene.begin().await;
    let refused = format!("error=access_denied&state={}", begun.state);
    let answer = scene.come_back(&begun.cookie, &refused, "text/html,*/*").await;
    assert_eq!(answer.outcome(), "303");
    assert_eq!(answer.headers[header::LOCATION], "/sign-in?problem=identity_provider_refused");
    let begun = scene.begin().await;
    let answer = scene.come_back(&begun.cookie, &format!("code=bad&state={}", begun.state), "*/*").await;
    assert_eq!(answer.outcome(), "403 identity_provider_refused");
    let away = Scene::start().await;
    away.provider.0.lock().is_up = false;
    assert_eq!(away.api.get(&Who::Anonymous, BEGIN).await.outcome(), "503 identity_provider_unavailable");
    let unknown = away.api.get(&Who::Anonymous, "/v1/sign-in/oidc/other").await;
    assert_eq!(unknown.outcome(), "404 not_found");
}

#[tokio::test]
async fn providers_are_listed() {
    let scene = Scene::start().await;
    let listed = scene.api.get(&Who::Anonymous, "/v1/sign-in/oidc").await;
    insta::assert_json_snapshot!(listed.json(), @r#"
    {
      "data": [
        {
          "name": "corp",
          "title": "Corp",
          "url": "/v1/sign-in/oidc/corp"
        }
      ]
    }
    "#);
    assert!(Api::start().await.get(&Who::Anonymous, "/v1/sign-in/oidc").await.text.contains("[]"));
}
