//! A strict reader of path parameters.

use axum::extract::{FromRequestParts, Path, path::ErrorKind, rejection::PathRejection};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, ErrorCode};

/// The parameters of the path, read as `T`.
pub struct StrictPath<T>(
    /// What the path says.
    pub T,
);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for StrictPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(path_error(rejection)),
        }
    }
}

fn path_error(rejection: PathRejection) -> ApiError {
    let PathRejection::FailedToDeserializePathParams(failure) = rejection else {
        return ApiError::internal("a handler reads path parameters that its route does not have");
    };
    match failure.into_kind() {
        ErrorKind::InvalidUtf8InPathParam { .. } => ErrorCode::InvalidUtf8.into(),
        ErrorKind::ParseErrorAtKey { key, expected_type, .. } => {
            invalid(&key, &format!("expected {expected_type}"))
        }
        ErrorKind::DeserializeError { key, message, .. } => invalid(&key, &message),
        ErrorKind::ParseError { .. } | ErrorKind::ParseErrorAtIndex { .. } | ErrorKind::Message(_) => {
            ErrorCode::InvalidPath.into()
        }
        ErrorKind::WrongNumberOfParameters { .. } | ErrorKind::UnsupportedType { .. } => {
            ApiError::internal("a handler reads path parameters as a type that can not hold them")
        }
        _ => ErrorCode::InvalidPath.into(),
    }
}

fn invalid(name: &str, reason: &str) -> ApiError {
    ApiError::with_detail(ErrorCode::InvalidPath, format!("`{name}` in the path: {reason}."))
        .member("field", name)
}
