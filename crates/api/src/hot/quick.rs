//! The plainest requests of the hot routes, answered from the bytes of a connection to bytes.
//!
//! What is neither plain nor hot is left to the full server, which reads the same bytes again: this never refuses a
//! request for its form. The parser is the one that the full server uses, so both always agree where a request ends; a
//! request whose length could be understood in two ways is not plain.

use std::{mem::MaybeUninit, net::SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use keywright_engine::Moment;

use super::{check, head::Head, outlet::Wire, verify};
use crate::state::AppState;

/// Header lines of a plain request.
const HEADERS_MAX: usize = 48;
/// Largest body of a plain request, in bytes.
const BODY_MAX_BYTES: usize = 8 << 10;
/// How a request begins that may be plain.
const CHECK: &[u8] = b"GET /v1/check";
const VERIFY: &[u8] = b"POST /v1/keys/verify ";

/// What the bytes of a connection come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quick {
    /// The first request was answered; the answer is appended.
    Answered(Answered),
    /// The beginning of what may be a plain request: the rest of its head is missing.
    HeadMissing,
    /// The rest of its body is missing.
    BodyMissing,
    /// Something for the full server.
    Other,
}

/// A request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// How many bytes it took.
    pub input_bytes: usize,
    /// Which route it asked for.
    pub route: HotRoute,
    /// The status of the answer.
    pub status: StatusCode,
    /// When it was begun, in nanoseconds on the boot clock.
    pub began_ns: u64,
}

/// The routes that are answered this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotRoute {
    /// `/v1/check`.
    Check,
    /// `POST /v1/keys/verify`.
    Verify,
}

/// A plain request, in pieces of the connection's bytes.
struct Plain<'a> {
    route: HotRoute,
    query: Option<&'a str>,
    lines: Lines<'a>,
    body: &'a [u8],
    bytes: usize,
}

/// The header lines that matter. Each was sent at most once.
#[derive(Default)]
struct Lines<'a> {
    authorization: Option<&'a [u8]>,
    api_key: Option<&'a [u8]>,
    user_agent: Option<&'a [u8]>,
    content_type: Option<&'a [u8]>,
    content_length: Option<&'a [u8]>,
}

/// Answers the first request in `input`, if it is a plain one for a hot route: the answer is appended to `output`.
/// `headers_max` is how many header lines the full server takes.
pub(crate) fn answer(
    state: &AppState,
    input: &[u8],
    headers_max: usize,
    peer: SocketAddr,
    output: &mut String,
) -> Quick {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let headers = &mut headers[..headers_max.min(HEADERS_MAX)];
    let plain = match read(input, &mut request, headers) {
        Ok(plain) => plain,
        Err(other) => return other,
    };
    let now = Moment::read(&*state.clock);
    let address = match client_address(state, peer, request.headers) {
        Some(address) => address,
        None => return Quick::Other,
    };
    let lines = &plain.lines;
    let head =
        Head::of_values(plain.query, lines.authorization, lines.api_key, lines.user_agent, address);
    let mut wire = Wire::new(output, now.wall);
    match plain.route {
        HotRoute::Check => check::answer(state, &head, now, &mut wire),
        HotRoute::Verify => verify::answer(state, &head, plain.body, now, &mut wire),
    }
    let (route, status) = (plain.route, wire.written());
    Quick::Answered(Answered { input_bytes: plain.bytes, route, status, began_ns: now.boot_ns })
}
