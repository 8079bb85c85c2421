//! Which key a request carries, if any: `Authorization: Bearer <secret>` or `X-API-Key: <secret>`, never the URL.
//!
//! Everything here is a pure function over borrowed input and allocates nothing, so that the verification path
//! can use it too. Whether the text is a key at all is decided by its parser: quotes and spaces are handed on.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use percent_encoding::percent_decode_str;

use crate::error::{ApiError, ErrorCode};

/// The alternative to `Authorization`.
pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The text that a client presented as its key. Not parsed yet; never printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PresentedSecret<'a>(&'a str);

impl<'a> PresentedSecret<'a> {
    /// The text, for the key's parser only.
    pub const fn expose(self) -> &'a str {
        self.0
    }
}

impl std::fmt::Debug for PresentedSecret<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PresentedSecret(…)")
    }
}

/// Why the credentials of a request cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialError {
    /// Neither header was sent, or `Authorization` has a scheme that has nothing to do with keys.
    Missing,
    /// A key without `Bearer ` in front, or with another word there.
    MissingBearerPrefix,
    /// The header is there, but nothing stands where the key should be.
    Empty,
    /// The header is not text.
    NotText,
    /// The header was sent more than once.
    Duplicate(HeaderKind),
    /// `Authorization` and `X-API-Key` carry different keys.
    Conflicting,
}

/// The two headers that carry a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderKind {
    /// `Authorization`.
    Authorization,
    /// `X-API-Key`.
    ApiKey,
}

impl CredentialError {
    /// The code of the answer.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Missing => ErrorCode::MissingCredentials,
            Self::MissingBearerPrefix => ErrorCode::MissingBearerPrefix,
            Self::Empty | Self::NotText => ErrorCode::MalformedKey,
            Self::Duplicate(_) => ErrorCode::DuplicateHeader,
            Self::Conflicting => ErrorCode::ConflictingCredentials,
        }
    }
}

impl From<CredentialError> for ApiError {
    fn from(error: CredentialError) -> Self {
        let with_detail = |detail: &'static str| Self::with_detail(error.code(), detail);
        match error {
            CredentialError::Empty => {
                with_detail("Invalid API key: the key is empty. Is the variable that should hold it set?")
            }
            CredentialError::NotText => with_detail("Invalid API key: the header is not valid text."),
            CredentialError::Duplicate(HeaderKind::Authorization) => {
                with_detail("The header `authorization` was sent more than once.")
                    .member("header", "authorization")
            }
            CredentialError::Duplicate(HeaderKind::ApiKey) => {
                with_detail("The header `x-api-key` was sent more than once.").member("header", "x-api-key")
            }
            CredentialError::Missing
            | CredentialError::MissingBearerPrefix
            | CredentialError::Conflicting => Self::new(error.code()),
        }
    }
}

/// The key that the headers carry.
///
/// # Errors
/// See [`CredentialError`]; a request without any key is [`CredentialError::Missing`].
#[inline]
pub fn presented_secret(headers: &HeaderMap) -> Result<PresentedSecret<'_>, CredentialError> {
    let authorization = single(headers, &header::AUTHORIZATION, HeaderKind::Authorization)?;
    let api_key = single(headers, &X_API_KEY, HeaderKind::ApiKey)?;
    presented_secret_of(authorization.map(HeaderValue::as_bytes), api_key.map(HeaderValue::as_bytes))
}

/// The key that the two headers carry, each of which was sent at most once.
///
/// # Errors
/// As [`presented_secret`].
#[inline]
pub fn presented_secret_of<'a>(
    authorization: Option<&'a [u8]>,
    api_key: Option<&'a [u8]>,
) -> Result<PresentedSecret<'a>, CredentialError> {
    let bearer = match authorization {
        Some(value) => bearer_token(text(value)?)?,
        None => None,
    };
    let api_key = match api_key {
        Some(value) => Some(non_empty(text(value)?)?),
        None => None,
    };
    match (bearer, api_key) {
        (Some(first), Some(second)) if first != second => Err(CredentialError::Conflicting),
        (Some(secret), _) | (None, Some(secret)) => Ok(secret),
        (None, None) => Err(CredentialError::Missing),
    }
}

