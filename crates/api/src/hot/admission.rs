//! Protected routes: an application's key is verified as `/v1/check` would, and may then have what the route serves.
//!
//! Each call costs one unit of the key's and its workspace's limits, is counted before it is answered, and is answered
//! with the limit headers, refused or not.

use std::{marker::PhantomData, net::SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use http::{Response, request::Parts};
use keywright_domain::{
    ids::WorkspaceId,
    permission::{Builtin, PermissionSet},
    permit::Actor,
    workspace::Slug,
};
use keywright_engine::{KeyHit, Moment, Trust, Verdict, VerifyRequest};
use keywright_keyformat::KeyKind;

use super::{answer, check, head::Head, request::Around};
use crate::{
    actor::{Caller, Origin},
    error::{ApiError, ErrorCode},
    front::FrontBody,
    limit_note::LimitNote,
    read_through::{Unfinished, read_through},
    state::AppState,
};

/// What a protected route serves, as a type.
pub(crate) trait Opens: Send + Sync + 'static {
    /// What the key must be allowed, all of it.
    const NEEDS: &'static [Builtin];
}

macro_rules! define_opens {
    ($($name:ident [$($needed:ident)*];)+) => {$(
        #[doc = concat!("What keys may have with `", stringify!([$($needed)*]), "`.")]
        pub(crate) struct $name;
        impl Opens for $name {
            const NEEDS: &'static [Builtin] = &[$(Builtin::$needed),*];
        }
    )+};
}
define_opens! {
    AnyKey [];
    ReadPrompts [PromptsRead];
    ListPrompts [PromptsList];
    DownloadContext [ContextDownload];
}

/// A key that was verified for this very request.
pub(crate) struct Admitted<O> {
    /// Who calls; always a key.
    pub(crate) caller: Caller,
    /// The key.
    pub(crate) key: KeyHit,
    /// Slug of its workspace.
    pub(crate) workspace: Slug,
    opens: PhantomData<O>,
}

impl<O: Opens> FromRequestParts<AppState> for Admitted<O> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let origin = Origin::from_request_parts(parts, state).await?;
        let is_operator = |text: &str| text.starts_with(KeyKind::Operator.prefix());
        if crate::credentials::presented_secret(&parts.headers).is_ok_and(|text| is_operator(text.expose())) {
            Caller::from_request_parts(parts, state).await?;
            return Err(ApiError::with_detail(
                ErrorCode::InsufficientPermissions,
                "This opens with a key of a workspace (sk_…); an operator credential has no workspace.",
            ));
        }
        let verdict = judge_parts(parts, state, needs::<O>()).await?;
        let key = verdict.key.ok_or_else(incomplete)?;
        let mut buffer = Vec::new();
        let details = state.plane.engine().details(&key, &mut buffer).ok_or_else(incomplete)?;
        let actor = Actor::Key {
            key: key.id,
            workspace: details.workspace,
            creator: details.creator,
            permissions: key.permissions,
        };
        let workspace = Slug::parse(details.workspace_slug).map_err(|_| incomplete())?;
        Ok(Self {
            caller: Caller { actor, signed_in: None, key: Some(key), origin },
            key,
            workspace,
            opens: PhantomData,
        })
    }
}

impl<O> Admitted<O> {
    /// The id of the key's workspace.
    pub(crate) fn workspace_id(&self) -> WorkspaceId {
        match self.caller.actor {
            Actor::Key { workspace, .. } => workspace,
            _ => unreachable!("only keys are admitted"),
        }
    }
}

/// What a key needs for it.
pub(super) fn needs<O: Opens>() -> PermissionSet {
    O::NEEDS.iter().fold(PermissionSet::EMPTY, |needs, permission| needs.with(permission.bit()))
}

/// The key was changed between two looks at it.
pub(super) fn incomplete() -> ApiError {
    ApiError::new(ErrorCode::Unavailable).retry_after_seconds(1)
}

/// The verdict on the key of a request that came through the router.
async fn judge_parts(
    parts: &Parts,
    state: &AppState,
    permissions: PermissionSet,
) -> Result<Verdict, ApiError> {
    let ConnectInfo(peer) = *parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .ok_or_else(|| ApiError::internal("a request without the address of its peer"))?;
    let head = Head::of_parts(state, parts, peer);
    let mut around = Around::new(state, &head, Moment::read(&*state.clock));
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let route = format!("{} {route}", parts.method);
    let verdict = judge_patiently(&mut around, &head, permissions, &route).await?;
    leave_limits(parts, &around, &verdict);
    if verdict.is_valid() { Ok(verdict) } else { Err(check::refusal(&around, &verdict, permissions)) }
}

/// As [`judge`]; limits are settled with the other nodes, and what has to be known is waited for.
///
/// # Errors
/// Why there is no verdict.
pub(super) async fn judge_patiently(
    around: &mut Around<'_>,
    head: &Head<'_>,
    permissions: PermissionSet,
    route: &str,
) -> Result<Verdict, ApiError> {
    let state = around.state;
    loop {
        let judged = read_through(state, |trust| {
            around.now = Moment::read(&*state.clock);
            judge(around, head, permissions, route, trust)
        });
        match judged.await {
            Err(Unfinished::Share(missing)) if around.settle(&missing).await => {}
            judged => return judged.map_err(|unfinished| around.finish(unfinished)),
        }
    }
}

/// The verdict on the key of a request for this route.
///
/// # Errors
/// Why there is none. Nothing was spent or counted then.
pub(super) fn judge(
    around: &Around<'_>,
    head: &Head<'_>,
    permissions: PermissionSet,
    route: &str,
    trust: Trust,
) -> Result<Verdict, Unfinished<ApiError>> {
    let secret = head.secret.map_err(ApiError::from)?;
    let request = VerifyRequest {
        permissions,
        client: Some(around.address),
        route: around.state.plane.engine().spool().route(route),
        agent: head.agent,
        trust,
        settled: around.settled,
        ..VerifyRequest::new(secret.expose().as_bytes())
    };
    check::judge_request(around, &request)
}

/// Leaves the limit headers for the boundary.
fn leave_limits(parts: &Parts, around: &Around<'_>, verdict: &Verdict) {
    if let Some(note) = parts.extensions.get::<LimitNote>() {
        let mut headers = Response::new(FrontBody::Empty);
        answer::limit_headers(around, verdict, &mut headers);
        note.leave(std::mem::take(headers.headers_mut()));
    }
}
