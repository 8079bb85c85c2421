//! Requests without a credential are limited by the address they come from.
//!
//! A request counts when it presents no credential, or when no endpoint asks for one where it goes: documents, error pages,
//! the set-up, a path that does not exist. A credential that is refused is told why, however often; whoever tries unknown
//! keys is slowed down by [`crate::throttle`]. `/v1/check` and `POST /v1/keys/verify` do not count: proxies ask there for
//! all of their clients at once, and an answer from memory costs less than the counting. Health questions never come here.

use std::{
    collections::HashSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, header};
use keywright_domain::time::Clock;
use utoipa::openapi::{OpenApi, security::SecurityRequirement};

use crate::{
    address_limit::{AddressLimit, Taken},
    client_address::TrustedProxies,
    credentials::X_API_KEY,
    error::{ApiError, ErrorCode},
    limit_note::{LimitNote, write_address_limits},
    openapi::operations_mut,
    state::AppState,
};

/// In the extensions of an answer: the request had a proof of its own, such as the signature of a link that was handed out
/// to a key, so it does not count as unauthenticated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SelfProved;

/// Paths of questions that proxies and backends ask for others.
const ASKED_FOR_OTHERS: [&str; 2] = [crate::hot::CHECK_PATH, crate::hot::VERIFY_PATH];

/// What the layer around all routes needs.
pub struct LimitLayer {
    limit: Arc<AddressLimit>,
    clock: Arc<dyn Clock>,
    proxies: TrustedProxies,
    /// `METHOD /path` of the operations that ask for a credential.
    authenticated: HashSet<String>,
}

impl LimitLayer {
    /// The layer for the operations of `document`.
    pub(crate) fn new(state: &AppState, document: &OpenApi) -> Self {
        Self {
            limit: Arc::clone(&state.address_limit),
            clock: Arc::clone(&state.clock),
            proxies: state.config.trusted_proxies.clone(),
            authenticated: authenticated_operations(document),
        }
    }

    fn counts(&self, request: &Request) -> bool {
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        if self.limit.is_off() || path.is_some_and(|path| ASKED_FOR_OTHERS.contains(&path)) {
            return false;
        }
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let is_asked = path.is_some_and(|path| self.authenticated.contains(&format!("{method} {path}")));
        !is_asked || !presents_credential(request.headers())
    }

    fn address(&self, request: &Request) -> Option<IpAddr> {
        let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
        Some(self.proxies.client_address(peer.ip(), request.headers()))
    }

    fn now_ms(&self) -> u64 {
        self.clock.boot_ns() / 1_000_000
    }
}

