//! One connection, and how long it may take over what it does.
//!
//! Timers per request cost more than the request, so there are none: each connection notes on a coarse clock what it
//! is doing, and its worker looks at all of them every [`TICK`].

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

use keywright_api::caps;

use super::ConnectionLimits;

/// How often connections are looked at, and the unit of the coarse clock.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// How long an idle connection lives when nearly all places are taken.
const CROWDED_IDLE: Duration = Duration::from_secs(2);
/// How long the last answer is waited for to be read, once the server's side of the connection is closed.
const LINGER: Duration = Duration::from_secs(1);
/// How much of what a client goes on sending is read and thrown away meanwhile.
const LINGER_BYTES: usize = 1 << 20;
/// How long a connection without a request may stay silent when the worker ends.
const SILENT_AT_END: Duration = Duration::from_secs(1);
/// How long the server itself may take to begin an answer. The interface ends what takes longer; this is for what it does not
/// see.
const ANSWER: Duration =
    caps::REQUEST_TIMEOUT.saturating_add(Duration::from_secs(caps::WAIT_SECONDS_MAX as u64 + 30));
/// A point in time that has not come.
const NEVER: u32 = u32::MAX;

/// A worker's coarse clock: ticks since it started.
#[derive(Debug, Default)]
pub(super) struct Ticks(AtomicU32);

