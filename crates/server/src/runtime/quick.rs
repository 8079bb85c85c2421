//! The beginning of a connection: plain requests of the hot routes are answered from its bytes, without the HTTP
//! library. At the first request of another kind the connection goes to the library for good, with every byte that was
//! not answered (ADR 12).

use std::{
    future::{Future as _, poll_fn},
    io, mem,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use keywright_api::front::Quick;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    ConnectionLimits, Respond, buffers,
    connection::{Order, Running, Watch, Watched},
};

/// How much is read at once, where there is no more to come of a request.
const READ_BYTES: usize = 2 << 10;
/// Most bytes that wait to be understood.
const INPUT_MAX_BYTES: usize = 16 << 10;
/// Answers of this length leave before the next request is looked at.
const OUTPUT_BYTES: usize = 16 << 10;
/// How long each piece of a body's rest is waited for, and how many; after that the library has its own patience.
const BODY_WAIT: Duration = Duration::from_millis(500);
const BODY_PIECES: u32 = 4;

/// How the beginning of a connection ends.
pub(super) enum Ended {
    /// The connection is over.
    Closed,
    /// The library takes it.
    HandedOver {
        /// What was read and not answered.
        unread: Vec<u8>,
        /// Whether the worker is about to end.
        finishing: bool,
    },
}

/// Why no more requests are answered here.
enum Stop {
    /// The client has closed its side, or the connection is broken.
    Gone,
    /// The next bytes are for the library.
    NotPlain,
}

/// Bytes on their way in and out. What is empty has no buffer ([`buffers`]).
struct Exchange {
    input: Vec<u8>,
    output: String,
    /// Bytes of `output` that are sent.
    sent: usize,
    /// Kept while a request runs or its answer is on its way.
    running: Option<Running>,
}

/// Answers plain requests on `stream` until something else comes.
pub(super) async fn serve<R: Respond, S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Watched<S>,
    responder: &R,
    peer: SocketAddr,
    watch: &Arc<Watch>,
    limits: &ConnectionLimits,
) -> Ended {
    let mut exchange = Exchange { input: Vec::new(), output: String::new(), sent: 0, running: None };
    let stopped = {
        let run = exchange.run(stream, responder, peer, watch, limits);
        tokio::pin!(run);
        tokio::select! {
            biased;
            stop = run.as_mut() => Ok(stop),
            order = watch.ordered() => Err(order),
        }
    };
    match stopped {
        Ok(Stop::NotPlain) => Ended::HandedOver { unread: exchange.input, finishing: false },
        Err(Order::Close) => Ended::Closed,
        // What it has begun, a worker that ends finishes; the library knows how.
        Err(Order::Finish) if exchange.is_out() && !exchange.input.is_empty() => {
            Ended::HandedOver { unread: exchange.input, finishing: true }
        }
        Ok(Stop::Gone) | Err(Order::Finish) => {
            let close = exchange.close(stream);
            tokio::pin!(close);
            loop {
                tokio::select! {
                    biased;
                    () = close.as_mut() => break,
                    order = watch.ordered() => if order == Order::Close { break },
                }
            }
            Ended::Closed
        }
    }
}

