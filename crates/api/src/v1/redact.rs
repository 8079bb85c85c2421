//! `POST /v1/redact`

use std::collections::BTreeMap;

use axum::Json;
use keywright_redaction::{Confidence, Finding, Kind, Redactor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caps::REDACT_TEXT_MAX_BYTES,
    edge::StrictJson,
    error::ApiError,
    hot::{Admitted, AnyKey},
    openapi::problems,
};

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RedactedKind {
    /// E-mail addresses.
    Email,
    /// Phone numbers.
    Phone,
    /// Numbers of payment cards.
    Card,
    /// API keys, tokens, private keys, passwords in URLs.
    ApiKey,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RedactedConfidence {
    /// The shape fits and nothing speaks against it.
    #[default]
    Possible,
    /// Shape and surroundings fit.
    Likely,
    /// A checksum is right, or nothing else has this shape.
    Certain,
}

/// A text, and what to look for in it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RedactText)]
pub(crate) struct Request {
    /// The text, at most 48 KiB. It is neither kept nor logged.
    #[schema(
        max_length = 49_152,
        example = "ana@example.com paid with 3782 822463 10005, call (555) 123-4567"
    )]
    text: String,
    /// What to look for; everything unless given.
    #[schema(max_items = 4, example = json!(["email", "phone", "card", "api_key"]))]
    kinds: Option<Vec<RedactedKind>>,
    /// Leave what is less sure than this; `possible` unless given.
    #[schema(example = "possible")]
    least_confidence: Option<RedactedConfidence>,
}

/// Something that was found. Holds no piece of the text.
#[derive(Serialize, ToSchema)]
pub(crate) struct RedactedFinding {
    /// What it is.
    kind: RedactedKind,
    /// Where it begins in the text that was sent, in bytes of UTF-8.
    #[schema(example = 0)]
    start: usize,
    /// Where it ends; not included.
    #[schema(example = 15)]
    end: usize,
    /// How sure that is.
    confidence: RedactedConfidence,
}

/// The text without what was found in it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Redacted {
    /// The text with `[EMAIL_REDACTED]`, `[PHONE_REDACTED]`, `[CARD_REDACTED]` and `[API_KEY_REDACTED]` in the place of what
    /// was found.
    #[schema(example = "[EMAIL_REDACTED] paid with [CARD_REDACTED], call [PHONE_REDACTED]")]
    text: String,
    /// How much was found of each kind; all four are there.
    #[schema(example = json!({"email": 1, "phone": 1, "card": 1, "api_key": 0}))]
    counts: BTreeMap<&'static str, usize>,
    /// What was found, in order.
    findings: Vec<RedactedFinding>,
}

problems! { QuotaExceeded }

/// Redact a text
///
/// Replaces e-mail addresses, phone numbers, payment cards and API keys, by the same rules as `keywright redact` and as in
/// this server's own logs. Any key may call it; a call costs one unit of the key's limits.
#[utoipa::path(
    post, path = "/v1/redact", operation_id = "redact_text", tag = "Redaction",
    request_body(content = Request, example = json!({"text": "ana@example.com, call (555) 123-4567", "kinds": ["email", "phone"]})),
    responses((status = 200, description = "The text without what was found in it.", body = Redacted), Problems),
)]
pub(crate) async fn handler(
    _admitted: Admitted<AnyKey>,
    StrictJson { value: request, .. }: StrictJson<Request>,
) -> Result<Json<Redacted>, ApiError> {
    if request.text.len() > REDACT_TEXT_MAX_BYTES {
        let detail = format!("`text` has more than {REDACT_TEXT_MAX_BYTES} bytes.");
        return Err(ApiError::invalid_field("text", detail));
    }
    let redactor = redactor(request.kinds.as_deref(), request.least_confidence.unwrap_or_default());
    let findings = redactor.findings(&request.text);
    let mut counts: BTreeMap<_, _> = Kind::ALL.into_iter().map(|kind| (kind.name(), 0)).collect();
    for finding in &findings {
        *counts.entry(finding.kind.name()).or_default() += 1;
    }
    Ok(Json(Redacted {
        text: redactor.redact(&request.text).into_owned(),
        counts,
        findings: findings.into_iter().map(RedactedFinding::from).collect(),
    }))
}

