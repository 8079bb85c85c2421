//! `POST /v1/keys/verify`: a backend asks whether a key is good, for this.

use std::{
    borrow::Cow,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Body;
use keywright_domain::{
    caps,
    environment::Mode,
    permission::PermissionSet,
    permit::{self, Action},
    usage::AgentClass,
    verdict::Code,
};
use keywright_engine::{Caller, Moment, RouteId, Trust, Unavailable, VerifyRequest};
use serde::Deserialize;

use super::{
    agent::class_of,
    answer::{self, Audience},
    head::Head,
    outlet::Outlet,
    quick::Quick,
    request::{Around, check_url},
};
use crate::{
    actor,
    cluster::Stale,
    edge,
    error::{ApiError, ErrorCode},
    front::FrontBody,
    read_through::{Unfinished, read_through},
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
    #[schema(max_items = 32, example = json!(["prompts:read"]))]
    permissions: Vec<Cow<'a, str>>,
    /// Slug of the workspace whose resource is asked for.
    #[serde(borrow, default)]
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,46}[a-z0-9])?$", example = "acme")]
    workspace: Option<Cow<'a, str>>,
    /// `live` or `test`: which resources are asked for.
    #[serde(default)]
    #[schema(value_type = Option<crate::wire::Mode>, example = "live")]
    mode: Option<Mode>,
    /// Cost units to spend, 0 to 1,000,000; 0 checks without spending. Default 1.
    #[serde(default = "one")]
    #[schema(maximum = 1_000_000, example = 1)]
    cost: u32,
    /// Credits to spend from the prepaid balance of the key or, if it has none, of its `external_id`; 0 to 1,000,000.
    /// Together with the limits, all or nothing. Too few left: `quota_exceeded`, with `credits` in the answer. Default 0.
    #[serde(default)]
    #[schema(maximum = 1_000_000, example = 0)]
    credits: u32,
    /// Address of the client, for keys with allowed networks and for the access ledger.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "203.0.113.7")]
    client_ip: Option<IpAddr>,
    /// The route asked for, for the access ledger. At most 128 bytes.
    #[serde(borrow, default)]
    #[schema(max_length = 128, example = "POST /v1/chat")]
    route: Option<Cow<'a, str>>,
    /// The client's user agent; only its class is kept.
    #[serde(borrow, default)]
    #[schema(example = "curl/8.5.0")]
    user_agent: Option<Cow<'a, str>>,
    /// List every check and which one decided.
    #[serde(default)]
    explain: bool,
    /// `memory` (default): the node answers from memory, as long as it is sure enough to know the latest changes.
    /// `database`: it asks the database first whether it knows them all.
    #[serde(default)]
    #[schema(inline, example = "memory")]
    consistency: Consistency,
    /// The `sequence` of a change that the answer must reflect. A node that does not know it in two seconds asks the database, and answers
    /// 503 where that cannot be reached. One that no change has yet is refused.
    #[serde(default)]
    #[schema(example = 42)]
    min_seq: Option<u64>,
}

/// What an answer has to go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Consistency {
    /// The state in memory, under its lease.
    #[default]
    Memory,
    /// Everything that was committed before the call.
    Database,
}

/// What a question asks of the state that answers it.
#[derive(Default, Deserialize)]
struct Demand {
    #[serde(default)]
    consistency: Consistency,
    #[serde(default)]
    min_seq: Option<u64>,
}

/// How long a node may take to reach a change that a question names.
const HERE_PATIENCE: Duration = Duration::from_secs(2);

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
    let mut around = Around::new(state, &head, Moment::read(&*state.clock));
    let mut response = Response::new(FrontBody::Empty);
    match verify_around(&mut around, &head, &parts.headers, body, &mut response).await {
        Ok(()) => response,
        Err(error) => around.refuse(&error),
    }
}

async fn verify_around<B>(
    around: &mut Around<'_>,
    head: &Head<'_>,
    headers: &HeaderMap,
    body: B,
    response: &mut Response<FrontBody>,
) -> Result<(), ApiError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<axum::BoxError>,
{
    let caller = read_through(around.state, |trust| authenticate(around, head, trust)).await?;
    let body = edge::read_json_body(headers, body).await?;
    judge_settled(around, &caller, &body, response).await
}

