//! What is answered where no endpoint answers.

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::error::{ApiError, ErrorCode};

/// Every error answer is a problem: one that axum or a layer made itself becomes one here.
pub(super) fn ensure_problem(response: Response) -> Response {
    let status = response.status();
    if response.extensions().get::<ApiError>().is_some()
        || is_problem(&response)
        || !(status.is_client_error() || status.is_server_error())
    {
        return response;
    }
    let code = match status {
        StatusCode::NOT_FOUND => ErrorCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ErrorCode::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => ErrorCode::BodyTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ErrorCode::UnsupportedMediaType,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ErrorCode::HeadersTooLarge,
        StatusCode::REQUEST_TIMEOUT => ErrorCode::RequestTimeout,
        _ => return foreign(status),
    };
    let mut error = ApiError::new(code);
    if let Some(methods) = response.headers().get(header::ALLOW) {
        error = error.allow(methods.clone());
    }
    error.into_response()
}

fn is_problem(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/problem+json")
}

/// An endpoint answered with an error that is none of ours: a mistake in the server.
fn foreign(status: StatusCode) -> Response {
    ApiError::internal(format!("an answer {status} without an error code")).into_response()
}
