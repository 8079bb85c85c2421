//! `/v1/check`: a proxy asks whether the request it holds may pass. The answer to a good key has no body.

use std::net::SocketAddr;

use http::{HeaderValue, Method, Response, request::Parts};
use keywright_domain::{caps, environment::Mode, permission::PermissionSet, verdict::Code};
use keywright_engine::{Moment, RouteId, Trust, Verdict, VerifyRequest};
use serde::Deserialize;

use super::{
    answer,
    head::Head,
    outlet::Outlet,
    quick::Quick,
    request::{Around, check_url},
};
use crate::{
    edge,
    error::{ApiError, ErrorCode},
    front::FrontBody,
    read_through::{Unfinished, read_through},
    state::AppState,
    v1::problems,
};

/// Where the route is.
pub(crate) const CHECK_PATH: &str = "/v1/check";

/// What the proxy asks, in the query.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CheckQuery {
    /// Permissions that the request needs, separated by commas.
    #[serde(default)]
    permissions: Option<String>,
    /// Slug of the workspace whose resource is asked for.
    #[serde(default)]
    workspace: Option<String>,
    /// `live` or `test`: which resources are asked for.
    #[serde(default)]
    #[param(value_type = Option<crate::wire::Mode>)]
    mode: Option<Mode>,
    /// Cost units to spend, 0 to 1,000,000. Default 1.
    #[serde(default)]
    #[param(maximum = 1_000_000)]
    cost: Option<u32>,
    /// The route asked for, for the access ledger. At most 128 bytes.
    #[serde(default)]
    #[param(max_length = 128)]
    route: Option<String>,
}

/// Answers `/v1/check`, whatever the method but TRACE: proxies pass on the one of the request they hold.
pub(crate) async fn check(state: &AppState, parts: &Parts, peer: SocketAddr) -> Response<FrontBody> {
    if parts.method == Method::TRACE {
        // It would have to send the request back, credential and all (RFC 9110, section 9.3.8).
        let around = Around::new(state, &Head::of_parts(state, parts, peer), Moment::read(&*state.clock));
        let methods = HeaderValue::from_static("GET,HEAD,POST,PUT,PATCH,DELETE,OPTIONS");
        return around.refuse(&ApiError::new(ErrorCode::MethodNotAllowed).allow(methods));
    }
    let mut response = Response::new(FrontBody::Empty);
    answer_patiently(state, &Head::of_parts(state, parts, peer), &mut response).await;
    response
}

/// Puts the answer to a request with this head into `outlet`, and waits for what has to be known first.
pub(super) async fn answer_patiently(state: &AppState, head: &Head<'_>, outlet: &mut impl Outlet) {
    let mut around = Around::new(state, head, Moment::read(&*state.clock));
    let judged = loop {
        let judged = read_through(state, |trust| {
            around.now = Moment::read(&*state.clock);
            judge(&around, head, trust)
        });
        match judged.await {
            Err(Unfinished::Share(missing)) if around.settle(&missing).await => {}
            judged => break judged.map_err(|unfinished| around.finish(unfinished)),
        }
    };
    answer(&around, judged, outlet);
}

/// Puts the answer to a request with this head into `outlet`.
///
/// # Errors
/// Who can answer it, where nothing can be said from memory. Nothing was done then.
pub(super) fn try_answer(
    state: &AppState,
    head: &Head<'_>,
    now: Moment,
    outlet: &mut impl Outlet,
) -> Result<(), Quick> {
    let around = Around::new(state, head, now);
    match judge(&around, head, Trust::Lease) {
        Ok(judged) => answer(&around, Ok(judged), outlet),
        Err(Unfinished::Failed(error)) => answer(&around, Err(error), outlet),
        Err(Unfinished::Stale) => return Err(Quick::Other),
        Err(Unfinished::Share(_) | Unfinished::Credits(_)) => return Err(Quick::Later),
    }
    Ok(())
}

fn answer(around: &Around<'_>, judged: Result<(Verdict, PermissionSet), ApiError>, outlet: &mut impl Outlet) {
    match judged {
        Ok((verdict, _)) if verdict.is_valid() => answer::checked(around, &verdict, outlet),
        Ok((verdict, asked)) => {
            let mut response = around.refuse(&refusal(around, &verdict, asked));
            answer::limit_headers(around, &verdict, &mut response);
            outlet.whole(response);
        }
        Err(error) => outlet.whole(around.refuse(&error)),
    }
}