/// Puts the answer to a request that is there completely into `outlet`, and waits for what has to be known first.
pub(super) async fn answer_patiently(
    state: &AppState,
    head: &Head<'_>,
    body: &[u8],
    outlet: &mut impl Outlet,
) {
    let mut around = Around::new(state, head, Moment::read(&*state.clock));
    let caller = read_through(state, |trust| authenticate(&around, head, trust)).await;
    let judged = match caller {
        Ok(caller) => judge_settled(&mut around, &caller, body, outlet).await,
        Err(unfinished) => Err(unfinished.into()),
    };
    if let Err(error) = judged {
        outlet.whole(around.refuse(&error));
    }
}

/// Judges what `body` asks, and settles its limits with the other nodes.
async fn judge_settled(
    around: &mut Around<'_>,
    caller: &Caller,
    body: &[u8],
    outlet: &mut impl Outlet,
) -> Result<(), ApiError> {
    loop {
        match judge_patiently(around, caller, body, outlet).await {
            Err(Unfinished::Share(missing)) if around.settle(&missing).await => {}
            Err(Unfinished::Credits(missing)) if around.draw(&missing).await => {}
            judged => return judged.map_err(|unfinished| around.finish(unfinished)),
        }
    }
}

/// Judges what `body` asks, and waits for what this node has to know first.
async fn judge_patiently(
    around: &mut Around<'_>,
    caller: &Caller,
    body: &[u8],
    outlet: &mut impl Outlet,
) -> Result<(), Unfinished<ApiError>> {
    let state = around.state;
    let mut judge_now = |trust| {
        // The body, or the store, may have been waited for.
        around.now = Moment::read(&*state.clock);
        judge(around, caller, body, trust, outlet)
    };
    match judge_now(Trust::Lease) {
        Err(Unfinished::Stale) => {}
        finished => return finished,
    }
    let asked: Demand = serde_json::from_slice(body).unwrap_or_default();
    if let Some(sequence) = asked.min_seq.filter(|sequence| *sequence > state.plane.engine().applied()) {
        reach(state, sequence).await?;
    }
    if asked.consistency == Consistency::Database {
        // Not under the lease first, however long it lasts.
        return match state.plane.cluster().fresh().await {
            Ok(()) => judge_now(Trust::Fresh),
            Err(Stale) => Err(Unfinished::Stale),
        };
    }
    read_through(state, judge_now).await
}

/// Waits until this node goes by the change with this number.
///
/// # Errors
/// `stale_verifier` when the store cannot be asked either; `invalid_field` when no change has this number yet.
async fn reach(state: &AppState, sequence: u64) -> Result<(), ApiError> {
    let is_known = || sequence <= state.plane.engine().applied();
    let reached = state.plane.cluster().here(sequence, HERE_PATIENCE).await;
    if reached.is_ok() && is_known() {
        return Ok(());
    }
    // Everything that was committed is applied then: to wait for more would be in vain.
    state.plane.cluster().fresh().await.map_err(ApiError::from)?;
    if is_known() {
        return Ok(());
    }
    Err(ApiError::invalid_field("min_seq", "`min_seq` is beyond the newest change of this installation."))
}

/// Puts the answer to a request that is there completely into `outlet`. The caller of this has checked that `body` is
/// declared as JSON and not empty.
///
/// # Errors
/// Who can answer it, where nothing can be said from memory. Nothing was done then.
pub(super) fn try_answer(
    state: &AppState,
    head: &Head<'_>,
    body: &[u8],
    now: Moment,
    outlet: &mut impl Outlet,
) -> Result<(), Quick> {
    let around = Around::new(state, head, now);
    let judged = authenticate(&around, head, Trust::Lease)
        .and_then(|caller| judge(&around, &caller, body, Trust::Lease, outlet));
    match judged {
        Err(Unfinished::Stale) => return Err(Quick::Other),
        Err(Unfinished::Share(_) | Unfinished::Credits(_)) => return Err(Quick::Later),
        Err(Unfinished::Failed(error)) => outlet.whole(around.refuse(&error)),
        Ok(()) => {}
    }
    Ok(())
}

