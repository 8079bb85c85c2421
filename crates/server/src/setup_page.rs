//! `GET /setup`: the page behind the one-time link that the first start of `serve` prints.
//!
//! The token is in the fragment of the link, which browsers do not send: it reaches no log of any proxy.

use axum::{
    Router,
    response::{Html, IntoResponse},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderName, header};
use sha2::{Digest as _, Sha256};

const PAGE: &str = include_str!("setup_page.html");

/// The page.
pub(crate) fn routes() -> Router {
    let policy = policy();
    Router::new().route(
        "/setup",
        get(async move || {
            let headers: [(HeaderName, String); 5] = [
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::CACHE_CONTROL, "no-store".to_owned()),
                (header::REFERRER_POLICY, "no-referrer".to_owned()),
                (header::X_FRAME_OPTIONS, "DENY".to_owned()),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            ];
            (headers, Html(PAGE)).into_response()
        }),
    )
}

/// Nothing but this page's own script and style may run, and it may talk to its own server only.
fn policy() -> String {
    let hash = |tag: &str| {
        let (_, rest) = PAGE.split_once(&format!("<{tag}>")).expect("the page has one");
        let (text, _) = rest.split_once(&format!("</{tag}>")).expect("and closes it");
        STANDARD.encode(Sha256::digest(text))
    };
    format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style")
    )
}
