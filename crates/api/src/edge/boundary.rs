//! The outermost layer: every request gets an id, every failure becomes a complete answer and one log line.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::{allowance::Allowance, fallback::ensure_problem};
use crate::{
    caps::REQUEST_TIMEOUT,
    credentials::query_carries_credential,
    error::{ApiError, ErrorCode},
    unauthenticated::{LimitLayer, limit},
};

/// What every answer has beside its request id, unless its endpoint says otherwise.
pub(crate) const USUAL_HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("cache-control", "no-store"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("x-frame-options", "DENY"),
];

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Makes the ids of requests, `req_…`: from the clock and the random source in production, counted in tests.
pub type RequestIdSource = Arc<dyn Fn() -> String + Send + Sync>;

/// The id of a request, as endpoints find it in the request's extensions (`Extension<RequestId>`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(
    /// The text, `req_…`.
    pub Arc<str>,
);

/// What the boundary needs to know.
#[derive(Clone)]
pub struct EdgeSettings {
    /// Where the installation is reached, without a slash at the end; begins the `type` of problems. May be empty.
    pub base_url: Arc<str>,
    /// Makes request ids. A client's own `X-Request-Id` is never taken over: ids in the logs are ours.
    pub request_ids: RequestIdSource,
    /// Longest time for a request to be answered, beside its waits for other nodes ([`Allowance`]).
    pub timeout: Duration,
    /// Limits what comes without a credential, and writes limit headers.
    pub limits: Option<Arc<LimitLayer>>,
}

impl EdgeSettings {
    /// The usual settings.
    pub fn new(base_url: &str, request_ids: RequestIdSource) -> Self {
        Self {
            base_url: base_url.trim_end_matches('/').into(),
            request_ids,
            timeout: REQUEST_TIMEOUT,
            limits: None,
        }
    }
}

/// Puts the boundary around all routes of `router`, its fallbacks included. Apply it last.
pub fn guard<S: Clone + Send + Sync + 'static>(router: Router<S>, settings: EdgeSettings) -> Router<S> {
    let router = router.fallback(async || ApiError::new(ErrorCode::NotFound));
    let router = match &settings.limits {
        Some(limits) => router.layer(middleware::from_fn_with_state(Arc::clone(limits), limit)),
        None => router,
    };
    router.layer(middleware::from_fn_with_state(settings, boundary))
}

async fn boundary(State(settings): State<EdgeSettings>, mut request: Request, next: Next) -> Response {
    let id = RequestId((settings.request_ids)().into());
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<axum::extract::MatchedPath>().cloned();
    let response = if request.uri().query().is_some_and(query_carries_credential) {
        ApiError::new(ErrorCode::CredentialInUrl).into_response()
    } else {
        answer(&settings, &method, request, next).await
    };
    let mut response = ensure_problem(response);
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        log(&error, &id, &method, route.as_ref().map_or("none", |route| route.as_str()));
        response = complete(&error, &settings, &id, &response);
    }
    finish_headers(response.headers_mut(), &id);
    response
}

/// The endpoint's answer, or what stands for it when it panics or takes too long.
async fn answer(settings: &EdgeSettings, method: &Method, mut request: Request, next: Next) -> Response {
    let allowance = request.extensions_mut().get_or_insert_default::<Allowance>().clone();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    match within(settings.timeout, &allowance, answer).await {
        Ok(Ok(response)) => response,
        // The panic hook has told the log where; the message may hold anything, so it is not repeated.
        Ok(Err(_panic)) => ApiError::internal("the endpoint panicked").into_response(),
        Err(_) if method.is_safe() => ApiError::new(ErrorCode::RequestTimeout).into_response(),
        // The change may be on its way to the disk: only the client's own look or repetition can tell.
        Err(_) => ApiError::new(ErrorCode::CommitUnknown).retry_after_seconds(1).into_response(),
    }
}

/// The answer, if it comes within `timeout` and the waits that are begun meanwhile.
async fn within<T>(
    timeout: Duration,
    allowance: &Allowance,
    answer: impl Future<Output = T>,
) -> Result<T, tokio::time::error::Elapsed> {
    tokio::pin!(answer);
    let (mut left, mut counted) = (timeout, Duration::ZERO);
    loop {
        match tokio::time::timeout(left, answer.as_mut()).await {
            Err(_) if allowance.total() > counted => {
                left = allowance.total().saturating_sub(counted);
                counted += left;
            }
            outcome => return outcome,
        }
    }
}

/// Renders the error again with what only the boundary knows, and keeps the headers that others added.
fn complete(error: &ApiError, settings: &EdgeSettings, id: &RequestId, first: &Response) -> Response {
    let mut response = error.render(&settings.base_url, Some(&id.0)).map(axum::body::Body::from);
    for (name, value) in first.headers() {
        if !response.headers().contains_key(name) && *name != header::CONTENT_LENGTH {
            response.headers_mut().append(name, value.clone());
        }
    }
    response
}

/// The one log line of a failure. Details stay out: they may quote the client.
fn log(error: &ApiError, id: &RequestId, method: &Method, route: &str) {
    let (code, status, context) = (error.code().slug(), error.status().as_u16(), error.internal_context());
    if status >= 500 {
        tracing::error!(request_id = &*id.0, code, status, %method, route, context, "request failed");
    } else if context.is_some() {
        tracing::info!(request_id = &*id.0, code, status, %method, route, context, "request refused");
    } else {
        tracing::debug!(request_id = &*id.0, code, status, %method, route, "request refused");
    }
}

fn finish_headers(headers: &mut HeaderMap, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        headers.insert(X_REQUEST_ID, value);
    }
    add_usual_headers(headers);
}

/// Adds [`USUAL_HEADERS`], where nothing else was said.
pub(crate) fn add_usual_headers(headers: &mut HeaderMap) {
    for (name, value) in USUAL_HEADERS {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
}
