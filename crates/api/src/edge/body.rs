//! Reading a request body within its limits of size and time.

use axum::extract::Request;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::{
    caps::{BODY_MAX_BYTES, BODY_TIMEOUT},
    error::{ApiError, ErrorCode},
};

/// The whole body, within the usual limits.
///
/// # Errors
/// As [`read_body_within`].
pub async fn read_body(request: Request) -> Result<Bytes, ApiError> {
    read_body_within(request, BODY_MAX_BYTES).await
}

/// The whole body, at most `max_bytes` of it.
///
/// # Errors
/// `body_too_large` before reading what is announced as too long, or while reading; `request_timeout` when it does
/// not arrive in time; `invalid_json` when it breaks off.
pub async fn read_body_within(request: Request, max_bytes: usize) -> Result<Bytes, ApiError> {
    let (parts, body) = request.into_parts();
    read_body_of(&parts.headers, body, max_bytes).await
}

/// The whole of a body of any kind, at most `max_bytes` of it.
///
/// # Errors
/// As [`read_body_within`].
pub(crate) async fn read_body_of<B>(headers: &HeaderMap, body: B, max_bytes: usize) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<axum::BoxError>,
{
    if announced_bytes(headers).is_some_and(|bytes| bytes > max_bytes as u64) {
        return Err(too_large(max_bytes));
    }
    let body = Limited::new(body, max_bytes).collect();
    match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if is_too_long(&*error) => Err(too_large(max_bytes)),
        Ok(Err(_)) => Err(ApiError::with_detail(ErrorCode::InvalidJson, "The request body broke off.")),
        Err(_) => {
            Err(ApiError::with_detail(ErrorCode::RequestTimeout, "The request body did not arrive in time."))
        }
    }
}

/// The body as text.
pub(super) fn as_text(body: &Bytes) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|error| {
        ApiError::with_detail(ErrorCode::InvalidUtf8, "The request body is not valid UTF-8.")
            .member("offset", error.valid_up_to())
    })
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(max_bytes: usize) -> ApiError {
    ApiError::with_detail(
        ErrorCode::BodyTooLarge,
        format!("The request body is larger than {max_bytes} bytes."),
    )
    .member("limit_bytes", max_bytes)
}

/// A limit set further out arrives wrapped.
fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source())
        .any(<dyn std::error::Error>::is::<LengthLimitError>)
}
