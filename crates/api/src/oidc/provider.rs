//! The talk with a provider: where it sends people, and who they are when they come back.

use std::sync::{Arc, OnceLock};

use keywright_domain::time::Clock;
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{
    Flow, Network, NetworkError, ProviderSettings,
    discovery::{self, ClientAuthentication, Discovered},
    keys::{Keys, SignatureError},
    token::{self, Claims, Expected, TokenError},
};
use crate::caps::{OIDC_KEYS_PAUSE_SECONDS, OIDC_METADATA_SECONDS};

/// Why somebody who came back from the provider is not signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExchangeError {
    /// The provider does not answer, or not as it should. The text is for the log.
    #[error("the provider cannot be asked: {0}")]
    Unavailable(String),
    /// The provider does not take the code. The text is for the log.
    #[error("the provider refused the code: {0}")]
    Refused(String),
    /// What it says is not to be believed.
    #[error("the provider's token is refused: {0}")]
    Token(#[from] TokenError),
}

impl From<NetworkError> for ExchangeError {
    fn from(error: NetworkError) -> Self {
        Self::Unavailable(error.0)
    }
}

/// The providers of an installation: none, until they are named.
#[derive(Default)]
pub struct Providers(OnceLock<Vec<Provider>>);

impl Providers {
    /// Names the providers, each with the way to it. Only the first call counts.
    pub fn name(&self, providers: Vec<(ProviderSettings, Arc<dyn Network>)>, clock: &Arc<dyn Clock>) {
        let provider = |(settings, network)| Provider {
            settings,
            network,
            clock: Arc::clone(clock),
            known: Mutex::default(),
        };
        self.0.get_or_init(|| providers.into_iter().map(provider).collect());
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &ProviderSettings> {
        self.each().map(|provider| &provider.settings)
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Provider> {
        self.each().find(|provider| provider.settings.name == name)
    }

    fn each(&self) -> impl Iterator<Item = &Provider> {
        self.0.get().into_iter().flatten()
    }
}

/// A provider.
pub(crate) struct Provider {
    settings: ProviderSettings,
    network: Arc<dyn Network>,
    clock: Arc<dyn Clock>,
    known: Mutex<Known>,
}

/// What a provider said about itself, and when.
#[derive(Default)]
struct Known {
    document: Option<(u64, Discovered)>,
    keys: Option<(u64, Keys)>,
}

/// The provider's answer to a code.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// How it refuses one.
#[derive(Deserialize)]
struct Refusal {
    error: String,
}

impl Provider {
    pub(crate) const fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Where to send the browser that begins `flow`; the provider sends it back to `redirect_uri`.
    ///
    /// # Errors
    /// [`ExchangeError::Unavailable`].
    pub(crate) async fn authorization_url(
        &self,
        flow: &Flow,
        redirect_uri: &str,
    ) -> Result<String, ExchangeError> {
        let document = self.document().await?;
        let scopes: Vec<&str> =
            std::iter::once("openid").chain(self.settings.scopes.iter().map(String::as_str)).collect();
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", &flow.state())
            .append_pair("nonce", &flow.nonce())
            .append_pair("code_challenge", &flow.challenge())
            .append_pair("code_challenge_method", "S256")
            .finish();
        let separator = if document.authorization_endpoint.contains('?') { '&' } else { '?' };
        Ok(format!("{}{separator}{query}", document.authorization_endpoint))
    }

    /// Who came back with `code`.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub(crate) async fn exchange(
        &self,
        flow: &Flow,
        code: &str,
        redirect_uri: &str,
    ) -> Result<Claims, ExchangeError> {
        let document = self.document().await?;
        let (authorization, form) = self.code_request(&document, flow, code, redirect_uri);
        let (status, answer) =
            self.network.post_form(&document.token_endpoint, authorization.as_deref(), form).await?;
        if status != 200 {
            let refusal: Result<Refusal, _> = serde_json::from_slice(&answer);
            return Err(match refusal {
                Ok(refusal) if (400..500).contains(&status) => ExchangeError::Refused(refusal.error),
                _ => ExchangeError::Unavailable(format!("HTTP status {status} for a code")),
            });
        }
        let tokens: Tokens = serde_json::from_slice(&answer)
            .map_err(|_| ExchangeError::Unavailable("an answer to a code without an ID token".to_owned()))?;
        let payload = self.open(&document, &tokens.id_token).await?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: &flow.nonce(),
            groups_claim: &self.settings.groups_claim,
            now: self.clock.now(),
        };
        Ok(token::read(&payload, &expected)?)
    }

    fn code_request(
        &self,
        document: &Discovered,
        flow: &Flow,
        code: &str,
        redirect_uri: &str,
    ) -> (Option<String>, String) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};

        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", &flow.verifier());
        let client_id = &self.settings.client_id;
        let Some(secret) = &self.settings.client_secret else {
            form.append_pair("client_id", client_id);
            return (None, form.finish());
        };
        match document.client_authentication() {
            ClientAuthentication::Post => {
                form.append_pair("client_id", client_id).append_pair("client_secret", secret.expose());
                (None, form.finish())
            }
            ClientAuthentication::Basic => {
                // RFC 6749, section 2.3.1: both parts are form-encoded first.
                let encode =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encode(client_id), encode(secret.expose()));
                (Some(format!("Basic {}", STANDARD.encode(pair))), form.finish())
            }
        }
    }

    /// The payload of a token with a good signature. For a key that is not known the provider is asked again, but not often.
    async fn open(&self, document: &Discovered, id_token: &str) -> Result<Vec<u8>, ExchangeError> {
        let keys = self.keys(document, OIDC_METADATA_SECONDS).await?;
        match keys.open(id_token) {
            Err(SignatureError::UnknownKey) => {
                let keys = self.keys(document, OIDC_KEYS_PAUSE_SECONDS).await?;
                keys.open(id_token).map_err(|error| TokenError::from(error).into())
            }
            other => other.map_err(|error| TokenError::from(error).into()),
        }
    }

    async fn document(&self) -> Result<Discovered, ExchangeError> {
        let mut known = self.known.lock().await;
        let now_ns = self.clock.boot_ns();
        if let Some((at_ns, document)) = &known.document
            && !is_older(*at_ns, now_ns, OIDC_METADATA_SECONDS)
        {
            return Ok(document.clone());
        }
        let issuer = &self.settings.issuer;
        let answer = self.network.get(&discovery::address(issuer)).await?;
        let document = Discovered::read(&answer, issuer).map_err(ExchangeError::Unavailable)?;
        known.document = Some((now_ns, document.clone()));
        Ok(document)
    }

    /// The provider's keys, not older than `age_seconds`.
    async fn keys(&self, document: &Discovered, age_seconds: u64) -> Result<Keys, ExchangeError> {
        let mut known = self.known.lock().await;
        let now_ns = self.clock.boot_ns();
        if let Some((at_ns, keys)) = &known.keys
            && !is_older(*at_ns, now_ns, age_seconds)
        {
            return Ok(keys.clone());
        }
        let answer = self.network.get(&document.jwks_uri).await?;
        let keys = Keys::read(&answer).map_err(ExchangeError::Unavailable)?;
        known.keys = Some((now_ns, keys.clone()));
        Ok(keys)
    }
}

fn is_older(at_ns: u64, now_ns: u64, age_seconds: u64) -> bool {
    now_ns.saturating_sub(at_ns) >= age_seconds * 1_000_000_000
}
