//! What the hot routes read from a request before they judge a key.

use std::net::IpAddr;

use bytes::Bytes;
use http::{Response, header};
use keywright_domain::{ids::RequestId, verdict::Code};
use keywright_engine::{MissingCredits, MissingShares, Moment, Settled, Verdict, VerifyRequest};

use super::head::Head;
use crate::{
    credentials::query_carries_credential,
    error::{ApiError, ErrorCode},
    front::FrontBody,
    read_through::Unfinished,
    state::AppState,
};

/// The circumstances of a hot request.
pub(super) struct Around<'state> {
    /// What endpoints share.
    pub(super) state: &'state AppState,
    /// The moment of the request.
    pub(super) now: Moment,
    /// The client's address, behind trusted proxies.
    pub(super) address: IpAddr,
    /// The request's id.
    pub(super) request_id: RequestId,
    /// What was settled with the other nodes for the call's limits.
    pub(super) settled: Settled,
    /// How often.
    rounds: u8,
}

/// How often a call may be settled: another time for each smooth window, and for each race that it loses.
const ROUNDS_MAX: u8 = 32;

impl<'state> Around<'state> {
    /// What surrounds a request with this head, `now`. Makes an id unless the router has made one.
    pub(super) fn new(state: &'state AppState, head: &Head<'_>, now: Moment) -> Self {
        let request_id = head.request_id.unwrap_or_else(|| state.request_ids.next(now.wall));
        Self { state, now, address: head.address, request_id, settled: Settled::default(), rounds: 0 }
    }

    /// Settles the limits that a judgement misses, and says whether it can be tried again.
    pub(super) async fn settle(&mut self, missing: &MissingShares) -> bool {
        let Some(shares) = self.state.plane.shares().filter(|_| self.rounds < ROUNDS_MAX) else {
            return false;
        };
        self.rounds += 1;
        self.settled = shares.settle(missing).await;
        true
    }

    /// Draws the credits that a judgement misses, and says whether it can be tried again.
    pub(super) async fn draw(&mut self, missing: &MissingCredits) -> bool {
        if self.rounds >= ROUNDS_MAX {
            return false;
        }
        self.rounds += 1;
        match self.state.credits.draw(self.state.plane.engine(), missing).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "credits cannot be drawn");
                false
            }
        }
    }

    /// What a verdict is that needs credits, or nothing.
    pub(super) fn missing_credits(
        &self,
        verdict: &Verdict,
        request: &VerifyRequest<'_>,
    ) -> Option<Unfinished<ApiError>> {
        if !verdict.needs_credits() {
            return None;
        }
        let missing = self.state.plane.engine().missing_credits(verdict, request);
        // Without a key any more, it is looked up again.
        Some(missing.map_or(Unfinished::Stale, |missing| Unfinished::Credits(Box::new(missing))))
    }

    /// What a verdict is that needs a share, or nothing.
    pub(super) fn missing_shares(
        &self,
        verdict: &Verdict,
        request: &VerifyRequest<'_>,
    ) -> Option<Unfinished<ApiError>> {
        if !verdict.needs_share() {
            return None;
        }
        let missing = self.state.plane.engine().missing_shares(verdict, request, self.now);
        // Without a key any more, it is looked up again.
        Some(missing.map_or(Unfinished::Stale, |missing| Unfinished::Share(Box::new(missing))))
    }

    /// The failure of a judgement. One that says nothing about the key is counted, too.
    pub(super) fn finish(&self, unfinished: Unfinished<ApiError>) -> ApiError {
        if !matches!(unfinished, Unfinished::Failed(_)) {
            self.state.verdicts.count(Code::Unavailable);
        }
        unfinished.into()
    }

    /// The problem that `error` is, as an answer.
    pub(super) fn refuse(&self, error: &ApiError) -> Response<FrontBody> {
        let id = self.request_id.to_string();
        if error.status().is_server_error() {
            let (code, context) = (error.code().slug(), error.internal_context());
            tracing::error!(request_id = id, code, context, "request failed");
        }
        let mut response = error.render(&self.state.config.base_url, Some(&id));
        response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        response.map(|body: Bytes| FrontBody::Full(Some(body)))
    }

    /// Counts an unknown key against the address that presented it.
    ///
    /// # Errors
    /// `too_many_failed_attempts` when the address had too many before.
    pub(super) fn note_failure(&self, code: Code) -> Result<(), ApiError> {
        if code == Code::InvalidKey {
            self.state.throttle.refuse_failure(self.address, self.now.boot_ns / 1_000_000)?;
        }
        Ok(())
    }
}

/// Refuses a URL that carries a key.
///
/// # Errors
/// `credential_in_url`.
pub(super) fn check_url(query: Option<&str>) -> Result<(), ApiError> {
    if query.is_some_and(query_carries_credential) { Err(ErrorCode::CredentialInUrl.into()) } else { Ok(()) }
}
