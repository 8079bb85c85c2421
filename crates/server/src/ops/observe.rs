//! Around the API: counts, times, logs and traces every request, and answers the health questions.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, extract::MatchedPath};
use http::{Method, StatusCode};
use hyper::{Request, Response, body::Incoming};
use keywright_api::{
    AppState,
    front::{Front, FrontBody, HotRoute, Quick},
};
use keywright_domain::time::Clock as _;

use super::{Health, RequestStats, Traces, requests::HotStats, traces::Parent};
use crate::{cluster::AuditDesk, runtime::Respond, system::SystemClock};

/// The route label of what no route matches.
const NO_ROUTE: &str = "none";

/// Observes the requests of one worker.
pub(crate) struct Observed {
    front: Front,
    state: AppState,
    router: Router,
    hot: Arc<HotStats>,
    stats: Arc<RequestStats>,
    health: Arc<Health>,
    /// Who answers the self-audit of other nodes.
    desk: Option<Arc<AuditDesk>>,
    traces: Option<Arc<Traces>>,
}

/// Each clone belongs to another worker and counts for itself.
impl Clone for Observed {
    fn clone(&self) -> Self {
        let (counts, health) = (Arc::clone(&self.stats), Arc::clone(&self.health));
        let clone = Self::new(self.state.clone(), self.router.clone(), counts, health, self.traces.clone());
        clone.with_desk(self.desk.clone())
    }
}

impl Observed {
    /// Puts the observation around the API; `router` passes through [`tag_route`].
    pub(crate) fn new(
        state: AppState,
        router: Router,
        counts: Arc<RequestStats>,
        health: Arc<Health>,
        traces: Option<Arc<Traces>>,
    ) -> Self {
        let (hot, verdicts) = counts.worker();
        let mut own_state = state.clone();
        own_state.verdicts = verdicts;
        let front = Front::new(own_state, router.clone());
        Self { front, state, router, hot, stats: counts, health, desk: None, traces }
    }

    /// The same with somebody who answers other nodes.
    pub(crate) fn with_desk(mut self, desk: Option<Arc<AuditDesk>>) -> Self {
        self.desk = desk;
        self
    }

    fn trace(
        &self,
        parent: Option<&Parent>,
        (method, route): (&Method, &str),
        response: &Response<FrontBody>,
        duration_ns: u64,
    ) {
        if let Some(traces) = &self.traces {
            traces.record(parent, (method, route), response.status(), request_id(response), duration_ns);
        }
    }

    /// Whatever is not hot: also logged.
    async fn other(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<FrontBody> {
        let health = match (request.method(), request.uri().path()) {
            (&(Method::GET | Method::HEAD), path) => {
                self.health.answer(path).or_else(|| self.desk.as_ref()?.answer(path))
            }
            _ => None,
        };
        if let Some(answer) = health {
            return answer.map(|body| FrontBody::Full(Some(body)));
        }
        let started_ns = SystemClock.boot_ns();
        let method = request.method().clone();
        let parent = self.traces.as_ref().and_then(|_| Parent::of(request.headers()));
        let response = self.front.call(request, peer).await;
        let duration_ns = SystemClock.boot_ns().saturating_sub(started_ns);
        let matched = response.extensions().get::<MatchedPath>();
        let route = matched.map_or(NO_ROUTE, MatchedPath::as_str);
        self.stats.record(&method, route, response.status(), duration_ns);
        tracing::info!(
            target: "keywright::access",
            request_id = request_id(&response),
            %method,
            route,
            status = response.status().as_u16(),
            duration_us = duration_ns / 1_000,
            "request"
        );
        self.trace(parent.as_ref(), (&method, route), &response, duration_ns);
        response
    }
}

impl Respond for Observed {
    type Body = FrontBody;

    async fn respond(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<FrontBody> {
        let Some(route) = HotRoute::of(request.method(), request.uri().path()) else {
            return self.other(request, peer).await;
        };
        let (stats, route) = (self.hot.of(route), route.path());
        let parent = self.traces.as_ref().and_then(|_| Parent::of(request.headers()));
        let method = self.traces.as_ref().map(|_| request.method().clone());
        let started_ns = SystemClock.boot_ns();
        let response = self.front.call(request, peer).await;
        let duration_ns = SystemClock.boot_ns().saturating_sub(started_ns);
        stats.record(response.status(), duration_ns);
        if let Some(method) = &method {
            self.trace(parent.as_ref(), (method, route), &response, duration_ns);
        }
        if response.status() == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(target: "keywright::access", request_id = request_id(&response), route, "request failed");
        }
        response
    }

    fn respond_quick(
        &self,
        input: &[u8],
        headers_max: usize,
        peer: SocketAddr,
        output: &mut String,
    ) -> Quick {
        if self.traces.is_some() {
            // What a trace says about its parent is in headers that only the full way reads.
            return Quick::Other;
        }
        self.record_quick(self.front.quick(input, headers_max, peer, output))
    }

    async fn respond_later(
        &self,
        input: &[u8],
        headers_max: usize,
        peer: SocketAddr,
        output: &mut String,
    ) -> Quick {
        self.record_quick(self.front.patiently(input, headers_max, peer, output).await)
    }
}

impl Observed {
    fn record_quick(&self, quick: Quick) -> Quick {
        if let Quick::Answered(answered) = quick {
            let stats = self.hot.of(answered.route);
            stats.record(answered.status, SystemClock.boot_ns().saturating_sub(answered.began_ns));
        }
        quick
    }
}

fn request_id(response: &Response<FrontBody>) -> &str {
    response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or("")
}

/// Layer of the router that tells [`Observed`] which route answered.
pub(crate) async fn tag_route(
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> axum::response::Response {
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let mut response = next.run(request).await;
    if let Some(matched) = matched {
        response.extensions_mut().insert(matched);
    }
    response
}
