//! The plainest requests of the hot routes, answered from the bytes of a connection to bytes.
//!
//! What is neither plain nor hot is left to the full server, which reads the same bytes again: this never refuses a
//! request for its form. The parser is the one that the full server uses, so both always agree where a request ends; a
//! request whose length could be understood in two ways is not plain.

use std::{
    mem::MaybeUninit,
    net::{IpAddr, SocketAddr},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use keywright_engine::Moment;

use super::{
    check,
    head::Head,
    outlet::Wire,
    prompts::{self, Asked},
    verify,
};
use crate::state::AppState;

/// Header lines of a plain request.
const HEADERS_MAX: usize = 48;
/// Largest body of a plain request, in bytes.
const BODY_MAX_BYTES: usize = 8 << 10;
/// How a request begins that may be plain.
const BEGINNINGS: [(HotRoute, &[u8]); 4] = [
    (HotRoute::Check, b"GET /v1/check"),
    (HotRoute::Verify, b"POST /v1/keys/verify "),
    (HotRoute::GetPrompt, b"POST /v1/prompts/get "),
    (HotRoute::ListPrompts, b"GET /v1/prompts"),
];

/// Headers that change how a message is read, or ask for something before or besides its answer.
const NOT_PLAIN: [&str; 7] =
    ["te", "expect", "upgrade", "trailer", "http2-settings", "content-encoding", "transfer-encoding"];

/// What the bytes of a connection come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quick {
    /// The first request was answered; the answer is appended.
    Answered(Answered),
    /// The beginning of what may be a plain request: the rest of its head is missing.
    HeadMissing,
    /// The rest of its body is missing.
    BodyMissing,
    /// A plain request, complete, for which something has to be waited for: see
    /// [`Front::patiently`](crate::front::Front::patiently).
    Later,
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
    /// `POST /v1/prompts/get`.
    GetPrompt,
    /// `GET /v1/prompts`.
    ListPrompts,
}

impl HotRoute {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Check, Self::Verify, Self::GetPrompt, Self::ListPrompts];

    /// The hot route that this asks for.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let is_asked =
            |route: &Self| route.path() == path && route.method().is_none_or(|known| known == method);
        Self::ALL.into_iter().find(is_asked)
    }

    /// Its method; `None` for any.
    pub const fn method(self) -> Option<&'static Method> {
        match self {
            Self::Check => None,
            Self::Verify | Self::GetPrompt => Some(&Method::POST),
            Self::ListPrompts => Some(&Method::GET),
        }
    }

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Check => check::CHECK_PATH,
            Self::Verify => verify::VERIFY_PATH,
            Self::GetPrompt => prompts::GET_PATH,
            Self::ListPrompts => prompts::LIST_PATH,
        }
    }

    /// Whether it has a query rather than a body.
    const fn has_query(self) -> bool {
        matches!(self, Self::Check | Self::ListPrompts)
    }
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
    let lines = &plain.lines;
    let address = client_address(state, peer, request.headers);
    let head = Head::of_values(plain.query, lines.authorization, lines.api_key, lines.user_agent, address);
    let mut wire = Wire::new(output, now.wall);
    let tried = match plain.route {
        HotRoute::Check => check::try_answer(state, &head, now, &mut wire),
        HotRoute::Verify => verify::try_answer(state, &head, plain.body, now, &mut wire),
        HotRoute::GetPrompt => prompts::try_answer(state, &head, Asked::One(plain.body), now, &mut wire),
        HotRoute::ListPrompts => prompts::try_answer(state, &head, Asked::Page, now, &mut wire),
    };
    if let Err(other) = tried {
        // Nothing was written.
        return other;
    }
    let (route, status) = (plain.route, wire.written());
    Quick::Answered(Answered { input_bytes: plain.bytes, route, status, began_ns: now.boot_ns })
}

/// As [`answer`], and waits for what this node has to know first.
pub(crate) async fn answer_patiently(
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
    let lines = &plain.lines;
    let address = client_address(state, peer, request.headers);
    let head = Head::of_values(plain.query, lines.authorization, lines.api_key, lines.user_agent, address);
    let mut wire = Wire::new(output, now.wall);
    let answered = match plain.route {
        HotRoute::Check => {
            check::answer_patiently(state, &head, &mut wire).await;
            Ok(())
        }
        HotRoute::Verify => {
            verify::answer_patiently(state, &head, plain.body, &mut wire).await;
            Ok(())
        }
        HotRoute::GetPrompt => {
            prompts::answer_patiently(state, &head, Asked::One(plain.body), &mut wire).await
        }
        HotRoute::ListPrompts => prompts::answer_patiently(state, &head, Asked::Page, &mut wire).await,
    };
    if let Err(other) = answered {
        // Nothing was written.
        return other;
    }
    let (route, status) = (plain.route, wire.written());
    Quick::Answered(Answered { input_bytes: plain.bytes, route, status, began_ns: now.boot_ns })
}