impl Ticks {
    pub(super) fn now(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn advance(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the worker tells a connection to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Finish running requests, then close.
    Finish,
    /// Close now.
    Close,
}

/// What a connection is doing, as seen by its worker.
#[derive(Debug)]
pub(super) struct Watch {
    ticks: Arc<Ticks>,
    /// Since when a request's head is being received.
    head_since: AtomicU32,
    /// When the last request ended.
    idle_since: AtomicU32,
    /// When a byte was last read or written.
    moved_at: AtomicU32,
    /// Since when the connection only waits for the client to read its last answer.
    lingering_since: AtomicU32,
    /// Requests that are not answered completely.
    in_flight: AtomicU32,
    /// Those of them whose answer has not begun: the server works on them or waits for other nodes.
    unanswered: AtomicU32,
    handshaking: AtomicBool,
    is_http2: AtomicBool,
    finish: AtomicBool,
    close: AtomicBool,
    ordered: Notify,
}

impl Watch {
    pub(super) fn new(ticks: Arc<Ticks>, handshaking: bool) -> Self {
        let now = ticks.now();
        Self {
            ticks,
            head_since: AtomicU32::new(now),
            idle_since: AtomicU32::new(now),
            moved_at: AtomicU32::new(now),
            lingering_since: AtomicU32::new(NEVER),
            in_flight: AtomicU32::new(0),
            unanswered: AtomicU32::new(0),
            handshaking: AtomicBool::new(handshaking),
            is_http2: AtomicBool::new(false),
            finish: AtomicBool::new(false),
            close: AtomicBool::new(false),
            ordered: Notify::new(),
        }
    }

    pub(super) fn handshake_done(&self) {
        self.handshaking.store(false, Ordering::Relaxed);
        self.head_since.store(self.ticks.now(), Ordering::Relaxed);
    }

    pub(super) fn request_begins(&self, version: http::Version) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.head_since.store(NEVER, Ordering::Relaxed);
        if version == http::Version::HTTP_2 {
            self.is_http2.store(true, Ordering::Relaxed);
        }
    }

    fn answer_begins(&self) {
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
    }

    fn request_ends(&self) {
        self.idle_since.store(self.ticks.now(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    fn bytes_came(&self) {
        let now = self.ticks.now();
        self.moved_at.store(now, Ordering::Relaxed);
        // HTTP/2 connections also receive pings and window updates: only the idle timeout counts for them.
        if self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == NEVER
            && !self.is_http2.load(Ordering::Relaxed)
        {
            self.head_since.store(now, Ordering::Relaxed);
        }
    }

    fn bytes_left(&self) {
        self.moved_at.store(self.ticks.now(), Ordering::Relaxed);
    }

    /// Whether the connection takes longer over what it does than it may.
    pub(super) fn is_overdue(&self, limits: &ConnectionLimits, is_crowded: bool) -> bool {
        let longer = |since, limit| self.is_longer(since, limit);
        if self.is_lingering() {
            return longer(self.lingering_since.load(Ordering::Relaxed), LINGER);
        }
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        if in_flight > 0 {
            // Nothing has to move while the server is the one that is waited for.
            let is_ours = self.unanswered.load(Ordering::Relaxed) >= in_flight;
            let limit = if is_ours { limits.stall.max(ANSWER) } else { limits.stall };
            return longer(self.moved_at.load(Ordering::Relaxed), limit);
        }
        let head_since = self.head_since.load(Ordering::Relaxed);
        if self.handshaking.load(Ordering::Relaxed) {
            return longer(head_since, limits.handshake);
        }
        if head_since != NEVER {
            return longer(head_since, limits.header);
        }
        let idle = if is_crowded { limits.idle.min(CROWDED_IDLE) } else { limits.idle };
        longer(self.idle_since.load(Ordering::Relaxed), idle)
    }

    fn is_longer(&self, since: u32, limit: Duration) -> bool {
        TICK * self.ticks.now().saturating_sub(since) > limit
    }

    /// Whether nothing but the client's own end is waited for.
    pub(super) fn is_lingering(&self) -> bool {
        self.lingering_since.load(Ordering::Relaxed) != NEVER
    }

    /// Whether nothing runs and nothing moves, so that closing cuts nothing off.
    pub(super) fn is_silent(&self) -> bool {
        self.in_flight.load(Ordering::Relaxed) == 0
            && self.is_longer(self.moved_at.load(Ordering::Relaxed), SILENT_AT_END)
    }

    pub(super) fn order(&self, order: Order) {
        let flag = match order {
            Order::Finish => &self.finish,
            Order::Close => &self.close,
        };
        flag.store(true, Ordering::Relaxed);
        self.ordered.notify_one();
    }

    /// Waits for the worker's next order.
    pub(super) async fn ordered(&self) -> Order {
        self.ordered.notified().await;
        if self.close.load(Ordering::Relaxed) { Order::Close } else { Order::Finish }
    }
}

/// A stream whose traffic is noted.
pub(super) struct Watched<S> {
    stream: S,
    watch: Arc<Watch>,
    /// Read before, and to be read again first.
    unread: Vec<u8>,
    /// Bytes thrown away while lingering; `None` before the server's side is closed.
    discarded: Option<usize>,
}

impl<S> Watched<S> {
    pub(super) const fn new(stream: S, watch: Arc<Watch>) -> Self {
        Self { stream, watch, unread: Vec::new(), discarded: None }
    }

    /// Has these bytes read again, before what follows them.
    pub(super) fn put_back(&mut self, bytes: Vec<u8>) {
        self.unread = bytes;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread[..count]);
            if count == self.unread.len() {
                self.unread = Vec::new();
            } else {
                self.unread.drain(..count);
            }
            self.watch.bytes_came();
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let answer = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.watch.bytes_came();
        }
        answer
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn note(&self, answer: &Poll<io::Result<usize>>) {
        if matches!(answer, Poll::Ready(Ok(written)) if *written > 0) {
            self.watch.bytes_left();
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(&answer);
        answer
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note(&answer);
        answer
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Closes the server's side, then reads on until the client closes its own. A connection that is closed with
    /// unread bytes is reset, and a reset takes the last answer with it (RFC 9112, section 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.discarded.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.discarded = Some(0);
            self.watch.lingering_since.store(self.watch.ticks.now(), Ordering::Relaxed);
        }
        let mut scratch = [0; 2_048];
        while self.discarded < Some(LINGER_BYTES) {
            let mut buffer = ReadBuf::new(&mut scratch);
            // Whatever ends the reading ends the connection: the answer is out.
            let ended = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)).is_err();
            if ended || buffer.filled().is_empty() {
                break;
            }
            self.discarded = self.discarded.map(|bytes| bytes + buffer.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}

/// Marks a request as running until it is dropped: with the answer's last byte, or with the connection.
pub(super) struct Running {
    watch: Arc<Watch>,
    is_answered: bool,
}

impl Running {
    pub(super) fn begin(watch: &Arc<Watch>, version: http::Version) -> Self {
        watch.request_begins(version);
        Self { watch: Arc::clone(watch), is_answered: false }
    }

    /// From now on it is the client that has to take what comes.
    pub(super) fn answer_begins(&mut self) {
        if !self.is_answered {
            self.is_answered = true;
            self.watch.answer_begins();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.answer_begins();
        self.watch.request_ends();
    }
}

/// An answer's body; while it lives, the request runs.
pub(super) struct RunningBody<B> {
    body: B,
    _running: Running,
}

impl<B> RunningBody<B> {
    pub(super) fn new(body: B, mut running: Running) -> Self {
        running.answer_begins();
        Self { body, _running: running }
    }
}

impl<B: Body + Unpin> Body for RunningBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn watch(handshaking: bool) -> (Arc<Ticks>, Arc<Watch>, ConnectionLimits) {
        let ticks = Arc::new(Ticks::default());
        let watch = Arc::new(Watch::new(Arc::clone(&ticks), handshaking));
        (ticks, watch, ConnectionLimits::from(&config::Limits::default()))
    }

    fn wait(ticks: &Ticks, seconds: u32) {
        for _ in 0..seconds * 4 {
            ticks.advance();
        }
    }

    #[test]
    fn handshake_head_and_idle_have_their_own_limits() {
        let (ticks, watch, limits) = watch(true);
        wait(&ticks, 10);
        assert!(!watch.is_overdue(&limits, false));
        ticks.advance();
        assert!(watch.is_overdue(&limits, false), "handshake");
        watch.handshake_done();
        wait(&ticks, 10);
        assert!(!watch.is_overdue(&limits, false));
        ticks.advance();
        assert!(watch.is_overdue(&limits, false), "first head");
        drop(Running::begin(&watch, http::Version::HTTP_11));
        wait(&ticks, 75);
        assert!(!watch.is_overdue(&limits, false));
        assert!(watch.is_overdue(&limits, true), "idle in a crowd");
        watch.bytes_came();
        wait(&ticks, 10);
        assert!(!watch.is_overdue(&limits, false));
        watch.bytes_came();
        ticks.advance();
        assert!(watch.is_overdue(&limits, false), "a head that drips in");
    }

    #[test]
    fn a_running_request_may_take_long_as_long_as_bytes_move() {
        let (ticks, watch, limits) = watch(false);
        let mut running = Running::begin(&watch, http::Version::HTTP_11);
        running.answer_begins();
        for _ in 0..5 {
            wait(&ticks, 59);
            watch.bytes_left();
            assert!(!watch.is_overdue(&limits, false));
        }
        wait(&ticks, 61);
        assert!(watch.is_overdue(&limits, false));
        drop(running);
        assert!(!watch.is_overdue(&limits, false));
    }

    #[test]
    fn whoever_waits_for_the_server_is_not_cut_off_before_the_longest_wait_is_over() {
        let (ticks, watch, limits) = watch(false);
        let waiting = Running::begin(&watch, http::Version::HTTP_2);
        wait(&ticks, 400 + 30 + 30);
        assert!(!watch.is_overdue(&limits, true));
        // Another answer of the same connection is not taken in.
        let mut sent = Running::begin(&watch, http::Version::HTTP_2);
        sent.answer_begins();
        assert!(watch.is_overdue(&limits, false), "a stream that does not move");
        drop(sent);
        assert!(!watch.is_overdue(&limits, false));
        ticks.advance();
        assert!(watch.is_overdue(&limits, false), "something hangs");
        drop(waiting);
        assert!(!watch.is_overdue(&limits, false));
    }

    #[test]
    fn pings_do_not_keep_an_idle_http2_connection() {
        let (ticks, watch, limits) = watch(false);
        drop(Running::begin(&watch, http::Version::HTTP_2));
        for _ in 0..7 {
            wait(&ticks, 10);
            watch.bytes_came();
            assert!(!watch.is_overdue(&limits, false));
        }
        wait(&ticks, 6);
        assert!(watch.is_overdue(&limits, false));
    }
}
