//! What an ID token claims, and when that is believed (OpenID Connect Core 1.0, section 3.1.3.7).

use std::fmt;

use keywright_domain::time::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::keys::SignatureError;
use crate::caps::{OIDC_CLOCK_SKEW_SECONDS, OIDC_GROUPS_MAX, OIDC_SUBJECT_MAX_CHARS};

/// Why a token is not believed. The texts are for the log: they hold nothing of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    /// Its signature does not count.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// It is no set of claims, or lacks one.
    #[error("a claim is missing or has another form")]
    Claims,
    /// Somebody else made it.
    #[error("the token was made by another issuer")]
    Issuer,
    /// It was made for somebody else.
    #[error("the token was made for another client")]
    Audience,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It is from the future: one of the clocks is wrong.
    #[error("the token is from the future; is the clock right?")]
    Future,
    /// It answers another sign-in.
    #[error("the token answers another sign-in")]
    Nonce,
}

/// What a token must fit.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) groups_claim: &'a str,
    pub(super) now: Timestamp,
}

/// Who signed in, as the provider says.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    /// Who, for this issuer, forever.
    pub(crate) subject: String,
    /// The person's address, if the provider has verified it.
    pub(crate) verified_email: Option<String>,
    /// The person's name.
    pub(crate) name: Option<String>,
    /// The person's groups.
    pub(crate) groups: Vec<String>,
}

/// What it holds is about a person.
impl fmt::Debug for Claims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Claims").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    aud: OneOrMore,
    azp: Option<String>,
    exp: Seconds,
    iat: Seconds,
    nonce: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// Seconds since 1970; some providers write fractions.
#[derive(Clone, Copy, Deserialize)]
#[serde(from = "f64")]
struct Seconds(i64);

