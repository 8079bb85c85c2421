//! The answers of the hot routes, written byte by byte: a verdict is a few hundred bytes of known shape.

use http::StatusCode;
use keywright_domain::{permission::PermissionSet, verdict::Code, workspace::WorkspaceNumber};
use keywright_engine::{
    Caller, CheckOutcome, Engine, ExplainedCheck, KeyHit, LeaseEnd, LimitReading, Verdict,
};

use super::{
    outlet::{Outlet, push_number},
    request::Around,
};

/// What most verdicts fit in, so that their text is allocated once.
const BODY_BYTES: usize = 1_024;

/// No workspace has this slug: asking for it, every key is of another workspace.
const NO_WORKSPACE: &str = "";

/// Who reads the answer: the operator sees every key, a workspace's key only those of its workspace.
pub(super) struct Audience<'engine> {
    engine: &'engine Engine,
    /// The only workspace whose keys may be told about, with its slug.
    own: Option<(WorkspaceNumber, &'engine str)>,
}

impl<'engine> Audience<'engine> {
    /// The audience that `caller` is.
    pub(super) fn of(caller: &Caller, engine: &'engine Engine) -> Self {
        Self::of_key(caller.key, engine)
    }

    /// The audience of a caller that presented this key, or an operator credential.
    pub(super) fn of_key(key: Option<KeyHit>, engine: &'engine Engine) -> Self {
        let own =
            key.map(|hit| (hit.workspace, engine.workspace_slug(hit.workspace).unwrap_or(NO_WORKSPACE)));
        Self { engine, own }
    }

    /// The workspace to ask for: the one named, but never another than the audience's own.
    pub(super) fn workspace_asked<'a>(&self, named: Option<&'a str>) -> Option<&'a str>
    where
        'engine: 'a,
    {
        match (self.own, named) {
            (None, named) => named,
            (Some((_, own)), None) => Some(own),
            // Also under a slug that it had before.
            (Some((number, _)), Some(named)) if self.engine.is_called(number, named) => Some(named),
            (Some(_), Some(_)) => Some(NO_WORKSPACE),
        }
    }

    fn may_see(&self, workspace: WorkspaceNumber) -> bool {
        self.own.is_none_or(|(own, _)| own == workspace)
    }
}

