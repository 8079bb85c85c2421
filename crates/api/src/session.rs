//! Sessions of signed-in people: the token, where a request carries it, and what guards against requests that another site
//! makes a browser send.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use keywright_domain::{account::TokenDigest, entropy::Entropy};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{
    credentials::presented_secret,
    error::{ApiError, ErrorCode},
    token,
    wire::hex,
};

/// What the token of a session begins with.
pub const TOKEN_PREFIX: &str = "kss_";
/// The header that carries the CSRF token with a request whose credential is a cookie.
pub const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");

const NAMES: CookieNames = CookieNames { secure: "__Host-keywright_session", plain: "keywright_session" };

/// The token of a session: 256 random bits. Shown once, kept as a digest only.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionToken(Zeroizing<String>);

impl SessionToken {
    /// A new token.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        Self(token::generate(TOKEN_PREFIX, entropy))
    }

    /// The token with this text; `None` for a text of another form.
    pub fn parse(text: &str) -> Option<Self> {
        token::parse(TOKEN_PREFIX, text).map(Self)
    }

    /// The text, for its owner only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What the store finds the session by.
    pub fn digest(&self) -> TokenDigest {
        token::digest(&self.0)
    }

    /// The CSRF token of the session. Whoever knows it has read an answer to the session's owner, which other sites can
    /// not; it does not tell the session's token.
    pub fn csrf(&self) -> String {
        let hash =
            Sha256::new().chain_update(b"keywright csrf v1\0").chain_update(self.0.as_bytes()).finalize();
        hex(&hash)
    }

    /// Whether `presented` is the session's CSRF token. Compares in constant time.
    pub fn has_csrf(&self, presented: &str) -> bool {
        self.csrf().as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionToken(…)")
    }
}

/// How a request carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// `Authorization: Bearer`: no browser sends it by itself.
    Header,
    /// A cookie: a browser also sends it when another site asks it to.
    Cookie,
}

