//! The admin listener: metrics and health, for the operator's own machinery.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming};

use super::{Health, metrics::Metrics};
use crate::runtime::Respond;

const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers on the admin listener.
#[derive(Clone)]
pub(crate) struct Admin {
    health: Arc<Health>,
    metrics: Arc<Metrics>,
}

impl Admin {
    /// Answers from `health` and `metrics`.
    pub(crate) const fn new(health: Arc<Health>, metrics: Arc<Metrics>) -> Self {
        Self { health, metrics }
    }
}

impl Respond for Admin {
    type Body = Full<Bytes>;

    async fn respond(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Full<Bytes>> {
        let text = |status: StatusCode, content_type: &'static str, body: String| {
            let mut response = Response::new(Full::new(Bytes::from(body)));
            *response.status_mut() = status;
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
            response
        };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "GET only\n".to_owned());
        }
        let path = request.uri().path();
        if path == "/metrics" {
            return text(StatusCode::OK, METRICS_TYPE, self.metrics.render());
        }
        match self.health.answer(path) {
            Some(answer) => answer.map(Full::<Bytes>::new),
            None => text(
                StatusCode::NOT_FOUND,
                "text/plain",
                "here are /metrics, /healthz and /readyz\n".to_owned(),
            ),
        }
    }
}