/// The plain request that `input` begins with.
fn read<'buffer, 'headers>(
    input: &'buffer [u8],
    request: &mut httparse::Request<'headers, 'buffer>,
    headers: &'headers mut [MaybeUninit<httparse::Header<'buffer>>],
) -> Result<Plain<'buffer>, Quick> {
    let route = route_of(input).ok_or(Quick::Other)?;
    let head_bytes = match request.parse_with_uninit_headers(input, headers) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Err(Quick::HeadMissing),
        Err(_) => return Err(Quick::Other),
    };
    let query = query_of(route, request.path.unwrap_or_default())?;
    let lines = Lines::read(request.headers).filter(|_| request.version == Some(1)).ok_or(Quick::Other)?;
    let body_bytes = lines.body_bytes(route).ok_or(Quick::Other)?;
    let bytes = head_bytes + body_bytes;
    let body = input.get(head_bytes..bytes).ok_or(Quick::BodyMissing)?;
    Ok(Plain { route, query, lines, body, bytes })
}

/// The route that a request asks for which begins like this, or may ask for once more of it is there.
fn route_of(input: &[u8]) -> Option<HotRoute> {
    let begins_with = |line: &[u8]| {
        let common = input.len().min(line.len());
        input[..common] == line[..common]
    };
    BEGINNINGS.into_iter().find(|(_, line)| begins_with(line)).map(|(route, _)| route)
}

/// The query of a target whose path is exactly the route's.
fn query_of(route: HotRoute, target: &str) -> Result<Option<&str>, Quick> {
    // The characters that the crate `http` takes in a query, or fewer.
    let is_usual = |byte: u8| matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~');
    match target.strip_prefix(route.path()) {
        Some("") => Ok(None),
        Some(rest) if route.has_query() && rest.starts_with('?') && rest.bytes().all(is_usual) => {
            Ok(Some(&rest[1..]))
        }
        _ => Err(Quick::Other),
    }
}

impl<'buffer> Lines<'buffer> {
    /// The lines that matter; `None` where one asks for what plain requests do not have.
    fn read(headers: &[httparse::Header<'buffer>]) -> Option<Self> {
        let mut lines = Self::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            let place = match header.name.len() {
                9 if is("x-api-key") => &mut lines.api_key,
                10 if is("connection") && header.value.eq_ignore_ascii_case(b"keep-alive") => continue,
                10 if is("connection") => return None,
                // The first of several counts.
                10 if is("user-agent") && lines.user_agent.is_some() => continue,
                10 if is("user-agent") => &mut lines.user_agent,
                12 if is("content-type") => &mut lines.content_type,
                13 if is("authorization") => &mut lines.authorization,
                14 if is("content-length") => &mut lines.content_length,
                2 | 6 | 7 | 14 | 16 | 17 if NOT_PLAIN.into_iter().any(is) => return None,
                _ => continue,
            };
            if place.replace(header.value).is_some() {
                return None;
            }
        }
        Some(lines)
    }

    /// Length of the body; `None` unless it is what the route takes.
    fn body_bytes(&self, route: HotRoute) -> Option<usize> {
        match (route, self.content_length) {
            (route, None) if route.has_query() => Some(0),
            (route, Some(digits)) if !route.has_query() && is_json(self.content_type?) => {
                let is_number = digits.iter().all(u8::is_ascii_digit);
                let bytes = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()?;
                (1..=BODY_MAX_BYTES).contains(&bytes).then_some(bytes)
            }
            _ => None,
        }
    }
}

/// Whether a content type is JSON in one of the ways that clients usually write it.
fn is_json(content_type: &[u8]) -> bool {
    const USUAL: [&str; 3] =
        ["application/json", "application/json; charset=utf-8", "application/json;charset=utf-8"];
    USUAL.into_iter().any(|usual| content_type.eq_ignore_ascii_case(usual.as_bytes()))
}

/// The client's address, behind trusted proxies.
fn client_address(state: &AppState, peer: SocketAddr, headers: &[httparse::Header<'_>]) -> IpAddr {
    let proxies = &state.config.trusted_proxies;
    // Allocates only for what a trusted proxy sends.
    let mut forwarding = HeaderMap::new();
    if proxies.contains(peer.ip()) {
        for header in headers {
            let names = [HeaderName::from_static("x-forwarded-for"), http::header::FORWARDED];
            let name = names.into_iter().find(|name| header.name.eq_ignore_ascii_case(name.as_str()));
            if let (Some(name), Ok(value)) = (name, HeaderValue::from_bytes(header.value)) {
                forwarding.append(name, value);
            }
        }
    }
    proxies.client_address(peer.ip(), &forwarding)
}

#[cfg(test)]
mod tests;