/// The session that a request carries, if it carries one and no other credential.
///
/// # Errors
/// `invalid_session` for a text that begins like a token and is none.
pub fn presented_session(headers: &HeaderMap) -> Result<Option<(SessionToken, Carrier)>, ApiError> {
    match presented_secret(headers) {
        Ok(secret) if secret.expose().starts_with(TOKEN_PREFIX) => {
            let token = SessionToken::parse(secret.expose()).ok_or(ErrorCode::InvalidSession)?;
            Ok(Some((token, Carrier::Header)))
        }
        Err(crate::credentials::CredentialError::Missing) => {
            Ok(cookie_token(headers).map(|token| (token, Carrier::Cookie)))
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

/// The session token in the request's cookies.
pub fn cookie_token(headers: &HeaderMap) -> Option<SessionToken> {
    [NAMES.secure, NAMES.plain].into_iter().find_map(|name| SessionToken::parse(cookie(headers, name)?))
}

/// The value of the first cookie with this name.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Refuses a request that changes something, whose credential is a cookie, and that does not carry the CSRF token.
///
/// # Errors
/// `csrf_token_required`.
pub fn check_csrf(
    token: &SessionToken,
    carrier: Carrier,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    if carrier == Carrier::Header || method.is_safe() {
        return Ok(());
    }
    let presented = headers.get(X_CSRF_TOKEN).and_then(|value| value.to_str().ok());
    if presented.is_some_and(|presented| token.has_csrf(presented)) {
        return Ok(());
    }
    Err(ErrorCode::CsrfTokenRequired.into())
}

/// Whether cookies may leave the browser by an encrypted connection only: when that is how the installation is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CookieSafety {
    /// `Secure`, and bound to this very host.
    Secure,
    /// Also over plain HTTP, as on one's own machine.
    Plain,
}

impl CookieSafety {
    /// What fits an installation that is reached at `base_url`.
    pub fn of(base_url: &str) -> Self {
        if base_url.starts_with("https://") { Self::Secure } else { Self::Plain }
    }
}

/// The header `Set-Cookie` that begins a session in a browser.
pub fn set_cookie(token: &SessionToken, safety: CookieSafety, max_age_seconds: i64) -> HeaderValue {
    lax_cookie(NAMES, token.expose(), safety, max_age_seconds)
}

/// The header `Set-Cookie` that makes a browser forget a session.
pub fn clear_cookie(safety: CookieSafety) -> HeaderValue {
    lax_cookie(NAMES, "", safety, 0)
}

/// What a cookie is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CookieNames {
    /// Over HTTPS: browsers take one that is so called from no other host.
    pub(crate) secure: &'static str,
    /// Over plain HTTP.
    pub(crate) plain: &'static str,
}

/// The header `Set-Cookie` for one that scripts cannot read, and that comes along when a link leads here from elsewhere.
pub(crate) fn lax_cookie(
    names: CookieNames,
    value: &str,
    safety: CookieSafety,
    max_age_seconds: i64,
) -> HeaderValue {
    let (name, secure) = match safety {
        CookieSafety::Secure => (names.secure, "; Secure"),
        CookieSafety::Plain => (names.plain, ""),
    };
    let text = format!("{name}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut value = HeaderValue::from_str(&text).expect("a cookie of visible characters");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use keywright_testkit::SeededEntropy;

    use super::*;

    fn token() -> SessionToken {
        SessionToken::generate(&SeededEntropy::new(1))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_token_has_one_form() {
        let token = token();
        assert_eq!(SessionToken::parse(token.expose()), Some(token.clone()));
        let text = token.expose();
        for bad in ["", "kss_", &text[1..], &text[..67], &format!("{text}0"), &text.to_uppercase()] {
            assert_eq!(SessionToken::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{token:?}"), "SessionToken(…)");
    }

    #[test]
    fn a_session_comes_in_the_header_or_in_the_cookie() {
        let token = token();
        let bearer = format!("Bearer {}", token.expose());
        let cookie = format!("a=b; keywright_session={}", token.expose());
        let found =
            |pairs: &[(&'static str, &str)]| presented_session(&headers(pairs)).map_err(|error| error.code());
        assert_eq!(found(&[("authorization", &bearer)]), Ok(Some((token.clone(), Carrier::Header))));
        assert_eq!(found(&[("cookie", &cookie)]), Ok(Some((token.clone(), Carrier::Cookie))));
        let secure = cookie.replace("keywright", "__Host-keywright");
        assert_eq!(found(&[("cookie", &secure)]), Ok(Some((token, Carrier::Cookie))));
        assert_eq!(found(&[]), Ok(None));
        assert_eq!(
            found(&[("authorization", "Bearer sk_live_x"), ("cookie", &cookie)]),
            Ok(None),
            "a key is meant"
        );
        assert_eq!(found(&[("authorization", "Bearer kss_x")]), Err(ErrorCode::InvalidSession));
    }

    #[test]
    fn a_cookie_changes_nothing_without_the_csrf_token() {
        let token = token();
        let check = |carrier, method: &Method, csrf: Option<&str>| {
            let pairs: Vec<_> = csrf.map(|value| ("x-csrf-token", value)).into_iter().collect();
            check_csrf(&token, carrier, method, &headers(&pairs)).map_err(|error| error.code())
        };
        assert_eq!(check(Carrier::Cookie, &Method::GET, None), Ok(()));
        assert_eq!(check(Carrier::Header, &Method::POST, None), Ok(()));
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let refused = Err(ErrorCode::CsrfTokenRequired);
            assert_eq!(check(Carrier::Cookie, &method, None), refused);
            assert_eq!(check(Carrier::Cookie, &method, Some("x")), refused);
            assert_eq!(check(Carrier::Cookie, &method, Some(token.expose())), refused);
            assert_eq!(check(Carrier::Cookie, &method, Some(&token.csrf())), Ok(()));
        }
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_of_other_sites() {
        let token = token();
        let text = |safety| set_cookie(&token, safety, 60).to_str().unwrap().replace(token.expose(), "T");
        assert_eq!(
            text(CookieSafety::of("https://keys.example")),
            "__Host-keywright_session=T; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            text(CookieSafety::of("http://127.0.0.1:8080")),
            "keywright_session=T; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
        assert_eq!(
            clear_cookie(CookieSafety::Plain).to_str().unwrap(),
            "keywright_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
    }
}
