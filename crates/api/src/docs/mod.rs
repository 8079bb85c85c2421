//! `GET /openapi.json`, and `GET /docs`: the same for people, one page without scripts and without anything from
//! elsewhere.

mod curl;
mod page;
mod sample;

use std::sync::{Arc, OnceLock};

use axum::{Router, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, header};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi;

pub(crate) use sample::sample;

use crate::error::ApiError;

const STYLE: &str = include_str!("docs.css");
/// Where the examples of `curl` go when the installation does not know its own address.
const LOCAL: &str = "http://127.0.0.1:8080";

/// The document and the page of it.
#[derive(Clone)]
struct Texts {
    json: Bytes,
    html: Bytes,
}

impl Texts {
    fn new(document: &OpenApi, base_url: &str) -> Self {
        let value = serde_json::to_value(document).expect("the document is JSON");
        Self { json: value.to_string().into(), html: page::render(&value, base_url, STYLE).into() }
    }
}

/// Texts that are made when somebody asks for the first of them: most processes are never asked, and a start is faster
/// without.
struct Later {
    document: fn() -> OpenApi,
    base_url: String,
    made: OnceLock<Texts>,
}

impl Later {
    async fn texts(self: Arc<Self>) -> Result<Texts, ApiError> {
        if let Some(made) = self.made.get() {
            return Ok(made.clone());
        }
        let build = move || self.made.get_or_init(|| Texts::new(&(self.document)(), &self.base_url)).clone();
        let made = tokio::task::spawn_blocking(build).await;
        made.map_err(|_| ApiError::internal("the OpenAPI document was not made"))
    }
}

/// The routes of both, of what `document` makes. `base_url` is where the installation is reached; it may be empty.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(
    document: fn() -> OpenApi,
    base_url: &str,
) -> Router<S> {
    let base_url = if base_url.is_empty() { LOCAL } else { base_url }.to_owned();
    let json = Arc::new(Later { document, base_url, made: OnceLock::new() });
    let html = Arc::clone(&json);
    let json_headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    let html_headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300")),
        (header::CONTENT_SECURITY_POLICY, content_security_policy()),
    ];
    Router::new()
        .route("/openapi.json", get(async move || json.texts().await.map(|texts| (json_headers, texts.json))))
        .route("/docs", get(async move || html.texts().await.map(|texts| (html_headers, texts.html))))
}

/// Allows the one style sheet that is inside the page, and nothing else.
fn content_security_policy() -> HeaderValue {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    HeaderValue::try_from(format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ))
    .expect("base64 is visible ASCII")
}

/// What `reference` (`#/components/schemas/Key`) refers to.
fn resolve<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    document.pointer(reference.strip_prefix('#')?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Api, Who};

    #[tokio::test]
    async fn the_page_names_every_operation_and_stands_alone() {
        let api = Api::bare().await;
        let answer = api.get(&Who::Anonymous, "/docs").await;
        assert_eq!(
            (answer.outcome(), &answer.headers["content-type"]),
            ("200".into(), &"text/html; charset=utf-8".parse().unwrap())
        );
        assert!(
            answer.headers["content-security-policy"]
                .to_str()
                .unwrap()
                .starts_with("default-src 'none'; style-src")
        );
        let document = api.get(&Who::Anonymous, "/openapi.json").await.json();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(answer.text.contains(&format!("<section id=\"{id}\"")), "{id}");
                assert!(answer.text.contains(&format!("href=\"#{id}\"")), "{id}");
            }
        }
        for foreign in ["<script", "src=", "@import", "url(", "<link"] {
            assert!(!answer.text.contains(foreign), "{foreign}");
        }
        assert!(answer.text.contains("curl -X POST https://keys.example/v1/workspaces/acme/keys"));
    }

    #[tokio::test]
    async fn links_within_the_page_lead_somewhere() {
        let api = Api::bare().await;
        let page = api.get(&Who::Anonymous, "/docs").await.text;
        for link in page.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "#{id}");
        }
    }

    #[test]
    fn the_document_is_complete() {
        let document = serde_json::to_value(crate::openapi_document()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let at = format!("{method} {path}");
                for text in ["operationId", "summary", "description"] {
                    assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{at}: {text}");
                }
                let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
                let named = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
                assert_eq!(named, path.matches('{').count(), "{at}: parameters of the path");
                assert!(
                    parameters.iter().all(|parameter| parameter["description"].is_string()),
                    "{at}: parameters"
                );
                let responses = operation["responses"].as_object().unwrap();
                let is_good = |status: &String| status.starts_with('2') || status.starts_with('3');
                assert!(responses.keys().any(is_good), "{at}");
                let missing =
                    responses.iter().filter(|(status, _)| status.starts_with('4') || status.starts_with('5'));
                for (status, response) in missing {
                    let examples = &response["content"]["application/problem+json"]["examples"];
                    assert!(
                        examples.as_object().is_some_and(|examples| !examples.is_empty()),
                        "{at} {status}"
                    );
                }
                for (kind, content) in
                    responses.values().filter_map(|response| response["content"].as_object()).flatten()
                {
                    let has_example = !content["example"].is_null() || content["examples"].is_object();
                    assert!(kind != "application/json" || has_example, "{at}: an example of the answer");
                }
            }
        }
    }

    #[test]
    fn references_lead_somewhere() {
        let document = serde_json::to_value(crate::openapi_document()).unwrap();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"").skip(1) {
            let reference = reference.split('"').next().unwrap();
            assert!(resolve(&document, reference).is_some(), "{reference}");
        }
    }
}