/// The answer of `POST /v1/keys/verify`.
pub(super) fn verdict(
    around: &Around<'_>,
    audience: &Audience<'_>,
    verdict: &Verdict,
    asked: PermissionSet,
    checks: Option<&[(ExplainedCheck, CheckOutcome)]>,
    outlet: &mut impl Outlet,
) {
    let mut body = Body(String::with_capacity(BODY_BYTES));
    let code = verdict.code;
    body.raw(if code == Code::Valid { r#"{"valid":true,"code":""# } else { r#"{"valid":false,"code":""# });
    body.raw(code.as_str());
    body.raw("\"");
    if let Some(malformed) = &verdict.malformed {
        body.raw(r#","reason":""#);
        body.raw(malformed.code());
        body.raw(r#"","hint":"#);
        body.text(&malformed.hint());
    }
    if let Some(cause) = verdict.expired_by {
        body.raw(r#","reason":""#);
        body.raw(cause.as_str());
        body.raw(r#"","hint":"#);
        body.text(cause.hint());
    }
    if let Some(hit) = &verdict.key {
        describe(&mut body, around.state.plane.engine(), audience, hit, asked, code);
    }
    limits(&mut body, around.state.plane.engine(), verdict);
    if let Some(credits) = &verdict.credits {
        body.raw(r#","credits":{"spent":"#);
        push_number(&mut body.0, credits.spent.into());
        body.raw(r#","remaining":"#);
        push_number(&mut body.0, credits.remaining);
        body.raw("}");
    }
    freshness(&mut body, around, verdict);
    if let Some(checks) = checks {
        explain(&mut body, checks);
    }
    body.raw(r#","request_id":""#);
    around.request_id.push_text(&mut body.0);
    body.raw("\"}");
    outlet.status(StatusCode::OK);
    outlet.header("content-type", |value| value.push_str("application/json"));
    last_headers(around, outlet);
    outlet.end_with(body.0);
}

/// The answer of `/v1/check` for a good key: no body, what proxies pass on in headers.
pub(super) fn checked(around: &Around<'_>, verdict: &Verdict, outlet: &mut impl Outlet) {
    outlet.status(StatusCode::NO_CONTENT);
    if let Some(hit) = &verdict.key {
        outlet.header("x-keywright-key-id", |value| hit.id.push_text(value));
        outlet.header("x-keywright-environment", |value| value.push_str(hit.environment.as_str()));
        if let Some(slug) = around.state.plane.engine().workspace_slug(hit.workspace) {
            outlet.header("x-keywright-workspace", |value| value.push_str(slug));
        }
    }
    limit_headers(around, verdict, outlet);
    last_headers(around, outlet);
    outlet.end();
}

fn last_headers(around: &Around<'_>, outlet: &mut impl Outlet) {
    outlet.header("cache-control", |value| value.push_str("no-store"));
    outlet.header("x-request-id", |value| around.request_id.push_text(value));
}

/// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) for every window, and the
/// `X-RateLimit-…` of the tightest one.
pub(super) fn limit_headers(around: &Around<'_>, verdict: &Verdict, outlet: &mut impl Outlet) {
    let engine = around.state.plane.engine();
    let Some(tightest) = engine.limit_readings(verdict).min_by_key(|reading| reading.remaining) else {
        return;
    };
    let list = |value: &mut String, numbers: fn(&LimitReading<'_>) -> [(&'static str, u32); 2]| {
        for (position, reading) in engine.limit_readings(verdict).enumerate() {
            value.push_str(if position == 0 { "\"" } else { ", \"" });
            value.push_str(reading.name);
            value.push('"');
            for (name, number) in numbers(&reading) {
                value.push_str(name);
                push_number(value, number.into());
            }
        }
    };
    outlet.header("ratelimit", |value| {
        list(value, |reading| [(";r=", reading.remaining), (";t=", reading.reset_seconds)]);
    });
    outlet.header("ratelimit-policy", |value| {
        list(value, |reading| [(";q=", reading.limit), (";w=", reading.window_seconds)]);
    });
    let reset_at = around.now.wall.unix_seconds().saturating_add(i64::from(tightest.reset_seconds));
    outlet.number("x-ratelimit-limit", tightest.limit.into());
    outlet.number("x-ratelimit-remaining", tightest.remaining.into());
    outlet.number("x-ratelimit-reset", u64::try_from(reset_at).unwrap_or(0));
}

/// What is known of a key whose secret was right, as far as the audience may know it.
fn describe(
    body: &mut Body,
    engine: &Engine,
    audience: &Audience<'_>,
    hit: &KeyHit,
    asked: PermissionSet,
    code: Code,
) {
    if !audience.may_see(hit.workspace) {
        return;
    }
    let mut buffer = Vec::new();
    let Some(details) = engine.details(hit, &mut buffer) else { return };
    body.raw(r#","key_id":""#);
    hit.id.push_text(&mut body.0);
    body.raw(r#"","workspace":""#);
    body.raw(details.workspace_slug);
    body.raw(r#"","environment":""#);
    body.raw(hit.environment.as_str());
    body.raw(r#"","mode":""#);
    body.raw(hit.environment.mode().as_str());
    body.raw(r#"","principal":{"type":""#);
    body.raw(details.creator.principal.kind());
    body.raw(r#"","id":""#);
    body.raw(&details.creator.principal.id_text());
    body.raw(r#""},"permissions":"#);
    let catalogue = engine.catalogue();
    body.names(catalogue.names(hit.permissions));
    if code == Code::InsufficientPermissions {
        body.raw(r#","missing_permissions":"#);
        body.names(catalogue.names(asked.without(hit.permissions)));
    }
    body.raw(r#","external_id":"#);
    match details.external_id {
        Some(external_id) => body.text(external_id),
        None => body.raw("null"),
    }
    body.raw(r#","metadata":"#);
    // Compact JSON since it was stored.
    body.raw(if details.metadata.is_empty() { "{}" } else { details.metadata });
}

/// How current the verdict is, and how long this node may go on without hearing from the others.
fn freshness(body: &mut Body, around: &Around<'_>, verdict: &Verdict) {
    body.raw(r#","as_of_seq":"#);
    push_number(&mut body.0, verdict.as_of);
    body.raw(r#","lease_left_ms":"#);
    if verdict.lease == LeaseEnd::NEVER {
        body.raw("null");
    } else {
        push_number(&mut body.0, verdict.lease.0.saturating_sub(around.now.boot_ns) / 1_000_000);
    }
}

fn limits(body: &mut Body, engine: &Engine, verdict: &Verdict) {
    body.raw(r#","limits":["#);
    for (position, reading) in engine.limit_readings(verdict).enumerate() {
        body.raw(if position == 0 { r#"{"name":""# } else { r#",{"name":""# });
        body.raw(reading.name);
        body.raw(r#"","scope":""#);
        body.raw(match reading.scope {
            keywright_engine::LimitScope::Key => "key",
            keywright_engine::LimitScope::Workspace => "workspace",
        });
        body.raw(r#"","limit":"#);
        body.number(reading.limit);
        body.raw(r#","remaining":"#);
        body.number(reading.remaining);
        body.raw(r#","reset_seconds":"#);
        body.number(reading.reset_seconds);
        body.raw("}");
    }
    body.raw("]");
    if let Some(seconds) = verdict.retry_after_seconds {
        body.raw(r#","retry_after_seconds":"#);
        body.number(seconds);
    }
}

fn explain(body: &mut Body, checks: &[(ExplainedCheck, CheckOutcome)]) {
    let decided = checks.iter().position(|(_, outcome)| matches!(outcome, CheckOutcome::Refused(_)));
    body.raw(r#","checks":["#);
    for (position, (check, outcome)) in checks.iter().enumerate() {
        body.raw(if position == 0 { r#"{"check":""# } else { r#",{"check":""# });
        body.raw(check.as_str());
        body.raw(r#"","outcome":""#);
        match outcome {
            CheckOutcome::Passed => body.raw("passed\""),
            CheckOutcome::NotMade => body.raw("not_made\""),
            CheckOutcome::Refused(code) => {
                body.raw(r#"refused","code":""#);
                body.raw(code.as_str());
                body.raw("\"");
            }
        }
        body.raw(if decided == Some(position) { r#","decided":true}"# } else { r#","decided":false}"# });
    }
    body.raw("]");
}

/// JSON under construction.
struct Body(String);

impl Body {
    /// Appends text that is JSON, or holds nothing that JSON escapes.
    fn raw(&mut self, json: &str) {
        self.0.push_str(json);
    }

    fn number(&mut self, number: u32) {
        push_number(&mut self.0, number.into());
    }

    /// Appends a string of any content.
    fn text(&mut self, text: &str) {
        let quoted = serde_json::to_string(text).expect("a string is always JSON");
        self.0.push_str(&quoted);
    }

    /// Appends a list of permission names, whose form needs no escapes.
    fn names<'name>(&mut self, names: impl Iterator<Item = &'name str>) {
        self.raw("[");
        for (position, name) in names.enumerate() {
            self.raw(if position == 0 { "\"" } else { ",\"" });
            self.raw(name);
            self.raw("\"");
        }
        self.raw("]");
    }
}