fn judge(
    around: &Around<'_>,
    head: &Head<'_>,
    trust: Trust,
) -> Result<(Verdict, PermissionSet), Unfinished<ApiError>> {
    check_url(head.query)?;
    let secret = head.secret.map_err(ApiError::from)?;
    let asked = match head.query {
        None => CheckQuery::default(),
        Some(query) => edge::parse_query(query)?,
    };
    let request = VerifyRequest {
        text: secret.expose().as_bytes(),
        permissions: permissions(around, &asked)?,
        workspace: asked.workspace.as_deref(),
        mode: asked.mode,
        cost: cost(&asked)?,
        credits: 0,
        client: Some(around.address),
        route: route(around, &asked)?,
        agent: head.agent,
        trust,
        settled: around.settled,
    };
    let verdict = judge_request(around, &request)?;
    Ok((verdict, request.permissions))
}

/// Verifies the key of `request` for the bearer's own call, and counts the verdict.
pub(super) fn judge_request(
    around: &Around<'_>,
    request: &VerifyRequest<'_>,
) -> Result<Verdict, Unfinished<ApiError>> {
    let verdict = around.state.plane.engine().verify_at(request, around.now);
    if verdict.is_stale() {
        return Err(Unfinished::Stale);
    }
    if let Some(missing) = around.missing_shares(&verdict, request) {
        return Err(missing);
    }
    around.state.verdicts.count(verdict.code);
    around.note_failure(verdict.code)?;
    Ok(verdict)
}

fn permissions(around: &Around<'_>, asked: &CheckQuery) -> Result<PermissionSet, ApiError> {
    let Some(list) = &asked.permissions else { return Ok(PermissionSet::EMPTY) };
    if list.split(',').count() > caps::PERMISSIONS_ASKED_MAX {
        let detail = format!("At most {} permissions can be asked for.", caps::PERMISSIONS_ASKED_MAX);
        return Err(ApiError::with_detail(ErrorCode::InvalidQuery, detail));
    }
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    around
        .state
        .plane
        .engine()
        .resolve(names)
        .map_err(|error| problems::of_unknown_permission("permissions", &error))
}

fn cost(asked: &CheckQuery) -> Result<u32, ApiError> {
    match asked.cost {
        Some(cost) if cost > caps::COST_MAX => Err(ApiError::with_detail(
            ErrorCode::InvalidQuery,
            format!("cost is from 0 to {}.", caps::COST_MAX),
        )),
        cost => Ok(cost.unwrap_or(1)),
    }
}

fn route(around: &Around<'_>, asked: &CheckQuery) -> Result<RouteId, ApiError> {
    match asked.route.as_deref() {
        None => Ok(RouteId::NONE),
        Some(route) if route.len() > caps::ROUTE_MAX_BYTES => {
            let detail = format!("route has at most {} bytes.", caps::ROUTE_MAX_BYTES);
            Err(ApiError::with_detail(ErrorCode::InvalidQuery, detail))
        }
        Some(route) => Ok(around.state.plane.engine().spool().route(route)),
    }
}

/// The problem that a refusing verdict is.
pub(super) fn refusal(around: &Around<'_>, verdict: &Verdict, asked: PermissionSet) -> ApiError {
    let code = ErrorCode::from_slug(verdict.code.as_str()).unwrap_or(ErrorCode::InvalidKey);
    let error = match (&verdict.malformed, verdict.code) {
        (None, Code::ExpiredKey) => match verdict.expired_by {
            Some(cause) => ApiError::with_detail(code, cause.hint()).member("reason", cause.as_str()),
            None => ApiError::new(code),
        },
        (Some(malformed), _) => {
            ApiError::with_detail(code, malformed.hint()).member("reason", malformed.code())
        }
        (None, Code::InsufficientPermissions) => return missing(around, verdict, asked),
        _ => ApiError::new(code),
    };
    match verdict.retry_after_seconds {
        Some(seconds) => error.retry_after_seconds(u64::from(seconds)),
        None if code.status().is_server_error() || code == ErrorCode::Revoking => {
            error.retry_after_seconds(1)
        }
        None => error,
    }
}

fn missing(around: &Around<'_>, verdict: &Verdict, asked: PermissionSet) -> ApiError {
    let held = verdict.key.map_or(PermissionSet::EMPTY, |hit| hit.permissions);
    let catalogue = around.state.plane.engine().catalogue();
    let names = catalogue.names(asked.without(held)).map(str::to_owned).collect();
    ApiError::insufficient_permissions(names)
}
