//! What is answered while the installation is being opened: that the process lives, and what it waits for.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{Request, body::Incoming};
use parking_lot::Mutex;
use serde_json::json;

use crate::{
    config::Config,
    failure::Failure,
    runtime::{Bound, Respond, Server, ServerSettings},
    serving::Listeners,
};

/// How long answering the last question may take.
const DRAIN: Duration = Duration::from_millis(500);

/// Answers until the installation is open.
pub(crate) struct WaitingRoom {
    cause: Arc<Mutex<String>>,
    servers: Vec<Server>,
}

#[derive(Clone)]
struct Waiting {
    cause: Arc<Mutex<String>>,
    shows_cause: bool,
}

impl WaitingRoom {
    /// Starts to answer on all listeners.
    pub(crate) fn open(listeners: &Listeners, config: &Config) -> Result<Self, Failure> {
        let cause = Arc::new(Mutex::new("opening the database".to_owned()));
        let start = |bound: &Bound, tls, shows_cause| {
            let limits = (&config.limits).into();
            let settings = ServerSettings { workers: 1, limits, exempt: config.trusted_networks(), tls };
            Server::start(bound, settings, &Waiting { cause: Arc::clone(&cause), shows_cause })
        };
        let mut servers = vec![start(&listeners.public, listeners.tls.clone(), false)?];
        if let Some(admin) = &listeners.admin {
            servers.push(start(admin, None, true)?);
        }
        Ok(Self { cause, servers })
    }

    /// What is waited for now.
    pub(crate) fn tell(&self, cause: &str) {
        cause.clone_into(&mut self.cause.lock());
    }

    /// Stops answering, so that others may.
    pub(crate) async fn close(self) {
        for server in self.servers {
            server.drain(DRAIN).await;
        }
    }
}

impl Respond for Waiting {
    type Body = Full<Bytes>;

    async fn respond(&self, request: Request<Incoming>, _peer: SocketAddr) -> Response<Full<Bytes>> {
        let reason = if self.shows_cause {
            format!("starting: {}", self.cause.lock())
        } else {
            // The cause may name hosts; this page is public.
            "starting: the database is not open yet".to_owned()
        };
        let (status, kind, body) = match request.uri().path() {
            "/healthz" => (StatusCode::OK, "application/json", json!({"status": "alive"})),
            "/readyz" => {
                let body = json!({"status": "not_ready", "reasons": [reason], "degraded": []});
                (StatusCode::SERVICE_UNAVAILABLE, "application/json", body)
            }
            _ => {
                let body = json!({
                    "type": "/errors/store_unavailable", "title": "The store is unavailable", "status": 503,
                    "code": "store_unavailable", "detail": reason, "error": "The server is starting."
                });
                (StatusCode::SERVICE_UNAVAILABLE, "application/problem+json", body)
            }
        };
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }
}