fn authenticated_operations(document: &OpenApi) -> HashSet<String> {
    let is_public = |needed: &[SecurityRequirement]| {
        needed.iter().all(|requirement| *requirement == SecurityRequirement::default())
    };
    let mut operations = HashSet::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations_mut(&mut item.clone()) {
            if !operation.security.as_deref().is_some_and(is_public) {
                operations.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    operations
}

/// The name of the cookie of a session, whatever stands before it.
const SESSION_COOKIE: &str = "keywright_session=";

fn presents_credential(headers: &HeaderMap) -> bool {
    let is_session = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(SESSION_COOKIE));
    headers.contains_key(header::AUTHORIZATION)
        || headers.contains_key(X_API_KEY)
        || headers.get_all(header::COOKIE).iter().any(is_session)
}

/// Counts unauthenticated requests, refuses those beyond the limit, and writes the limit headers of every answer.
pub(crate) async fn limit(
    State(layer): State<Arc<LimitLayer>>,
    mut request: Request,
    next: Next,
) -> Response {
    let note = LimitNote::default();
    request.extensions_mut().insert(note.clone());
    let address = layer.address(&request).filter(|_| layer.counts(&request));
    let Some(address) = address else {
        let mut response = next.run(request).await;
        note.write(response.headers_mut());
        return response;
    };
    let taken = layer.limit.take(address, layer.now_ms());
    let mut response = match taken.retry_after_seconds {
        Some(seconds) => refusal(seconds).into_response(),
        None => next.run(request).await,
    };
    if response.extensions_mut().remove::<SelfProved>().is_some() {
        layer.limit.give_back(address, layer.now_ms());
    } else {
        let Taken { readings, .. } = taken;
        write_address_limits(response.headers_mut(), &readings, layer.clock.now());
    }
    response
}

fn refusal(retry_after_seconds: u64) -> ApiError {
    let detail = "Rate limit exceeded: too many requests without an API key came from this address. \
                  Wait as long as `Retry-After` says, or send a key.";
    ApiError::with_detail(ErrorCode::RateLimited, detail).retry_after_seconds(retry_after_seconds)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::json;

    use super::*;
    use crate::harness::{Answer, Api, Who};

    fn number(answer: &Answer, name: &str) -> u64 {
        answer.headers[name].to_str().unwrap().parse().unwrap()
    }

    #[tokio::test]
    async fn requests_without_a_key_are_limited_by_address() {
        let api = Api::start().await;
        // The set-up was one.
        let first = api.get(&Who::Anonymous, "/v1/workspaces/acme/keys").await;
        assert_eq!(first.outcome(), "401 missing_credentials");
        assert_eq!((number(&first, "x-ratelimit-limit"), number(&first, "x-ratelimit-remaining")), (100, 98));
        let reset = number(&first, "x-ratelimit-reset");
        let now = u64::try_from(api.clock.now().unix_seconds()).unwrap();
        assert!((now..=now + 60).contains(&reset), "{reset} {now}");
        assert!(first.headers["ratelimit"].to_str().unwrap().contains(r#""hour";r=998;"#));
        assert_eq!(first.headers["ratelimit-policy"], r#""minute";q=100;w=60, "hour";q=1000;w=3600"#);
        for path in
            ["/openapi.json", "/errors/not_found", "/no/such/path", "/docs"].into_iter().cycle().take(98)
        {
            assert_ne!(api.get(&Who::Anonymous, path).await.status.as_u16(), 429);
        }
        let refused = api.get(&Who::Anonymous, "/openapi.json").await;
        assert_eq!(refused.outcome(), "429 rate_limited");
        let wait = number(&refused, "retry-after");
        assert!((1..=61).contains(&wait), "{wait}");
        assert_eq!(refused.json()["retry_after"], wait);
        // A key is not.
        assert_eq!(api.get(&api.operator, "/v1/plans").await.outcome(), "200");
        // Where no key is asked for, a word in its place changes nothing.
        let word = Who::Holder("word".to_owned());
        assert_eq!(api.get(&word, "/openapi.json").await.outcome(), "429 rate_limited");
        assert_eq!(api.get(&word, "/v1/plans").await.outcome(), "401 malformed_key");
        // Who waits as told is let in.
        api.clock.advance_ms(wait * 1_000);
        assert_eq!(api.get(&Who::Anonymous, "/openapi.json").await.outcome(), "200");
    }

    #[test]
    fn what_is_a_credential() {
        let presents = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            presents_credential(&headers)
        };
        assert!(presents("authorization", "Bearer x") && presents("x-api-key", "x"));
        assert!(
            presents("cookie", "theme=dark; __Host-keywright_session=x")
                && presents("cookie", "keywright_session=x")
        );
        assert!(!presents("cookie", "theme=dark") && !presents("user-agent", "keywright_session=x"));
    }

    #[tokio::test]
    async fn proxies_ask_for_others_as_often_as_they_like() {
        let api = Api::start().await;
        for _ in 0..150 {
            assert_eq!(api.get(&Who::Anonymous, "/v1/check").await.outcome(), "401 missing_credentials");
        }
        let body = json!({"key": "x"});
        for _ in 0..150 {
            let answer = api.post(&Who::Anonymous, "/v1/keys/verify", &body).await;
            assert_eq!(answer.outcome(), "401 missing_credentials");
        }
    }

    #[tokio::test]
    async fn each_address_counts_for_itself() {
        let api = Api::start().await;
        let from = |address: [u8; 4]| {
            let mut request = Api::request(Method::GET, &Who::Anonymous, "/errors/not_found", Body::empty());
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from((address, 4_711))));
            request
        };
        for _ in 0..100 {
            assert_eq!(api.send(from([192, 0, 2, 1])).await.outcome(), "200");
        }
        assert_eq!(api.send(from([192, 0, 2, 1])).await.outcome(), "429 rate_limited");
        assert_eq!(api.send(from([192, 0, 2, 2])).await.outcome(), "200");
        // Nobody is believed who is no trusted proxy.
        let mut forged = from([192, 0, 2, 1]);
        forged.headers_mut().insert("x-forwarded-for", "192.0.2.3".parse().unwrap());
        assert_eq!(api.send(forged).await.outcome(), "429 rate_limited");
    }
}