/// Whether the query string carries a key: a parameter named like one, or a value that is as long as a whole secret.
/// Locators and hints, which are public and shorter, pass.
pub fn query_carries_credential(query: &str) -> bool {
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        !value.is_empty() && (is_credential_name(name) || looks_like_secret(value))
    })
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    kind: HeaderKind,
) -> Result<Option<&'a HeaderValue>, CredentialError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(CredentialError::Duplicate(kind)),
        (first, None) => Ok(first),
    }
}

fn text(value: &[u8]) -> Result<&str, CredentialError> {
    // Not only ASCII: curly quotes around a key deserve their own hint from the key's parser.
    std::str::from_utf8(value).map_err(|_| CredentialError::NotText)
}

fn non_empty(secret: &str) -> Result<PresentedSecret<'_>, CredentialError> {
    if secret.trim().is_empty() { Err(CredentialError::Empty) } else { Ok(PresentedSecret(secret)) }
}

/// The part after `Bearer `; none for a scheme that is not about keys (RFC 6750, section 3.1).
fn bearer_token(value: &str) -> Result<Option<PresentedSecret<'_>>, CredentialError> {
    const SCHEME: &[u8] = b"Bearer";
    let bytes = value.as_bytes();
    if bytes.len() >= SCHEME.len() && bytes[..SCHEME.len()].eq_ignore_ascii_case(SCHEME) {
        return match value[SCHEME.len()..].strip_prefix(' ') {
            Some(secret) => non_empty(secret).map(Some),
            None if bytes.len() == SCHEME.len() => Err(CredentialError::Empty),
            None => Err(CredentialError::MissingBearerPrefix),
        };
    }
    let scheme = value.split(' ').next().unwrap_or_default();
    let is_other_scheme = value.is_empty()
        || OTHER_SCHEMES.iter().any(|other| scheme.eq_ignore_ascii_case(other) && scheme.len() < value.len());
    if is_other_scheme { Ok(None) } else { Err(CredentialError::MissingBearerPrefix) }
}

/// Schemes of proxies and browsers: what follows them is not a key of ours.
const OTHER_SCHEMES: [&str; 6] = ["Basic", "Digest", "Negotiate", "NTLM", "DPoP", "AWS4-HMAC-SHA256"];

fn is_credential_name(name: &str) -> bool {
    const NAMES: [&[u8]; 7] =
        [b"api_key", b"api-key", b"apikey", b"x-api-key", b"access_token", b"authorization", b"bearer"];
    NAMES.iter().any(|candidate| {
        let mut decoded = percent_decode_str(name);
        candidate.iter().all(|byte| decoded.next().is_some_and(|other| other.eq_ignore_ascii_case(byte)))
            && decoded.next().is_none()
    })
}