/// The caller, who must hold `keys:verify`.
fn authenticate(around: &Around<'_>, head: &Head<'_>, trust: Trust) -> Result<Caller, Unfinished<ApiError>> {
    check_url(head.query)?;
    let caller = caller(around, head, trust)?;
    permit::authorize(caller.actor, Action::VerifyKeys, None).map_err(actor::denied)?;
    Ok(caller)
}

fn caller(around: &Around<'_>, head: &Head<'_>, trust: Trust) -> Result<Caller, Unfinished<ApiError>> {
    let secret = head.secret.map_err(ApiError::from)?;
    let request = VerifyRequest {
        client: Some(around.address),
        agent: head.agent,
        trust,
        ..VerifyRequest::new(secret.expose().as_bytes())
    };
    around.state.plane.engine().authenticate(&request, around.now).or_else(|refusal| {
        if refusal.unavailable == Some(Unavailable::Stale) {
            return Err(Unfinished::Stale);
        }
        around.note_failure(refusal.code)?;
        Err(actor::refusal(refusal.into()).into())
    })
}

/// Judges what `body` asks. Nothing was put into `outlet` when this is an error.
fn judge(
    around: &Around<'_>,
    caller: &Caller,
    body: &[u8],
    trust: Trust,
    outlet: &mut impl Outlet,
) -> Result<(), Unfinished<ApiError>> {
    // serde would read an object from a list, too.
    if body.trim_ascii_start().first() == Some(&b'{')
        && let Ok(asked) = serde_json::from_slice(body)
    {
        return judge_asked(around, caller, &asked, trust, outlet);
    }
    // The slow way finds out what exactly is wrong.
    let body = Bytes::copy_from_slice(body);
    judge_asked(around, caller, &edge::parse_json_borrowed(&body)?, trust, outlet)
}

fn judge_asked(
    around: &Around<'_>,
    caller: &Caller,
    asked: &VerifyBody<'_>,
    trust: Trust,
    outlet: &mut impl Outlet,
) -> Result<(), Unfinished<ApiError>> {
    check_ranges(asked)?;
    let engine = around.state.plane.engine();
    if asked.consistency == Consistency::Database && trust == Trust::Lease
        || asked.min_seq.is_some_and(|sequence| sequence > engine.applied())
    {
        return Err(Unfinished::Stale);
    }
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
        credits: asked.credits,
        client: asked.client_ip,
        route: asked.route.as_deref().map_or(RouteId::NONE, |route| engine.spool().route(route)),
        agent: asked.user_agent.as_deref().map_or(AgentClass::Unknown, class_of),
        trust,
        settled: around.settled,
    };
    let verdict = engine.verify_at(&request, around.now);
    if verdict.is_stale() {
        return Err(Unfinished::Stale);
    }
    if let Some(missing) =
        around.missing_shares(&verdict, &request).or_else(|| around.missing_credits(&verdict, &request))
    {
        return Err(missing);
    }
    around.state.verdicts.count(verdict.code);
    if verdict.code == Code::Unavailable {
        // Not "invalid": that would lock out good customers.
        return Err(ApiError::new(ErrorCode::Unavailable).retry_after_seconds(1).into());
    }
    let checks = asked.explain.then(|| engine.explain(&request, around.now, &verdict));
    answer::verdict(around, &audience, &verdict, permissions, checks.as_deref(), outlet);
    Ok(())
}

fn check_ranges(asked: &VerifyBody<'_>) -> Result<(), ApiError> {
    if asked.cost > caps::COST_MAX {
        return Err(ApiError::invalid_field("cost", format!("cost is from 0 to {}.", caps::COST_MAX)));
    }
    if asked.credits > caps::CREDITS_PER_CALL_MAX {
        let detail = format!("credits is from 0 to {}.", caps::CREDITS_PER_CALL_MAX);
        return Err(ApiError::invalid_field("credits", detail));
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
