//! One thread that accepts connections and answers their requests.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, watch},
};

use super::{
    ConnectionLimits, Life, Load, Respond,
    admission::{Admission, Place},
    connection::{Order, Running, RunningBody, TICK, Ticks, Watch, Watched},
    quick::{self, Ended},
    tls::TlsFiles,
};

/// How long accepting rests when the process has no file descriptor left.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// Header lines for which hyper needs no allocation; it is also hyper's own limit.
const HEADERS_WITHOUT_ALLOCATION: usize = 100;

/// A connection that another worker accepted for this one.
pub(super) type HandedOver = (StdStream, SocketAddr, Place);

/// How workers reach each other.
pub(super) struct Peer {
    load: Load,
    sender: mpsc::UnboundedSender<HandedOver>,
}

/// `count` workers' ends of the ways between them.
pub(super) fn peers(count: usize) -> (Arc<Vec<Peer>>, Vec<mpsc::UnboundedReceiver<HandedOver>>) {
    let (peers, receivers) = (0..count)
        .map(|_| {
            let (sender, receiver) = mpsc::unbounded_channel();
            (Peer { load: Load::new(0), sender }, receiver)
        })
        .unzip();
    (Arc::new(peers), receivers)
}

/// A worker before it runs.
pub(super) struct Worker<R> {
    pub(super) index: usize,
    pub(super) listener: StdListener,
    pub(super) peers: Arc<Vec<Peer>>,
    pub(super) handed_over: mpsc::UnboundedReceiver<HandedOver>,
    pub(super) admission: Arc<Admission>,
    pub(super) limits: ConnectionLimits,
    pub(super) tls: Option<Arc<TlsFiles>>,
    pub(super) life: watch::Receiver<Life>,
    pub(super) responder: R,
}

/// What the connections of a worker share.
struct Shared<R> {
    index: usize,
    peers: Arc<Vec<Peer>>,
    admission: Arc<Admission>,
    limits: ConnectionLimits,
    tls: Option<Arc<TlsFiles>>,
    /// Each worker's own, so that counting a reference to it stays in the core's cache.
    responder: Arc<R>,
    http: auto::Builder<TokioExecutor>,
    ticks: Arc<Ticks>,
    open: Mutex<HashMap<u64, Arc<Watch>>>,
    /// A connection was opened.
    opened: Notify,
}

impl<R: Respond> Worker<R> {
    /// Runs until it is told to drain and every connection is closed.
    pub(super) fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the operating system gives an event queue");
        runtime.block_on(self.serve());
    }

    async fn serve(self) {
        let Self { index, listener, peers, mut handed_over, admission, limits, tls, mut life, responder } =
            self;
        let shared = Arc::new(Shared {
            index,
            peers,
            admission,
            limits,
            tls,
            responder: Arc::new(responder),
            http: http_builder(&limits),
            ticks: Arc::default(),
            open: Mutex::default(),
            opened: Notify::new(),
        });
        let listener = TcpListener::from_std(listener).expect("the socket does not block");
        tokio::spawn(watch_over(Arc::clone(&shared)));
        let mut number = 0;
        loop {
            tokio::select! {
                biased;
                _ = life.wait_for(|life| *life != Life::Serving) => break,
                Some((stream, peer, place)) = handed_over.recv() => {
                    number += 1;
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        shared.open(number, stream, peer, place);
                    }
                }
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        number += 1;
                        shared.take(number, stream, peer);
                    }
                    Err(error) => rest(&error).await,
                },
            }
        }
        drop(listener);
        shared.finish(&life).await;
    }
}

