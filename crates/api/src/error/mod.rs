//! The error contract at the edge: what a client sees of a failure, and what only the log sees.
//!
//! [`ErrorCode`] is the one table of codes; [`ApiError`] is one failure; [`pages`] are the pages about the codes.
//! Endpoints map their own error enums to [`ApiError`] in one place per endpoint.

mod code;
pub mod pages;

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value};

pub use code::{Effects, ErrorCode, Retry, Sentence};

/// A failed request: what the client is told, and separately what is logged.
///
/// As a response it is complete but for the request id and the base of `type`, which
/// [`crate::edge`] fills in at the boundary, where it also logs the internal context, once.
#[derive(Clone)]
pub struct ApiError(Box<Failure>);

/// Behind a pointer, so that a `Result` with an error in it stays small.
#[derive(Clone)]
struct Failure {
    code: ErrorCode,
    detail: Cow<'static, str>,
    internal: Option<String>,
    retry_after_seconds: Option<u64>,
    missing_permissions: Vec<String>,
    allow: Option<HeaderValue>,
    members: Map<String, Value>,
}

impl ApiError {
    /// A failure with the code's own text.
    pub fn new(code: ErrorCode) -> Self {
        Self(Box::new(Failure {
            code,
            detail: Cow::Borrowed(code.default_detail()),
            internal: None,
            retry_after_seconds: None,
            missing_permissions: Vec::new(),
            allow: None,
            members: Map::new(),
        }))
    }

    /// A failure with a more precise public text. Never put a secret into it.
    pub fn with_detail(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::new(code);
        error.0.detail = detail.into();
        error
    }

    /// A value of the request's field `path` (`limits[0].window_seconds`) is not allowed.
    pub fn invalid_field(path: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::with_detail(ErrorCode::InvalidField, detail).member("field", path)
    }

    /// Something that must not happen did. `context` is logged, never sent.
    pub fn internal(context: impl Into<String>) -> Self {
        Self::new(ErrorCode::InternalError).context(context)
    }

    /// A permission is missing; `permissions` names all that are.
    pub fn insufficient_permissions(permissions: Vec<String>) -> Self {
        let mut error = Self::new(ErrorCode::InsufficientPermissions);
        error.0.missing_permissions = permissions;
        error
    }

    /// Adds what only the log may see. Never a secret.
    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.0.internal = Some(context.into());
        self
    }

    /// Adds a member to the answer. The members of RFC 9457 and of the contract are not overwritten.
    #[must_use]
    pub fn member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Sends `Retry-After` with this many seconds (at least 1) and the member `retry_after`.
    #[must_use]
    pub fn retry_after_seconds(mut self, seconds: u64) -> Self {
        self.0.retry_after_seconds = Some(seconds.max(1));
        self
    }

    /// Sends `Allow` with this list of methods.
    #[must_use]
    pub fn allow(mut self, methods: HeaderValue) -> Self {
        self.0.allow = Some(methods);
        self
    }

    /// The stable code.
    pub const fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.code.status()
    }

    /// The public text.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What only the log may see.
    pub fn internal_context(&self) -> Option<&str> {
        self.0.internal.as_deref()
    }

    /// The whole answer, for servers without axum. `base_url` has no slash at its end; empty: a relative `type`.
    pub fn render(&self, base_url: &str, request_id: Option<&str>) -> http::Response<Bytes> {
        let body = serde_json::to_vec(&self.problem(base_url, request_id))
            .expect("a problem is made of strings and JSON values only");
        let mut response = http::Response::new(Bytes::from(body));
        *response.status_mut() = self.status();
        self.write_headers(response.headers_mut());
        if let Some(value) = request_id.and_then(|id| HeaderValue::from_str(id).ok()) {
            response.headers_mut().insert("x-request-id", value);
        }
        response
    }

    /// The body of the answer.
    pub fn problem(&self, base_url: &str, request_id: Option<&str>) -> Problem {
        let detail = match self.0.code.sentence() {
            Sentence::Begins(text) if !self.0.detail.starts_with(text) => {
                format!("{text}: {}", self.0.detail)
            }
            _ => self.0.detail.clone().into_owned(),
        };
        let error = match self.0.code.sentence() {
            Sentence::Exact(text) => text.to_owned(),
            Sentence::Detail | Sentence::Begins(_) => detail.clone(),
        };
        Problem {
            r#type: format!("{base_url}/errors/{}", self.0.code.slug()),
            title: self.0.code.title().to_owned(),
            status: self.status().as_u16(),
            detail,
            code: self.0.code.slug().to_owned(),
            error,
            request_id: request_id.map(str::to_owned),
            members: self.extension_members(),
        }
    }

    fn extension_members(&self) -> Map<String, Value> {
        let mut members = self.0.members.clone();
        for reserved in Problem::MEMBERS {
            members.remove(*reserved);
        }
        if !self.0.missing_permissions.is_empty() {
            members.insert("missing_permissions".to_owned(), self.0.missing_permissions.clone().into());
        }
        if let Some(seconds) = self.0.retry_after_seconds {
            members.insert("retry_after".to_owned(), seconds.into());
        }
        members
    }

    fn write_headers(&self, headers: &mut HeaderMap) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.0.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = &self.0.allow {
            headers.insert(header::ALLOW, methods.clone());
        }
    }

    /// The challenge of RFC 6750, section 3.
    fn challenge(&self) -> Option<HeaderValue> {
        match self.0.code {
            ErrorCode::MissingCredentials => Some(HeaderValue::from_static("Bearer realm=\"keywright\"")),
            ErrorCode::InsufficientPermissions => Some(self.scope_challenge()),
            code if code.status() == StatusCode::UNAUTHORIZED => {
                Some(HeaderValue::from_static("Bearer realm=\"keywright\", error=\"invalid_token\""))
            }
            _ => None,
        }
    }

    fn scope_challenge(&self) -> HeaderValue {
        const PLAIN: &str = "Bearer realm=\"keywright\", error=\"insufficient_scope\"";
        let is_scope = |name: &String| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
        };
        if self.0.missing_permissions.is_empty() || !self.0.missing_permissions.iter().all(is_scope) {
            return HeaderValue::from_static(PLAIN);
        }
        HeaderValue::try_from(format!("{PLAIN}, scope=\"{}\"", self.0.missing_permissions.join(" ")))
            .unwrap_or(HeaderValue::from_static(PLAIN))
    }
}

impl std::fmt::Debug for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The detail may quote the client's input, so it stays out of whatever prints this.
        formatter.debug_struct("ApiError").field("code", &self.0.code.slug()).finish_non_exhaustive()
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0.code.slug())
    }
}

impl std::error::Error for ApiError {}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self::new(code)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.render("", None).map(axum::body::Body::from);
        response.extensions_mut().insert(self);
        response
    }
}

/// The body of every error answer: problem details of RFC 9457 with Keywright's own members.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Address of the page about the code.
    pub r#type: String,
    /// Short summary of the code; constant per code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened in this request.
    pub detail: String,
    /// The stable code; decide by this one.
    pub code: String,
    /// One plain sentence, for clients that show a string.
    pub error: String,
    /// Name this to support. Also in `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// More members, depending on the code: `field`, `retry_after`, `missing_permissions`, …
    #[serde(flatten)]
    #[schema(value_type = std::collections::HashMap<String, serde_json::Value>)]
    pub members: Map<String, Value>,
}

impl Problem {
    /// The members that every problem has; extension members never replace them.
    pub const MEMBERS: &'static [&'static str] =
        &["type", "title", "status", "detail", "code", "error", "request_id"];
}

#[cfg(test)]
mod tests;
