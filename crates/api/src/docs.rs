//! `GET /openapi.json`, and `GET /docs`: the same for people.

use axum::{Router, routing::get};
use bytes::Bytes;
use http::{HeaderValue, header};
use utoipa::openapi::OpenApi;

/// The routes of both.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    let json = Bytes::from(serde_json::to_vec(document).expect("the document is JSON"));
    let json_type = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Router::new()
        .route("/openapi.json", get(async move || (json_type, json)))
        .route("/docs", get(async || ""))
}