fn looks_like_secret(value: &str) -> bool {
    /// Longer than prefix, issuer tag and locator together, shorter than any whole secret.
    const SECRET_MIN_CHARS: usize = 40;
    let begins_like_one = ["sk_live_", "sk_test_", "ok_", "kss_", "kwi_", "kwr_"].iter().any(|prefix| {
        let mut decoded =
            percent_decode_str(value).skip_while(|byte| matches!(byte, b' ' | b'+' | b'"' | b'\''));
        prefix.bytes().all(|byte| decoded.next() == Some(byte))
    });
    begins_like_one
        && percent_decode_str(value)
            .skip_while(|byte| matches!(byte, b' ' | b'+' | b'"' | b'\''))
            .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            .count()
            >= SECRET_MIN_CHARS
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk_live_aB3dE6gH9kLmaB3dE6gH9kLmaB3dE6gH9kLmaB3dE6";

    fn secret(pairs: &[(&str, &str)]) -> Result<String, CredentialError> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        presented_secret(&headers).map(|secret| secret.expose().to_owned())
    }

    fn authorization(value: &str) -> Result<String, CredentialError> {
        secret(&[("authorization", value)])
    }

    #[test]
    fn both_headers_carry_a_key() {
        assert_eq!(authorization(&format!("Bearer {KEY}")), Ok(KEY.into()));
        assert_eq!(authorization(&format!("bEARER {KEY}")), Ok(KEY.into()));
        assert_eq!(secret(&[("x-api-key", KEY)]), Ok(KEY.into()));
        assert_eq!(secret(&[]), Err(CredentialError::Missing));
    }

    #[test]
    fn a_key_needs_bearer_in_front() {
        for value in [
            KEY.to_owned(),
            format!("Token {KEY}"),
            format!("Bearer{KEY}"),
            format!("Bearer: {KEY}"),
            format!("Bearer\t{KEY}"),
            format!("\"Bearer {KEY}\""),
            "Basic".into(),
        ] {
            assert_eq!(authorization(&value), Err(CredentialError::MissingBearerPrefix), "{value}");
        }
    }

    #[test]
    fn other_schemes_are_no_credentials() {
        for value in
            ["", "Basic dXNlcjpwYXNz", "basic dXNlcjpwYXNz", "Negotiate YII", "Digest username=\"a\""]
        {
            assert_eq!(authorization(value), Err(CredentialError::Missing), "{value}");
            assert_eq!(secret(&[("authorization", value), ("x-api-key", KEY)]), Ok(KEY.into()));
        }
    }

    #[test]
    fn an_unset_variable_is_a_malformed_key() {
        for value in ["Bearer", "bearer", "Bearer  ", "Bearer "] {
            assert_eq!(authorization(value), Err(CredentialError::Empty), "{value:?}");
        }
        assert_eq!(secret(&[("x-api-key", "")]), Err(CredentialError::Empty));
        assert_eq!(ApiError::from(CredentialError::Empty).code(), ErrorCode::MalformedKey);
    }

    #[test]
    fn quotes_and_spaces_are_handed_on_for_a_hint() {
        assert_eq!(authorization(&format!("Bearer \"{KEY}\"")), Ok(format!("\"{KEY}\"")));
        assert_eq!(authorization(&format!("Bearer  {KEY}")), Ok(format!(" {KEY}")));
        assert_eq!(authorization("Bearer “sk_live_x”"), Ok("“sk_live_x”".into()));
        assert_eq!(authorization("Bearer ${API_KEY}"), Ok("${API_KEY}".into()));
    }

    #[test]
    fn other_encodings_are_no_text() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_bytes(b"Bearer \xff\xfe").unwrap());
        assert_eq!(presented_secret(&headers), Err(CredentialError::NotText));
    }

    #[test]
    fn a_header_sent_twice_is_refused_even_with_the_same_key() {
        let bearer = format!("Bearer {KEY}");
        assert_eq!(
            secret(&[("authorization", &bearer), ("authorization", &bearer)]),
            Err(CredentialError::Duplicate(HeaderKind::Authorization))
        );
        assert_eq!(
            secret(&[("x-api-key", KEY), ("x-api-key", KEY)]),
            Err(CredentialError::Duplicate(HeaderKind::ApiKey))
        );
    }

    #[test]
    fn two_keys_conflict_and_one_key_twice_does_not() {
        let bearer = format!("Bearer {KEY}");
        assert_eq!(secret(&[("authorization", &bearer), ("x-api-key", KEY)]), Ok(KEY.into()));
        assert_eq!(
            secret(&[("authorization", &bearer), ("x-api-key", "sk_live_other")]),
            Err(CredentialError::Conflicting)
        );
        assert_eq!(ApiError::from(CredentialError::Conflicting).status(), 400);
    }

    #[test]
    fn secrets_are_not_printed() {
        assert!(!format!("{:?}", PresentedSecret(KEY)).contains("aB3"));
    }

    #[test]
    fn keys_in_the_query_are_noticed() {
        for query in [
            format!("api_key={KEY}"),
            "API_KEY=x".into(),
            "limit=1&access_token=abc".into(),
            format!("search={KEY}"),
            format!("search=%22{KEY}%22"),
            format!("q={}", KEY.replace('_', "%5F")),
            "x=ok_aB3dE6gH9kLmaB3dE6gH9kLmaB3dE6gH9kLmaB3dE6".into(),
            format!("a=sk_test_{}", "a".repeat(32)),
        ] {
            assert!(query_carries_credential(&query), "{query}");
        }
        for query in [
            "",
            "limit=10",
            "api_key=",
            "api_key",
            "search=sk_live_aB3dE6gH9kLm",
            "search=sk_live_aB3dE6gH9kLm%E2%80%A6wXyZ",
            "key=k",
        ] {
            assert!(!query_carries_credential(query), "{query}");
        }
        assert!(!query_carries_credential(&format!("a=sk_test_{}", "a".repeat(31))));
    }
}