/// A connection that was gone before it was accepted is nobody's concern; a lack of file descriptors passes.
async fn rest(error: &std::io::Error) {
    if matches!(error.kind(), std::io::ErrorKind::ConnectionAborted | std::io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept connections for the moment");
    tokio::time::sleep(ACCEPT_REST).await;
}

fn http_builder(limits: &ConnectionLimits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    http1
        .timer(TokioTimer::new())
        // Heads are timed by `connection::Watch`.
        .header_read_timeout(None)
        // With `pipeline_flush`, hyper keeps answers back while anything unread is buffered: half of a next request
        // would delay them, and the refusal of a head that is too large would never leave.
        .pipeline_flush(false)
        // Answers are small: one copied buffer costs the kernel less than a list of two.
        .writev(false)
        .max_buf_size(limits.header_bytes);
    if limits.headers != HEADERS_WITHOUT_ALLOCATION {
        http1.max_headers(limits.headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
    builder
}

/// A connection in its worker's list. It leaves the list on drop: also when its task panics.
struct Listed<R> {
    shared: Arc<Shared<R>>,
    number: u64,
    _place: Place,
}

impl<R> Drop for Listed<R> {
    fn drop(&mut self) {
        self.shared.open.lock().remove(&self.number);
        self.shared.peers[self.shared.index].load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Advances the coarse clock and closes connections that take too long. Sleeps while there is none.
async fn watch_over<R: Respond>(shared: Arc<Shared<R>>) {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        if shared.open.lock().is_empty() {
            shared.opened.notified().await;
        }
        interval.tick().await;
        shared.ticks.advance();
        let is_crowded = shared.admission.is_crowded();
        for watch in shared.open.lock().values() {
            if watch.is_overdue(&shared.limits, is_crowded) {
                if !watch.is_lingering() {
                    shared.admission.gauges().count_timeout();
                }
                watch.order(Order::Close);
            }
        }
    }
}

impl<R: Respond> Shared<R> {
    /// Takes a connection that this worker accepted, for itself or for a worker with fewer.
    fn take(self: &Arc<Self>, number: u64, stream: TcpStream, peer: SocketAddr) {
        let Some(place) = self.admission.admit(peer.ip()) else {
            tracing::debug!(%peer, "turned away: too many connections");
            return;
        };
        let own = self.peers[self.index].load.load(Ordering::Relaxed);
        let (target, least) = (0..self.peers.len())
            .map(|index| (index, self.peers[index].load.load(Ordering::Relaxed)))
            .min_by_key(|(_, load)| *load)
            .expect("there is at least this worker");
        if least >= own {
            self.open(number, stream, peer, place);
            return;
        }
        let handed = stream.into_std().map(|stream| self.peers[target].sender.send((stream, peer, place)));
        if !matches!(handed, Ok(Ok(()))) {
            tracing::debug!(%peer, "a connection was lost between two workers that are closing");
        }
    }

    /// Serves a connection in a task of its own.
    fn open(self: &Arc<Self>, number: u64, stream: TcpStream, peer: SocketAddr, place: Place) {
        let watch = Arc::new(Watch::new(Arc::clone(&self.ticks), self.tls.is_some()));
        let is_first = {
            let mut open = self.open.lock();
            open.insert(number, Arc::clone(&watch));
            open.len() == 1
        };
        if is_first {
            self.opened.notify_one();
        }
        self.peers[self.index].load.fetch_add(1, Ordering::Relaxed);
        let listed = Listed { shared: Arc::clone(self), number, _place: place };
        tokio::spawn(async move {
            // An error here means small packets wait for each other; the connection still works.
            let _ = stream.set_nodelay(true);
            listed.shared.serve(stream, peer, &watch).await;
        });
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr, watch: &Arc<Watch>) {
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, peer, watch).await;
        };
        tokio::select! {
            stream = tls.accept(stream) => match stream {
                Ok(stream) => {
                    watch.handshake_done();
                    self.serve_http(stream, peer, watch).await;
                }
                Err(error) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            },
            _ = watch.ordered() => {}
        }
    }

    async fn serve_http<S>(&self, stream: S, peer: SocketAddr, watch: &Arc<Watch>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(|request: Request<Incoming>| {
            let running = Running::begin(watch, request.version());
            let responder = Arc::clone(&self.responder);
            async move {
                let answer: Response<R::Body> = responder.respond(request, peer).await;
                Ok::<_, Infallible>(answer.map(|body| RunningBody::new(body, running)))
            }
        });
        let mut stream = Watched::new(stream, Arc::clone(watch));
        let finishing = match quick::serve(&mut stream, &*self.responder, peer, watch, &self.limits).await {
            Ended::Closed => return,
            Ended::HandedOver { unread, finishing } => {
                stream.put_back(unread);
                finishing
            }
        };
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        if finishing {
            // First it has to see what was put back: a connection without a request would be closed.
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = std::future::ready(()) => connection.as_mut().graceful_shutdown(),
            }
        }
        loop {
            tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, error = %keywright_keyformat::redact(&error.to_string()), "connection ended");
                    }
                    return;
                }
                order = watch.ordered() => match order {
                    Order::Finish => connection.as_mut().graceful_shutdown(),
                    Order::Close => return,
                },
            }
        }
    }

    /// Lets running requests finish; returns when every connection is closed.
    async fn finish(&self, life: &watch::Receiver<Life>) {
        loop {
            let is_over = *life.borrow() == Life::Over;
            {
                let open = self.open.lock();
                if open.is_empty() {
                    return;
                }
                for watch in open.values() {
                    // A client that does not answer a GOAWAY would keep its connection open.
                    let is_done = is_over || watch.is_silent();
                    watch.order(if is_done { Order::Close } else { Order::Finish });
                }
            }
            tokio::time::sleep(TICK / 10).await;
        }
    }
}