impl From<f64> for Seconds {
    #[expect(clippy::cast_possible_truncation, reason = "a time beyond all times is one in the far future")]
    fn from(seconds: f64) -> Self {
        Self(seconds as i64)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// Reads the payload of a token whose signature is good.
///
/// # Errors
/// [`TokenError`] when it is not to be believed.
pub(super) fn read(payload: &[u8], expected: &Expected<'_>) -> Result<Claims, TokenError> {
    let payload: Payload = serde_json::from_slice(payload).map_err(|_| TokenError::Claims)?;
    if payload.iss != expected.issuer {
        return Err(TokenError::Issuer);
    }
    check_audience(&payload, expected.client_id)?;
    let now_seconds = expected.now.unix_ms().div_euclid(1_000);
    if payload.exp.0.saturating_add(OIDC_CLOCK_SKEW_SECONDS) <= now_seconds {
        return Err(TokenError::Expired);
    }
    if payload.iat.0 > now_seconds + OIDC_CLOCK_SKEW_SECONDS {
        return Err(TokenError::Future);
    }
    if payload.nonce.as_deref() != Some(expected.nonce) {
        return Err(TokenError::Nonce);
    }
    if payload.sub.is_empty() || payload.sub.chars().count() > OIDC_SUBJECT_MAX_CHARS {
        return Err(TokenError::Claims);
    }
    Ok(person(payload.sub, &payload.more, expected.groups_claim))
}

fn check_audience(payload: &Payload, client_id: &str) -> Result<(), TokenError> {
    let audience = payload.aud.as_slice();
    let is_for_us = audience.iter().any(|name| name == client_id);
    let is_ours = match &payload.azp {
        Some(party) => party == client_id,
        None => audience.len() == 1,
    };
    if is_for_us && is_ours { Ok(()) } else { Err(TokenError::Audience) }
}

fn person(subject: String, more: &Map<String, Value>, groups_claim: &str) -> Claims {
    let text = |name: &str| more.get(name).and_then(Value::as_str).map(str::to_owned);
    // Some providers write the word.
    let is_verified = match more.get("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(word)) => word == "true",
        _ => false,
    };
    let groups = match more.get(groups_claim) {
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(group)) => vec![group.clone()],
        _ => Vec::new(),
    };
    Claims {
        subject,
        verified_email: text("email").filter(|_| is_verified),
        name: text("name"),
        groups: groups.into_iter().take(OIDC_GROUPS_MAX).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn good() -> Value {
        json!({"iss": "https://id.example", "sub": "7", "aud": "keywright", "exp": NOW + 60, "iat": NOW, "nonce": "n",
               "email": "ada@example.com", "email_verified": true, "name": "Ada", "groups": ["all", 3, "ops"]})
    }

    fn claims(payload: &Value) -> Result<Claims, TokenError> {
        let expected = Expected {
            issuer: "https://id.example",
            client_id: "keywright",
            nonce: "n",
            groups_claim: "groups",
            now: Timestamp::from_unix_ms(NOW * 1_000),
        };
        read(payload.to_string().as_bytes(), &expected)
    }

    fn with(name: &str, value: Value) -> Result<(), TokenError> {
        let mut payload = good();
        payload[name] = value;
        claims(&payload).map(|_| ())
    }

    #[test]
    fn who_it_is() {
        let found = claims(&good()).unwrap();
        assert_eq!((found.subject.as_str(), found.name.as_deref()), ("7", Some("Ada")));
        assert_eq!(found.verified_email.as_deref(), Some("ada@example.com"));
        assert_eq!(found.groups, ["all", "ops"]);
        assert_eq!(format!("{found:?}"), "Claims { .. }");
        let email = |verified: Value| {
            let mut payload = good();
            payload["email_verified"] = verified;
            claims(&payload).unwrap().verified_email.is_some()
        };
        assert!(email(json!("true")) && !email(json!(false)) && !email(json!("yes")) && !email(json!(null)));
        let mut payload = good();
        payload["groups"] = (0..=OIDC_GROUPS_MAX).map(|number| number.to_string()).collect();
        assert_eq!(claims(&payload).unwrap().groups.len(), OIDC_GROUPS_MAX);
        payload["groups"] = json!("one");
        assert_eq!(claims(&payload).unwrap().groups, ["one"]);
    }

    #[test]
    fn whom_it_is_for() {
        assert_eq!(with("iss", json!("https://id.example/")), Err(TokenError::Issuer));
        for (audience, party, expected) in [
            (json!("other"), json!(null), Err(TokenError::Audience)),
            (json!([]), json!(null), Err(TokenError::Audience)),
            (json!(["keywright"]), json!(null), Ok(())),
            (json!(["keywright", "other"]), json!(null), Err(TokenError::Audience)),
            (json!(["keywright", "other"]), json!("keywright"), Ok(())),
            (json!(["keywright", "other"]), json!("other"), Err(TokenError::Audience)),
            (json!(["other"]), json!("keywright"), Err(TokenError::Audience)),
        ] {
            let mut payload = good();
            payload["aud"] = audience.clone();
            payload["azp"] = party;
            assert_eq!(claims(&payload).map(|_| ()), expected, "{audience}");
        }
        assert_eq!(with("nonce", json!("m")), Err(TokenError::Nonce));
        assert_eq!(with("nonce", json!(null)), Err(TokenError::Nonce));
    }

    #[test]
    fn when_it_counts() {
        assert_eq!(with("exp", json!(NOW - OIDC_CLOCK_SKEW_SECONDS + 1)), Ok(()));
        assert_eq!(with("exp", json!(NOW - OIDC_CLOCK_SKEW_SECONDS)), Err(TokenError::Expired));
        assert_eq!(with("iat", json!(NOW + OIDC_CLOCK_SKEW_SECONDS)), Ok(()));
        assert_eq!(with("iat", json!(NOW + OIDC_CLOCK_SKEW_SECONDS + 1)), Err(TokenError::Future));
        assert_eq!(with("exp", json!("soon")), Err(TokenError::Claims));
    }

    #[test]
    fn subjects_have_a_length() {
        assert_eq!(with("sub", json!("x".repeat(OIDC_SUBJECT_MAX_CHARS))), Ok(()));
        assert_eq!(with("sub", json!("x".repeat(OIDC_SUBJECT_MAX_CHARS + 1))), Err(TokenError::Claims));
        assert_eq!(with("sub", json!("")), Err(TokenError::Claims));
    }
}
