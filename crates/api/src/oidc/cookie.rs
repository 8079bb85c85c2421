//! The cookie that a browser keeps while somebody signs in by a provider.

use http::{HeaderMap, HeaderValue};

use crate::{
    caps::OIDC_FLOW_SECONDS,
    session::{CookieNames, CookieSafety, cookie, lax_cookie},
};

const NAMES: CookieNames = CookieNames { secure: "__Host-keywright_oidc", plain: "keywright_oidc" };

/// The cookie's value in a request.
pub(crate) fn flow_cookie(headers: &HeaderMap) -> Option<&str> {
    cookie(headers, NAMES.secure).or_else(|| cookie(headers, NAMES.plain))
}

/// The header `Set-Cookie` that begins a sign-in.
pub(crate) fn set_flow_cookie(value: &str, safety: CookieSafety) -> HeaderValue {
    // Lax: the provider's page leads back here, and the browser has to send it then.
    lax_cookie(NAMES, value, safety, OIDC_FLOW_SECONDS)
}

/// The header `Set-Cookie` that ends one.
pub(crate) fn clear_flow_cookie(safety: CookieSafety) -> HeaderValue {
    lax_cookie(NAMES, "", safety, 0)
}