fn redactor(kinds: Option<&[RedactedKind]>, least: RedactedConfidence) -> Redactor {
    let least = match least {
        RedactedConfidence::Possible => Confidence::Possible,
        RedactedConfidence::Likely => Confidence::Likely,
        RedactedConfidence::Certain => Confidence::Certain,
    };
    let is_wanted = |kind: Kind| kinds.is_none_or(|kinds| kinds.contains(&kind.into()));
    let unwanted = Kind::ALL.into_iter().filter(|kind| !is_wanted(*kind));
    unwanted.fold(Redactor::new().least(least), Redactor::without)
}

impl From<Kind> for RedactedKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Email => Self::Email,
            Kind::Phone => Self::Phone,
            Kind::Card => Self::Card,
            Kind::ApiKey => Self::ApiKey,
        }
    }
}

impl From<Finding> for RedactedFinding {
    fn from(finding: Finding) -> Self {
        let confidence = match finding.confidence {
            Confidence::Possible => RedactedConfidence::Possible,
            Confidence::Likely => RedactedConfidence::Likely,
            Confidence::Certain => RedactedConfidence::Certain,
        };
        let (start, end) = (finding.range.start, finding.range.end);
        Self { kind: finding.kind.into(), start, end, confidence }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::harness::Api;

    const TEXT: &str = "ana@example.com paid with 3782 822463 10005, call (555) 123-4567";

    #[tokio::test]
    async fn what_is_found_is_replaced_counted_and_located() {
        let api = Api::start().await;
        let (who, _) = api.key_with(&[]).await;
        let answer = api.post(&who, "/v1/redact", &json!({"text": TEXT})).await;
        assert_eq!(answer.outcome(), "200", "{}", answer.text);
        let redacted = answer.json();
        assert_eq!(redacted["text"], "[EMAIL_REDACTED] paid with [CARD_REDACTED], call [PHONE_REDACTED]");
        assert_eq!(redacted["counts"], json!({"email": 1, "phone": 1, "card": 1, "api_key": 0}));
        assert_eq!(
            redacted["findings"][0],
            json!({"kind": "email", "start": 0, "end": 15, "confidence": "certain"})
        );
        assert!(answer.headers.contains_key("x-request-id"));
    }

    #[tokio::test]
    async fn only_what_is_asked_for() {
        let api = Api::start().await;
        let (who, _) = api.key_with(&[]).await;
        let redact = async |body: serde_json::Value| api.post(&who, "/v1/redact", &body).await;
        let emails = redact(json!({"text": TEXT, "kinds": ["email"]})).await.json();
        assert_eq!(emails["text"], TEXT.replace("ana@example.com", "[EMAIL_REDACTED]"));
        assert_eq!(redact(json!({"text": TEXT, "kinds": []})).await.json()["text"], TEXT);
        let unsure = json!({"text": "555-123-4567 5551234567", "least_confidence": "certain"});
        assert_eq!(redact(unsure.clone()).await.json()["text"], unsure["text"]);
        for (body, expected) in [
            (json!({"text": TEXT, "kinds": ["name"]}), "400 invalid_field"),
            (json!({"text": TEXT, "least_confidence": "sure"}), "400 invalid_field"),
            (json!({}), "400 missing_field"),
            (json!({"text": ""}), "200"),
        ] {
            assert_eq!(redact(body.clone()).await.outcome(), expected, "{body}");
        }
    }

    #[tokio::test]
    async fn both_sides_of_the_size() {
        let api = Api::start().await;
        let (who, _) = api.key_with(&[]).await;
        for (bytes, expected) in [
            (REDACT_TEXT_MAX_BYTES, "200"),
            (REDACT_TEXT_MAX_BYTES + 1, "400 invalid_field"),
            (crate::caps::BODY_MAX_BYTES, "413 body_too_large"),
        ] {
            let answer = api.post(&who, "/v1/redact", &json!({"text": "x".repeat(bytes)})).await;
            assert_eq!(answer.outcome(), expected, "{bytes}");
        }
    }
}
