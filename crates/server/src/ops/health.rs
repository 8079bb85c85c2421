//! Health: whether the process is alive, and whether it may answer verifications.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use keywright_domain::time::Clock as _;
use keywright_engine::Engine;
use parking_lot::Mutex;
use serde_json::json;

use crate::{cluster::Standing, mail::MailStats, system::SystemClock};

/// Where in its life the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Loading.
    Starting = 0,
    /// Serving.
    Serving = 1,
    /// Finishing what runs.
    Stopping = 2,
}

/// What is known about the health of the process.
pub(crate) struct Health {
    engine: Arc<Engine>,
    /// How this process stands among others, if the store is shared.
    standing: Option<Arc<Standing>>,
    phase: AtomicU8,
    /// Why the store cannot be written, if it cannot.
    store_problem: Mutex<Option<String>>,
    /// Why usage cannot be flushed, if it cannot.
    usage_problem: Mutex<Option<String>>,
    mail: Arc<MailStats>,
}

impl Health {
    /// A process that starts.
    pub(crate) fn new(engine: Arc<Engine>, standing: Option<Arc<Standing>>, mail: Arc<MailStats>) -> Self {
        Self {
            engine,
            standing,
            phase: AtomicU8::new(Phase::Starting as u8),
            store_problem: Mutex::default(),
            usage_problem: Mutex::default(),
            mail,
        }
    }

    /// The process comes into another part of its life.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    /// What the last try to write to the store found.
    pub(crate) fn set_store_problem(&self, problem: Option<String>) {
        *self.store_problem.lock() = problem;
    }

    /// What the last try to flush usage found.
    pub(crate) fn set_usage_problem(&self, problem: Option<String>) {
        *self.usage_problem.lock() = problem;
    }

    /// Whether the store could be written at the last try.
    pub(crate) fn is_store_writable(&self) -> bool {
        self.store_problem.lock().is_none()
    }

    /// Whether verifications may be answered now.
    pub(crate) fn is_ready(&self) -> bool {
        self.phase.load(Ordering::Acquire) == Phase::Serving as u8 && self.engine.is_ready()
    }

    /// The answer for `/healthz` and `/readyz`; none for other paths.
    pub(crate) fn answer(&self, path: &str) -> Option<Response<Bytes>> {
        match path {
            "/healthz" => Some(respond(StatusCode::OK, &json!({"status": "alive"}))),
            "/readyz" => Some(self.readiness()),
            _ => None,
        }
    }

    fn readiness(&self) -> Response<Bytes> {
        let phase = self.phase.load(Ordering::Acquire);
        let mut reasons = Vec::new();
        if phase == Phase::Starting as u8 {
            reasons.push("starting: the keys are being loaded");
        }
        if phase == Phase::Stopping as u8 {
            reasons.push("stopping: running requests are finished, new ones go elsewhere");
        }
        if phase == Phase::Serving as u8 && !self.engine.is_following() {
            reasons.push(match self.standing {
                Some(_) => "the keys are being loaded again",
                None => "the engine has lost track of the store; restart the process",
            });
        } else if phase == Phase::Serving as u8 && !self.engine.is_ready() {
            reasons.push("this node holds no lease to answer from memory");
        }
        let mut degraded = Vec::new();
        if !self.is_store_writable() {
            // The cause names paths; this page is public.
            degraded.push("the database cannot be written: keys are verified, changes are refused");
        }
        if self.usage_problem.lock().is_some() {
            degraded.push("usage counts wait in the spool: they cannot be written to the database");
        }
        if self.mail.is_troubled.load(Ordering::Relaxed) {
            degraded.push("letters wait: the mail server does not take them");
        }
        let (code, status) = match (reasons.is_empty(), degraded.is_empty()) {
            (true, true) => (StatusCode::OK, "ready"),
            (true, false) => (StatusCode::OK, "degraded"),
            (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
        };
        let mut body = json!({"status": status, "reasons": reasons, "degraded": degraded});
        if let Some(standing) = &self.standing {
            body["node"] = node(standing);
        }
        respond(code, &body)
    }
}

/// How the node stands. Numbers and words only: this page is public.
fn node(standing: &Standing) -> serde_json::Value {
    let now_ns = SystemClock.boot_ns();
    let seconds = |ns: u64| Duration::from_millis(ns / 1_000_000).as_secs_f64();
    let leases: serde_json::Map<_, _> = standing
        .leases_left_ns(now_ns)
        .into_iter()
        .map(|(term, left_ns)| (term.to_string(), seconds(left_ns).into()))
        .collect();
    json!({
        "promise": standing.promise().map_or("unknown", |(word, _)| word),
        "head": standing.head.load(Ordering::Relaxed),
        "stable": standing.stable.load(Ordering::Relaxed),
        "generation": standing.generation.load(Ordering::Relaxed),
        "nodes": standing.nodes.load(Ordering::Relaxed),
        "polled_seconds_ago": seconds(now_ns.saturating_sub(standing.polled_ns.load(Ordering::Relaxed))),
        "lease_left_seconds": leases,
    })
}

fn respond(status: StatusCode, body: &serde_json::Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
