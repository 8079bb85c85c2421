//! What a hot route reads of a request's head, whoever has parsed it.

use std::net::{IpAddr, SocketAddr};

use http::request::Parts;
use keywright_domain::{ids::RequestId, usage::AgentClass};

use super::agent::{agent, agent_of};
use crate::{
    credentials::{CredentialError, PresentedSecret, presented_secret, presented_secret_of},
    edge,
    state::AppState,
};

/// The head of a hot request.
pub(super) struct Head<'a> {
    /// The query, without its question mark.
    pub(super) query: Option<&'a str>,
    /// The credential.
    pub(super) secret: Result<PresentedSecret<'a>, CredentialError>,
    /// The client's address, behind trusted proxies.
    pub(super) address: IpAddr,
    /// The class of the client's user agent.
    pub(super) agent: AgentClass,
    /// The id that the router has made, where the request came through it.
    pub(super) request_id: Option<RequestId>,
}

impl<'a> Head<'a> {
    /// Reads it from a parsed request.
    pub(super) fn of_parts(state: &AppState, parts: &'a Parts, peer: SocketAddr) -> Self {
        let id = parts.extensions.get::<edge::RequestId>();
        Self {
            query: parts.uri.query(),
            secret: presented_secret(&parts.headers),
            address: state.config.trusted_proxies.client_address(peer.ip(), &parts.headers),
            agent: agent(&parts.headers),
            request_id: id.and_then(|id| RequestId::parse(&id.0).ok()),
        }
    }

    /// Puts it together from the values of headers; each was sent at most once.
    pub(super) fn of_values(
        query: Option<&'a str>,
        authorization: Option<&'a [u8]>,
        api_key: Option<&'a [u8]>,
        user_agent: Option<&[u8]>,
        address: IpAddr,
    ) -> Self {
        let secret = presented_secret_of(authorization, api_key);
        Self { query, secret, address, agent: agent_of(user_agent), request_id: None }
    }
}
