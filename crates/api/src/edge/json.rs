//! Strict readers of request bodies: JSON and, for RFC 7662, forms.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, header};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    body::{as_text, read_body, read_body_of, read_body_within},
    serde_text::{Input, data_error},
};
use crate::{
    caps::BODY_MAX_BYTES,
    error::{ApiError, ErrorCode},
};

/// A JSON body, read as `T`. Mark `T` and what is in it with `#[serde(deny_unknown_fields)]`.
pub struct StrictJson<T, const MAX_BYTES: usize = BODY_MAX_BYTES> {
    /// What the body says.
    pub value: T,
    /// The body as it came, for fingerprints. May hold secrets.
    pub raw: Bytes,
}

/// A JSON body that may be left out entirely; then `T` is its default.
pub struct OptionalJson<T> {
    /// What the body says.
    pub value: T,
    /// The body as it came, for fingerprints. May hold secrets.
    pub raw: Bytes,
}

/// A form body (`application/x-www-form-urlencoded`), read as `T`.
pub struct StrictForm<T> {
    /// What the body says.
    pub value: T,
}

impl<S: Send + Sync, T: DeserializeOwned, const MAX_BYTES: usize> FromRequest<S>
    for StrictJson<T, MAX_BYTES>
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let declared = check_json_declared(request.headers());
        let raw = read_body_within(request, MAX_BYTES).await?;
        if raw.is_empty() {
            return Err(empty_body());
        }
        declared?;
        Ok(Self { value: parse_json(&raw)?, raw })
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let declared = check_json_declared(request.headers());
        let raw = read_body(request).await?;
        if raw.is_empty() {
            return Ok(Self { value: T::default(), raw });
        }
        declared?;
        Ok(Self { value: parse_json(&raw)?, raw })
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for StrictForm<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        if !media_type(request.headers())
            .is_some_and(|media| media.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
        {
            return Err(ApiError::with_detail(
                ErrorCode::UnsupportedMediaType,
                "The request body must be sent as `Content-Type: application/x-www-form-urlencoded`.",
            ));
        }
        let raw = read_body(request).await?;
        let pairs = axum::extract::RawForm(raw);
        Ok(Self { value: super::query::from_pairs(Input::Body, as_text(&pairs.0)?)? })
    }
}

/// Reads `body` as `T`, for places without axum.
///
/// # Errors
/// `invalid_utf8`, `invalid_json`, `unknown_field`, `missing_field` or `invalid_field`.
pub(crate) fn parse_json<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    parse_json_borrowed(body)
}

/// Reads `body` as `T`, which may borrow from it.
///
/// # Errors
/// As [`parse_json`].
pub(crate) fn parse_json_borrowed<'body, T: Deserialize<'body>>(body: &'body Bytes) -> Result<T, ApiError> {
    let text = as_text(body)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        json_error(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| json_error("", &error))?;
    // serde also reads the fields of an object from a list, in order: nobody should rely on that order.
    if !text.trim_start().starts_with('{') {
        return Err(data_error(Input::Body, "", "expected an object, found a list"));
    }
    Ok(value)
}

/// The whole JSON body of a request that did not pass through the router. Empty bodies are refused.
///
/// # Errors
/// `unsupported_media_type`, `invalid_json` for an empty body, and those of [`super::read_body`].
pub(crate) async fn read_json_body<B>(headers: &HeaderMap, body: B) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    let declared = check_json_declared(headers);
    let raw = read_body_of(headers, body, BODY_MAX_BYTES).await?;
    if raw.is_empty() {
        return Err(empty_body());
    }
    declared?;
    Ok(raw)
}

fn empty_body() -> ApiError {
    ApiError::with_detail(ErrorCode::InvalidJson, "The request body is empty; a JSON object is needed.")
}

fn json_error(path: &str, error: &serde_json::Error) -> ApiError {
    if error.is_data() {
        return data_error(Input::Body, path, &error.to_string());
    }
    // The text of a syntax error names positions and expectations, never a value.
    ApiError::with_detail(ErrorCode::InvalidJson, format!("The request body is not valid JSON: {error}."))
        .member("line", error.line())
        .member("column", error.column())
}

fn check_json_declared(headers: &HeaderMap) -> Result<(), ApiError> {
    let encoded = headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity");
    let is_json = media_type(headers).is_some_and(|media| {
        media.eq_ignore_ascii_case("application/json")
            || media.eq_ignore_ascii_case("application/merge-patch+json")
    });
    if is_json && is_utf8(headers) && !encoded { Ok(()) } else { Err(ErrorCode::UnsupportedMediaType.into()) }
}

/// The media type, if the header is there exactly once.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok()?.split(';').next().map(str::trim)
}

fn is_utf8(headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').skip(1).all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    })
}
