//! The front of the API: answers the hot routes on hyper's types and hands everything else to the router.
//!
//! A verification takes a fifth of a microsecond; what a framework does around a handler takes several times that.
//! The hot routes are registered in the router too, so that documentation, tests and every other way in see them.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::extract::ConnectInfo;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower::Service;

pub use crate::hot::{Answered, HotRoute, Quick};
use crate::{hot, state::AppState};

/// A body of an answer.
#[derive(Debug)]
pub enum FrontBody {
    /// No bytes.
    Empty,
    /// These bytes; none once they were sent.
    Full(Option<Bytes>),
    /// Whatever an endpoint of the router answers.
    Router(axum::body::Body),
}

impl Body for FrontBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Router(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_none(),
            Self::Router(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Full(None) => SizeHint::with_exact(0),
            Self::Full(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Self::Router(body) => body.size_hint(),
        }
    }
}

/// Answers every request of a listener. Cheap to clone; one per worker thread.
#[derive(Clone)]
pub struct Front {
    state: AppState,
    router: axum::Router,
}

impl Front {
    /// A front for `state`; `router` answers what is not hot.
    pub const fn new(state: AppState, router: axum::Router) -> Self {
        Self { state, router }
    }

    /// Answers a request that came from `peer`.
    pub async fn call<B>(&self, request: Request<B>, peer: SocketAddr) -> Response<FrontBody>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        match (request.method(), request.uri().path()) {
            (_, hot::CHECK_PATH) => {
                let (parts, _) = request.into_parts();
                hot::check(&self.state, &parts, peer).await
            }
            (&Method::POST, hot::VERIFY_PATH) => hot::verify(&self.state, request, peer).await,
            _ => self.route(request, peer).await,
        }
    }

    /// Answers the first request in `input`, the bytes of a connection of HTTP/1.1, if it is a plain one for a hot route;
    /// the answer is appended to `output`. `headers_max` is how many header lines [`Self::call`]'s server takes.
    pub fn quick(&self, input: &[u8], headers_max: usize, peer: SocketAddr, output: &mut String) -> Quick {
        hot::answer_quickly(&self.state, input, headers_max, peer, output)
    }

    /// Answers a request that [`Self::quick`] has put off ([`Quick::Later`]).
    pub async fn patiently(
        &self,
        input: &[u8],
        headers_max: usize,
        peer: SocketAddr,
        output: &mut String,
    ) -> Quick {
        hot::answer_patiently(&self.state, input, headers_max, peer, output).await
    }

    async fn route<B>(&self, request: Request<B>, peer: SocketAddr) -> Response<FrontBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        match self.router.clone().call(request).await {
            Ok(response) => response.map(FrontBody::Router),
            Err(never) => match never {},
        }
    }
}
