//! A provider in memory that says what tests want, signed with its own keys.

use std::sync::Arc;

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::{Network, NetworkError};

pub(crate) const ISSUER: &str = "https://id.example";

/// What it says.
pub(crate) struct Saying {
    /// The claims of the next ID tokens.
    pub(crate) claims: Value,
    /// Which key signs, and is shown.
    pub(crate) key: u8,
    /// Another key that signs, without being shown.
    pub(crate) secret_key: Option<u8>,
    /// Whether it answers at all.
    pub(crate) is_up: bool,
    /// The code that it takes.
    pub(crate) code: String,
    /// How often its keys were asked for.
    pub(crate) asked_for_keys: u32,
    /// The last form that came with a code.
    pub(crate) form: Vec<(String, String)>,
}

/// The provider.
pub(crate) struct FakeProvider(pub(crate) Mutex<Saying>);

impl FakeProvider {
    pub(crate) fn new(claims: Value) -> Arc<Self> {
        let saying = Saying {
            claims,
            key: 1,
            secret_key: None,
            is_up: true,
            code: "good".to_owned(),
            asked_for_keys: 0,
            form: Vec::new(),
        };
        Arc::new(Self(Mutex::new(saying)))
    }

    /// What it says from now on about one claim.
    pub(crate) fn claim(&self, name: &str, value: Value) {
        self.0.lock().claims[name] = value;
    }
}

fn pair(key: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[key; 32]).unwrap()
}

fn token(claims: &Value, key: u8) -> String {
    let head = URL_SAFE_NO_PAD.encode(json!({"alg": "EdDSA", "kid": key.to_string()}).to_string());
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let signature = URL_SAFE_NO_PAD.encode(pair(key).sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

#[async_trait]
impl Network for FakeProvider {
    async fn get(&self, url: &str) -> Result<Vec<u8>, NetworkError> {
        let mut saying = self.0.lock();
        if !saying.is_up {
            return Err(NetworkError("connection refused".to_owned()));
        }
        let answer = match url.strip_prefix(ISSUER) {
            Some("/.well-known/openid-configuration") => json!({
                "issuer": ISSUER, "authorization_endpoint": format!("{ISSUER}/auth"),
                "token_endpoint": format!("{ISSUER}/token"), "jwks_uri": format!("{ISSUER}/keys"),
            }),
            Some("/keys") => {
                saying.asked_for_keys += 1;
                let x = URL_SAFE_NO_PAD.encode(pair(saying.key).public_key());
                json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": saying.key.to_string(), "x": x}]})
            }
            _ => return Err(NetworkError("HTTP status 404".to_owned())),
        };
        Ok(answer.to_string().into_bytes())
    }

    async fn post_form(
        &self,
        url: &str,
        authorization: Option<&str>,
        form: String,
    ) -> Result<(u16, Vec<u8>), NetworkError> {
        let mut saying = self.0.lock();
        assert_eq!(url, format!("{ISSUER}/token"));
        assert!(authorization.is_some_and(|value| value.starts_with("Basic ")));
        saying.form = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
        let code = saying.form.iter().find(|(name, _)| name == "code").map(|(_, value)| value.clone());
        if code != Some(saying.code.clone()) {
            return Ok((400, json!({"error": "invalid_grant"}).to_string().into_bytes()));
        }
        let key = saying.secret_key.unwrap_or(saying.key);
        let answer =
            json!({"access_token": "a", "token_type": "Bearer", "id_token": token(&saying.claims, key)});
        Ok((200, answer.to_string().into_bytes()))
    }
}
