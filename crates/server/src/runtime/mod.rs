//! Connections: one current-thread runtime per core, each accepting from its own handle of one bound socket.
//!
//! The socket is not opened with `SO_REUSEPORT`, so that a second process is told that the port is taken instead of
//! silently getting half of the connections.

mod admission;
mod buffers;
mod connection;
mod listener;
mod quick;
pub(crate) mod tls;
mod worker;

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use hyper::{Request, Response, body::Incoming};
use keywright_api::front::Quick;
use tokio::sync::watch;

pub(crate) use admission::ConnectionGauges;
pub(crate) use listener::{Bound, bind};

use crate::{
    config::{self, seconds},
    failure::{Exit, Failure},
};
use admission::Admission;
use tls::TlsFiles;

/// Answers requests.
pub(crate) trait Respond: Clone + Send + Sync + 'static {
    /// The body of an answer.
    type Body: hyper::body::Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static>
        + Send
        + Unpin
        + 'static;

    /// Answers one request, which came over a connection from `peer`.
    fn respond(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// Answers the first request in `input`, bytes that came over a connection from `peer`, if that is a plain one;
    /// the answer is appended to `output`. A head has at most `headers_max` lines.
    fn respond_quick(
        &self,
        _input: &[u8],
        _headers_max: usize,
        _peer: SocketAddr,
        _output: &mut String,
    ) -> Quick {
        Quick::Other
    }

    /// Answers a request that [`Self::respond_quick`] has put off ([`Quick::Later`]); the answer is appended at once.
    fn respond_later(
        &self,
        _input: &[u8],
        _headers_max: usize,
        _peer: SocketAddr,
        _output: &mut String,
    ) -> impl Future<Output = Quick> + Send {
        std::future::ready(Quick::Other)
    }
}

/// Limits of connections, as durations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    pub(crate) connections: usize,
    pub(crate) connections_per_address: u32,
    pub(crate) header_bytes: usize,
    pub(crate) headers: usize,
    pub(crate) handshake: Duration,
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) stall: Duration,
    pub(crate) http2_streams: u32,
}

impl From<&config::Limits> for ConnectionLimits {
    fn from(limits: &config::Limits) -> Self {
        let size = |value: u32| usize::try_from(value).expect("32 bits fit");
        Self {
            connections: size(limits.connections.get()),
            connections_per_address: limits.connections_per_address.get(),
            header_bytes: size(limits.header_bytes.get()),
            headers: size(limits.headers.get()),
            handshake: seconds(limits.handshake_timeout_seconds),
            header: seconds(limits.header_timeout_seconds),
            idle: seconds(limits.idle_timeout_seconds),
            stall: seconds(limits.stall_timeout_seconds),
            http2_streams: limits.http2_streams.get(),
        }
    }
}

/// What to serve, and how.
pub(crate) struct ServerSettings {
    /// Number of threads.
    pub(crate) workers: usize,
    /// Limits of connections.
    pub(crate) limits: ConnectionLimits,
    /// Networks whose connections are not counted by address.
    pub(crate) exempt: Vec<ipnet::IpNet>,
    /// Certificate and key; plain HTTP without.
    pub(crate) tls: Option<Arc<TlsFiles>>,
}

/// Running workers.
pub(crate) struct Server {
    threads: Vec<JoinHandle<()>>,
    life: watch::Sender<Life>,
    gauges: Arc<ConnectionGauges>,
}

impl Server {
    /// Starts answering requests that come in on `bound`.
    pub(crate) fn start<R: Respond>(
        bound: &Bound,
        settings: ServerSettings,
        responder: &R,
    ) -> Result<Self, Failure> {
        let (life, _) = watch::channel(Life::Serving);
        let limits = settings.limits;
        let admission = Arc::new(Admission::new(limits, settings.exempt));
        let gauges = Arc::clone(admission.gauges());
        let (peers, receivers) = worker::peers(settings.workers);
        let mut threads = Vec::with_capacity(settings.workers);
        for (index, receiver) in receivers.into_iter().enumerate() {
            let worker = worker::Worker {
                index,
                listener: bound.handle()?,
                peers: Arc::clone(&peers),
                handed_over: receiver,
                admission: Arc::clone(&admission),
                limits,
                tls: settings.tls.clone(),
                life: life.subscribe(),
                responder: responder.clone(),
            };
            let thread =
                std::thread::Builder::new().name(format!("http-{index}")).spawn(move || worker.run());
            threads
                .push(thread.map_err(|error| {
                    Failure::new(Exit::System, format!("cannot start a thread: {error}"))
                })?);
        }
        Ok(Self { threads, life, gauges })
    }

    /// Numbers of connections.
    pub(crate) const fn gauges(&self) -> &Arc<ConnectionGauges> {
        &self.gauges
    }

    /// Stops accepting, and waits at most `limit` for running requests; then closes what is left.
    pub(crate) async fn drain(self, limit: Duration) {
        self.life.send_replace(Life::Finishing);
        let threads = self.threads;
        let mut joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a worker thread panicked");
                }
            }
        });
        if tokio::time::timeout(limit, &mut joined).await.is_err() {
            tracing::warn!(
                seconds = limit.as_secs(),
                "some requests did not finish in time and were cut off"
            );
            self.life.send_replace(Life::Over);
            drop(joined.await);
        }
    }
}

/// What workers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Accept connections and answer requests.
    Serving,
    /// Answer what runs.
    Finishing,
    /// Close everything.
    Over,
}

/// Open connections of one worker, for choosing the least busy one.
pub(crate) type Load = AtomicUsize;
