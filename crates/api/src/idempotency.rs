//! `Idempotency-Key`: reading the header, and telling whether two requests are the same.

use http::{HeaderMap, HeaderName, Method};
use sha2::{Digest, Sha256};

use crate::{
    caps::IDEMPOTENCY_KEY_MAX_BYTES,
    error::{ApiError, ErrorCode},
};

/// The header's name.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A client's name for one operation: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The text of the header, if it was sent.
    ///
    /// # Errors
    /// `duplicate_header` when it was sent twice, `invalid_idempotency_key` when it is empty, too long, or has
    /// other characters than visible ASCII.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, ApiError> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(ApiError::with_detail(
                ErrorCode::DuplicateHeader,
                "The header `idempotency-key` was sent more than once.",
            )
            .member("header", "idempotency-key"));
        }
        let bytes = value.as_bytes();
        if bytes.is_empty()
            || bytes.len() > IDEMPOTENCY_KEY_MAX_BYTES
            || !bytes.iter().all(u8::is_ascii_graphic)
        {
            return Err(ApiError::new(ErrorCode::InvalidIdempotencyKey));
        }
        Ok(Some(Self(bytes.iter().copied().map(char::from).collect())))
    }

    /// The text of the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-256 over method, path, actor and body: equal for a repeated request, different for any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestFingerprint([u8; 32]);

impl RequestFingerprint {
    /// The fingerprint of a request. `actor` is the id of who sent it; `path` is without the query.
    pub fn of(method: &Method, path: &str, actor: &str, body: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        for part in [method.as_str().as_bytes(), path.as_bytes(), actor.as_bytes(), body] {
            // The length in front keeps the parts apart: ("a", "bc") differs from ("ab", "c").
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn parse(values: &[&[u8]]) -> Result<Option<String>, ErrorCode> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IDEMPOTENCY_KEY, HeaderValue::from_bytes(value).unwrap());
        }
        IdempotencyKey::from_headers(&headers).map(|key| key.map(|key| key.0)).map_err(|error| error.code())
    }

    #[test]
    fn length_is_limited_on_both_sides() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[b""]), Err(ErrorCode::InvalidIdempotencyKey));
        assert_eq!(parse(&[b"a"]), Ok(Some("a".into())));
        assert_eq!(parse(&[&[b'a'; 255]]), Ok(Some("a".repeat(255))));
        assert_eq!(parse(&[&[b'a'; 256]]), Err(ErrorCode::InvalidIdempotencyKey));
    }

    #[test]
    fn only_visible_ascii_once() {
        assert_eq!(parse(&[b"!~"]), Ok(Some("!~".into())));
        for refused in [&b"a b"[..], b"a\tb", "ä".as_bytes(), b"\xff"] {
            assert_eq!(parse(&[refused]), Err(ErrorCode::InvalidIdempotencyKey), "{refused:?}");
        }
        assert_eq!(parse(&[b"a", b"a"]), Err(ErrorCode::DuplicateHeader));
    }

    #[test]
    fn fingerprints_differ_in_every_part() {
        let base = RequestFingerprint::of(&Method::POST, "/v1/a", "key_1", b"{}");
        assert_eq!(base, RequestFingerprint::of(&Method::POST, "/v1/a", "key_1", b"{}"));
        for other in [
            RequestFingerprint::of(&Method::PUT, "/v1/a", "key_1", b"{}"),
            RequestFingerprint::of(&Method::POST, "/v1/b", "key_1", b"{}"),
            RequestFingerprint::of(&Method::POST, "/v1/a", "key_2", b"{}"),
            RequestFingerprint::of(&Method::POST, "/v1/a", "key_1", b"{ }"),
            RequestFingerprint::of(&Method::POST, "/v1/ak", "ey_1", b"{}"),
        ] {
            assert_ne!(base, other);
        }
    }
}
