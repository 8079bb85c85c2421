//! A strict reader of query strings.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::serde_text::{Input, data_error};
use crate::{
    credentials::query_carries_credential,
    error::{ApiError, ErrorCode},
};

/// The query string, read as `T`. Mark `T` with `#[serde(deny_unknown_fields)]`; unknown, repeated and unreadable
/// parameters are `invalid_query`.
pub struct StrictQuery<T>(
    /// What the query string says.
    pub T,
);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        if query_carries_credential(query) {
            return Err(ErrorCode::CredentialInUrl.into());
        }
        from_pairs(Input::Query, query).map(Self)
    }
}

/// Reads a query string as `T`, for places without axum.
///
/// # Errors
/// `invalid_query`, `invalid_utf8`.
pub(crate) fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    from_pairs(Input::Query, query)
}

/// Reads `a=1&b=2` as `T`.
pub(super) fn from_pairs<T: DeserializeOwned>(input: Input, text: &str) -> Result<T, ApiError> {
    let is_utf8 =
        text.split(['&', '=']).all(|part| percent_encoding::percent_decode_str(part).decode_utf8().is_ok());
    if !is_utf8 {
        return Err(ErrorCode::InvalidUtf8.into());
    }
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(text.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        data_error(input, &path, &error.inner().to_string())
    })
}
