//! `POST /v1/keys/verify`: a backend asks whether a key is good, for this.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use keywright_domain::{
    caps,
    environment::Mode,
    permission::PermissionSet,
    permit::{self, Action},
    usage::AgentClass,
    verdict::Code,
};
use keywright_engine::{Caller, Moment, RouteId, Trust, VerifyRequest};
use serde::Deserialize;

use super::{
    agent::class_of,
    answer::{self, Audience},
    head::Head,
    outlet::Outlet,
    request::{Around, check_url},
};
use crate::{
    actor, edge,
    error::{ApiError, ErrorCode},
    front::FrontBody,
    state::AppState,
    v1::problems,
};

/// Where the route is.
pub(crate) const VERIFY_PATH: &str = "/v1/keys/verify";

/// What a backend asks about a presented key.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyBody<'a> {
    /// The key as the client presented it, whatever it is.
    #[serde(borrow)]
    #[schema(example = "sk_live_aB3dE6gH9kLmaB3dE6gH9kLmaB3dE6gH9kLmaB3dE6")]
    key: PresentedKey<'a>,
    /// Permissions that the request needs, all of them.
    #[serde(borrow, default)]
    #[schema(example = json!(["prompts:read"]))]
    permissions: Vec<Cow<'a, str>>,
    /// Slug of the workspace whose resource is asked for.
    #[serde(borrow, default)]
    #[schema(example = "acme")]
    workspace: Option<Cow<'a, str>>,
    /// `live` or `test`: which resources are asked for.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "live")]
    mode: Option<Mode>,
    /// Cost units to spend, 0 to 1,000,000; 0 checks without spending. Default 1.
    #[serde(default = "one")]
    #[schema(example = 1)]
    cost: u32,
    /// Address of the client, for keys with allowed networks and for the access ledger.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    client_ip: Option<IpAddr>,
    /// The route asked for, for the access ledger. At most 128 bytes.
    #[serde(borrow, default)]
    #[schema(example = "POST /v1/chat")]
    route: Option<Cow<'a, str>>,
    /// The client's user agent; only its class is kept.
    #[serde(borrow, default)]
    #[schema(example = "curl/8.5.0")]
    user_agent: Option<Cow<'a, str>>,
    /// List every check and which one decided.
    #[serde(default)]
    explain: bool,
}

/// The presented text: never shown.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub(crate) struct PresentedKey<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PresentedKey(…)")
    }
}

const fn one() -> u32 {
    1
}

/// Answers `POST /v1/keys/verify`.
pub(crate) async fn verify<B>(state: &AppState, request: Request<B>, peer: SocketAddr) -> Response<FrontBody>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    let (parts, body) = request.into_parts();
    let head = Head::of_parts(state, &parts, peer);
    let around = Around::new(state, &head, Moment::read(&*state.clock));
    let caller = match authenticate(&around, &head) {
        Ok(caller) => caller,
        Err(error) => return around.refuse(&error),
    };
    let body = match edge::read_json_body(&parts.headers, body).await {
        Ok(body) => body,
        Err(error) => return around.refuse(&error),
    };
    let mut response = Response::new(FrontBody::Empty);
    match judge(&around, &caller, &body, &mut response) {
        Ok(()) => response,
        Err(error) => around.refuse(&error),
    }
}

/// Puts the answer to a request that is there completely into `outlet`. The caller of this has checked that `body` is
/// declared as JSON and not empty.
pub(super) fn answer(state: &AppState, head: &Head<'_>, body: &[u8], now: Moment, outlet: &mut impl Outlet) {
    let around = Around::new(state, head, now);
    let judged = authenticate(&around, head).and_then(|caller| judge(&around, &caller, body, outlet));
    if let Err(error) = judged {
        outlet.whole(around.refuse(&error));
    }
}

/// The caller, who must hold `keys:verify`.
fn authenticate(around: &Around<'_>, head: &Head<'_>) -> Result<Caller, ApiError> {
    check_url(head.query)?;
    let caller = caller(around, head)?;
    permit::authorize(caller.actor, Action::VerifyKeys, None).map_err(actor::denied)?;
    Ok(caller)
}

