//! The cookie that a browser keeps while somebody signs in by a provider.

use http::{HeaderMap, HeaderValue};

use crate::{
    caps::OIDC_FLOW_SECONDS,
    session::{CookieSafety, cookie},
};

const SECURE: &str = "__Host-keywright_oidc";
const PLAIN: &str = "keywright_oidc";

/// The cookie's value in a request.
pub(crate) fn flow_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, SECURE).or_else(|| cookie(headers, PLAIN))
}

/// The header `Set-Cookie` that begins a sign-in.
pub(crate) fn set_flow_cookie(value: &str, safety: CookieSafety) -> HeaderValue {
    header(value, safety, OIDC_FLOW_SECONDS)
}

/// The header `Set-Cookie` that ends one.
pub(crate) fn clear_flow_cookie(safety: CookieSafety) -> HeaderValue {
    header("", safety, 0)
}

/// Lax: the provider's page leads back here, and the browser has to send it then.
fn header(value: &str, safety: CookieSafety, max_age_seconds: i64) -> HeaderValue {
    let (name, secure) = match safety {
        CookieSafety::Secure => (SECURE, "; Secure"),
        CookieSafety::Plain => (PLAIN, ""),
    };
    let text = format!("{name}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::from_str(&text).expect("a cookie of visible characters");
    value.set_sensitive(true);
    value
}
