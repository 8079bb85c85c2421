//! `POST /v1/prompts/get` and `GET /v1/prompts`, for plain requests: what the router's endpoints of these routes answer,
//! without the router. Requests of another form, and what is wrong with them, are left to the endpoints.

use std::{borrow::Cow, sync::Arc};

use http::StatusCode;
use keywright_domain::permission::PermissionSet;
use keywright_engine::{KeyHit, Moment, Trust, Verdict};
use keywright_keyformat::KeyKind;
use serde::Deserialize;

use super::{
    admission::{self, ListPrompts, ReadPrompts, incomplete},
    answer, check,
    head::Head,
    outlet::{Outlet as _, Wire},
    quick::Quick,
    request::Around,
};
use crate::{
    caps::REQUEST_TIMEOUT,
    credentials::query_carries_credential,
    edge,
    error::{ApiError, ErrorCode},
    packages::{Question, Reader, from_memory, serve},
    read_through::Unfinished,
    state::AppState,
    v1::packages::ListRequest,
};

/// Where one prompt is.
pub(super) const GET_PATH: &str = "/v1/prompts/get";
/// Where all are.
pub(super) const LIST_PATH: &str = "/v1/prompts";

/// A plain request for prompts.
#[derive(Clone, Copy)]
pub(super) enum Asked<'a> {
    /// For one, with this body.
    One(&'a [u8]),
    /// For a page; the query is in the head.
    Page,
}

/// The body of a plain request for one prompt. Values for its variables make it another kind of request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named<'a> {
    #[serde(borrow)]
    package_name: Cow<'a, str>,
}

impl<'a> Asked<'a> {
    /// How the route is called in the access ledger.
    const fn route(self) -> &'static str {
        match self {
            Self::One(_) => "POST /v1/prompts/get",
            Self::Page => "GET /v1/prompts",
        }
    }

    fn needs(self) -> PermissionSet {
        match self {
            Self::One(_) => admission::needs::<ReadPrompts>(),
            Self::Page => admission::needs::<ListPrompts>(),
        }
    }

    /// The question, unless the request is special or something is wrong with it.
    fn question(self, head: &Head<'_>) -> Option<Question<'a>> {
        // A request without a credential is the router's to count.
        let secret = head.secret.ok()?;
        if secret.expose().starts_with(KeyKind::Operator.prefix())
            || head.query.is_some_and(query_carries_credential)
        {
            return None;
        }
        match self {
            // serde would read an object from a list, too.
            Self::One(body) if body.trim_ascii_start().first() == Some(&b'{') => {
                let named: Named<'a> = serde_json::from_slice(body).ok()?;
                Question::named(named.package_name).ok()
            }
            Self::One(_) => None,
            Self::Page => {
                let request: ListRequest =
                    head.query.map_or_else(|| Ok(ListRequest::default()), edge::parse_query).ok()?;
                request.question().ok()
            }
        }
    }
}

/// Puts the answer to a request that is there completely into `wire`, if it is in memory.
///
/// # Errors
/// Who can answer it otherwise. Nothing was done then.
pub(super) fn try_answer(
    state: &AppState,
    head: &Head<'_>,
    asked: Asked<'_>,
    now: Moment,
    wire: &mut Wire<'_>,
) -> Result<(), Quick> {
    let question = asked.question(head).ok_or(Quick::Other)?;
    let secret = head.secret.map_err(|_| Quick::Other)?;
    let presumed = state.plane.engine().presume(secret.expose().as_bytes()).ok_or(Quick::Later)?;
    let workspace = (presumed.workspace_number, presumed.workspace, presumed.workspace_slug);
    let reader = Reader::new(state, workspace, &presumed.creator);
    let query = question.query(&reader).map_err(|_| Quick::Later)?;
    let body = from_memory(state, &reader, &query).and_then(|known| known.body).ok_or(Quick::Later)?;
    let around = Around::new(state, head, now);
    let verdict = match admission::judge(&around, head, asked.needs(), asked.route(), Trust::Lease) {
        Ok(verdict) => verdict,
        Err(Unfinished::Failed(error)) => {
            refuse(&around, None, &error, wire);
            return Ok(());
        }
        Err(Unfinished::Stale | Unfinished::Share(_) | Unfinished::Credits(_)) => return Err(Quick::Later),
    };
    let served = match verdict.key.filter(|_| verdict.is_valid()) {
        None => Err(check::refusal(&around, &verdict, asked.needs())),
        Some(key) if key.id == presumed.id => Ok(&*body),
        // The body is for the key that was presumed, and for no other.
        Some(_) => Err(incomplete()),
    };
    finish(&around, &verdict, served.as_deref(), wire);
    Ok(())
}

/// As [`try_answer`], and waits for what has to be known first, the store's answer included.
///
/// # Errors
/// [`Quick::Other`] where something is wrong with the request, or special. Nothing was done then.
pub(super) async fn answer_patiently(
    state: &AppState,
    head: &Head<'_>,
    asked: Asked<'_>,
    wire: &mut Wire<'_>,
) -> Result<(), Quick> {
    let question = asked.question(head).ok_or(Quick::Other)?;
    let mut around = Around::new(state, head, Moment::read(&*state.clock));
    let judged = admission::judge_patiently(&mut around, head, asked.needs(), asked.route()).await;
    let verdict = match judged {
        Ok(verdict) => verdict,
        Err(error) => {
            refuse(&around, None, &error, wire);
            return Ok(());
        }
    };
    let served = match verdict.key.filter(|_| verdict.is_valid()) {
        None => Err(check::refusal(&around, &verdict, asked.needs())),
        Some(key) => read(state, &key, &question).await,
    };
    finish(&around, &verdict, served.as_deref(), wire);
    Ok(())
}

/// What a verified key asks for.
async fn read(state: &AppState, key: &KeyHit, question: &Question<'_>) -> Result<Arc<str>, ApiError> {
    let mut buffer = Vec::new();
    let details = state.plane.engine().details(key, &mut buffer).ok_or_else(incomplete)?;
    let workspace = (key.workspace, details.workspace, details.workspace_slug);
    let reader = Reader::new(state, workspace, &details.creator);
    match tokio::time::timeout(REQUEST_TIMEOUT, serve(state, &reader, question)).await {
        Ok(served) => served,
        Err(_elapsed) => Err(ErrorCode::RequestTimeout.into()),
    }
}

/// The answer to a judged request.
fn finish(around: &Around<'_>, verdict: &Verdict, served: Result<&str, &ApiError>, wire: &mut Wire<'_>) {
    let body = match served {
        Ok(body) => body,
        Err(error) => return refuse(around, Some(verdict), error, wire),
    };
    wire.status(StatusCode::OK);
    wire.headers(&[("content-type", "application/json")]);
    wire.headers(&edge::USUAL_HEADERS);
    answer::limit_headers(around, verdict, wire);
    wire.header("x-request-id", |value| around.request_id.push_text(value));
    wire.end_with_text(body);
}

/// The answer that `error` is, with the limits as a verdict left them.
fn refuse(around: &Around<'_>, verdict: Option<&Verdict>, error: &ApiError, wire: &mut Wire<'_>) {
    let mut response = around.refuse(error);
    if let Some(verdict) = verdict {
        answer::limit_headers(around, verdict, &mut response);
    }
    edge::add_usual_headers(response.headers_mut());
    wire.whole(response);
}