fn caller(around: &Around<'_>, head: &Head<'_>) -> Result<Caller, ApiError> {
    let secret = head.secret?;
    let request = VerifyRequest {
        client: Some(around.address),
        agent: head.agent,
        ..VerifyRequest::new(secret.expose().as_bytes())
    };
    around.state.plane.engine().authenticate(&request, around.now).or_else(|refusal| {
        around.note_failure(refusal.code)?;
        Err(actor::refusal(refusal.into()))
    })
}

/// Judges what `body` asks. Nothing was put into `outlet` when this is an error.
fn judge(
    around: &Around<'_>,
    caller: &Caller,
    body: &[u8],
    outlet: &mut impl Outlet,
) -> Result<(), ApiError> {
    // serde would read an object from a list, too.
    if body.trim_ascii_start().first() == Some(&b'{')
        && let Ok(asked) = serde_json::from_slice(body)
    {
        return judge_asked(around, caller, &asked, outlet);
    }
    // The slow way finds out what exactly is wrong.
    let body = Bytes::copy_from_slice(body);
    judge_asked(around, caller, &edge::parse_json_borrowed(&body)?, outlet)
}

fn judge_asked(
    around: &Around<'_>,
    caller: &Caller,
    asked: &VerifyBody<'_>,
    outlet: &mut impl Outlet,
) -> Result<(), ApiError> {
    check_ranges(asked)?;
    let engine = around.state.plane.engine();
    let permissions = if asked.permissions.is_empty() {
        PermissionSet::EMPTY
    } else {
        let names = asked.permissions.iter().map(|name| &**name);
        engine.resolve(names).map_err(|error| problems::of_unknown_permission("permissions", &error))?
    };
    let audience = Audience::of(caller, engine);
    let request = VerifyRequest {
        text: asked.key.0.as_bytes(),
        permissions,
        workspace: audience.workspace_asked(asked.workspace.as_deref()),
        mode: asked.mode,
        cost: asked.cost,
        client: asked.client_ip,
        route: asked.route.as_deref().map_or(RouteId::NONE, |route| engine.spool().route(route)),
        agent: asked.user_agent.as_deref().map_or(AgentClass::Unknown, class_of),
        trust: Trust::Lease,
    };
    let verdict = engine.verify_at(&request, around.now);
    around.state.verdicts.count(verdict.code);
    if verdict.code == Code::Unavailable {
        // Not "invalid": that would lock out good customers.
        return Err(ErrorCode::Unavailable.into());
    }
    let checks = asked.explain.then(|| engine.explain(&request, around.now, &verdict));
    answer::verdict(around, &audience, &verdict, permissions, checks.as_deref(), outlet);
    Ok(())
}

fn check_ranges(asked: &VerifyBody<'_>) -> Result<(), ApiError> {
    if asked.cost > caps::COST_MAX {
        return Err(ApiError::invalid_field("cost", format!("cost is from 0 to {}.", caps::COST_MAX)));
    }
    if asked.permissions.len() > caps::PERMISSIONS_ASKED_MAX {
        let detail = format!("At most {} permissions can be asked for.", caps::PERMISSIONS_ASKED_MAX);
        return Err(ApiError::invalid_field("permissions", detail));
    }
    if asked.route.as_ref().is_some_and(|route| route.len() > caps::ROUTE_MAX_BYTES) {
        return Err(ApiError::invalid_field(
            "route",
            format!("route has at most {} bytes.", caps::ROUTE_MAX_BYTES),
        ));
    }
    let known_slug =
        asked.workspace.as_ref().is_none_or(|slug| keywright_domain::workspace::Slug::parse(slug).is_ok());
    if known_slug {
        Ok(())
    } else {
        Err(ApiError::with_detail(ErrorCode::InvalidField, "workspace is the slug of a workspace.")
            .member("field", "workspace"))
    }
}