impl Exchange {
    /// Reads and answers. May be dropped at any point: what was read and what is still to be sent stays.
    async fn run<R: Respond, S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut Watched<S>,
        responder: &R,
        peer: SocketAddr,
        watch: &Arc<Watch>,
        limits: &ConnectionLimits,
    ) -> Stop {
        let input_max = limits.header_bytes.min(INPUT_MAX_BYTES);
        let mut body_pieces = 0;
        loop {
            let mut next = self.answer(responder, peer, watch, limits.headers);
            if next == Quick::Later {
                // What was answered before it leaves first.
                if self.send(stream).await.is_err() {
                    return Stop::Gone;
                }
                next = self.answer_later(responder, peer, watch, limits.headers).await;
            }
            if self.send(stream).await.is_err() {
                return Stop::Gone;
            }
            let read = match next {
                Quick::Answered(_) => continue,
                Quick::Other | Quick::Later => return Stop::NotPlain,
                _ if self.input.len() >= input_max || body_pieces == BODY_PIECES => return Stop::NotPlain,
                Quick::HeadMissing => {
                    body_pieces = 0;
                    self.read(stream).await
                }
                Quick::BodyMissing => {
                    // The request has begun when its head was read.
                    self.begin(watch);
                    body_pieces += 1;
                    match tokio::time::timeout(BODY_WAIT, self.read(stream)).await {
                        Ok(read) => read,
                        Err(_) => return Stop::NotPlain,
                    }
                }
            };
            match read {
                Ok(0) if self.input.is_empty() => return Stop::Gone,
                // What to say to half a request is the library's business.
                Ok(0) => return Stop::NotPlain,
                Ok(_) => {}
                Err(_) => return Stop::Gone,
            }
        }
    }

    /// Answers a request for which something has to be waited for. May be dropped: until it has come to its end, nothing of
    /// the request is taken out of the input.
    async fn answer_later<R: Respond>(
        &mut self,
        responder: &R,
        peer: SocketAddr,
        watch: &Arc<Watch>,
        headers_max: usize,
    ) -> Quick {
        self.begin(watch);
        let mut output = String::new();
        let quick = responder.respond_later(&self.input, headers_max, peer, &mut output).await;
        if let Quick::Answered(answered) = quick {
            self.output.push_str(&output);
            self.take_out(answered.input_bytes);
        }
        quick
    }

    /// Answers what is there, until enough waits to be sent. `Answered` if there may be more to answer after that.
    fn answer<R: Respond>(
        &mut self,
        responder: &R,
        peer: SocketAddr,
        watch: &Arc<Watch>,
        headers_max: usize,
    ) -> Quick {
        if self.input.is_empty() {
            return Quick::HeadMissing;
        }
        if self.output.is_empty() {
            self.output = buffers::text();
        }
        let mut begin = 0;
        let next = loop {
            let input = &self.input[begin..];
            let quick = if input.is_empty() {
                Quick::HeadMissing
            } else {
                responder.respond_quick(input, headers_max, peer, &mut self.output)
            };
            let Quick::Answered(answered) = quick else { break quick };
            begin += answered.input_bytes;
            self.begin(watch);
            if self.output.len() >= OUTPUT_BYTES {
                break quick;
            }
        };
        self.take_out(begin);
        next
    }

    /// Takes what was answered out of the input.
    fn take_out(&mut self, bytes: usize) {
        self.input.drain(..bytes);
        if self.input.is_empty() {
            buffers::put_back(mem::take(&mut self.input));
        }
    }

    /// Notes that a request runs.
    fn begin(&mut self, watch: &Arc<Watch>) {
        if self.running.is_none() {
            self.running = Some(Running::begin(watch, http::Version::HTTP_11));
        }
    }

    /// Sends all answers.
    async fn send<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> io::Result<()> {
        if let Some(running) = self.running.as_mut().filter(|_| self.sent < self.output.len()) {
            running.answer_begins();
        }
        while !self.is_out() {
            let sent = stream.write(&self.output.as_bytes()[self.sent..]).await?;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.sent += sent;
        }
        if self.sent > 0 {
            // Over TLS, what was written may still wait in a buffer.
            stream.flush().await?;
            self.sent = 0;
            self.running = None;
        }
        buffers::put_back(mem::take(&mut self.output));
        Ok(())
    }

    fn is_out(&self) -> bool {
        self.sent == self.output.len()
    }

    /// Reads what is there.
    async fn read<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> io::Result<usize> {
        poll_fn(|context| {
            if self.input.is_empty() {
                self.input = buffers::bytes();
            }
            self.input.reserve(READ_BYTES);
            let read = pin!(stream.read_buf(&mut self.input)).poll(context);
            if self.input.is_empty() {
                buffers::put_back(mem::take(&mut self.input));
            }
            read
        })
        .await
    }

    async fn close<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) {
        if self.send(stream).await.is_ok() {
            // The answers are out; whatever goes wrong now concerns nobody.
            drop(stream.shutdown().await);
        }
    }
}
