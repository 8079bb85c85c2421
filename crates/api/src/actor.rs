//! Who calls, and the proof that they may: extractors that an endpoint names in its arguments.
//!
//! A workspace that the caller may not see is answered exactly like one that does not exist.

use std::{
    marker::PhantomData,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use http::{HeaderMap, Method, header, request::Parts};
use keywright_domain::{
    account::{AccountCommand, SessionState, SignedIn},
    audit::PersonalData,
    caps,
    command::{Command, Context, Idempotency},
    entropy::random_bytes,
    ids::{AuditId, KeyId, RequestId, ReservationId, WorkspaceId},
    key::ApiKey,
    permission::{Builtin, PermissionSet},
    permit::{self, ActingMember, Action, Actor, Denied, Permit},
    time::Timestamp,
    usage::AgentClass,
    verdict::Code,
    workspace::{Slug, Workspace},
};

use keywright_engine::{KeyHit, Moment};

use crate::{
    cluster::Stale,
    credentials::presented_secret,
    edge::{self, StrictPath},
    error::{ApiError, ErrorCode},
    idempotency::{IdempotencyKey, RequestFingerprint},
    plane::{Presented, Refused},
    prefer,
    read_through::{Unfinished, read_through},
    session::{SessionToken, check_csrf, presented_session},
    state::AppState,
    v1::problems,
};

/// The request around a call, as the audit trail records it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The moment of the request: one for all that it does.
    pub(crate) now: Timestamp,
    /// Its id.
    pub(crate) request_id: Option<RequestId>,
    /// From where it came, if known.
    pub(crate) address: Option<IpAddr>,
    pub(crate) user_agent: Option<String>,
    method: Method,
    path: Arc<str>,
    idempotency_key: Option<IdempotencyKey>,
    /// How long the caller is ready to wait, if it says so, in seconds.
    pub(crate) wait_seconds: Option<u32>,
    /// Told how long the request waits for other nodes.
    pub(crate) allowance: edge::Allowance,
}

impl Origin {
    fn read(parts: &Parts, state: &AppState) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        let id = parts.extensions.get::<edge::RequestId>();
        Ok(Self {
            now: state.clock.now(),
            request_id: id.and_then(|id| RequestId::parse(&id.0).ok()),
            address: peer.map(|peer| state.config.trusted_proxies.client_address(peer, &parts.headers)),
            user_agent: user_agent(&parts.headers),
            method: parts.method.clone(),
            path: parts.uri.path().into(),
            idempotency_key: IdempotencyKey::from_headers(&parts.headers)?,
            wait_seconds: prefer::wait_seconds(&parts.headers),
            allowance: parts.extensions.get::<edge::Allowance>().cloned().unwrap_or_default(),
        })
    }

    /// What a command carries beside itself.
    pub(crate) fn context(
        &self,
        state: &AppState,
        permit: Permit,
        idempotency: Option<Idempotency>,
    ) -> Context {
        Context {
            now: self.now,
            permit,
            audit_id: AuditId::generate(self.now, &*state.entropy),
            request_id: self.request_id,
            personal: PersonalData {
                salt: random_bytes(&*state.entropy),
                address: self.address,
                user_agent: self.user_agent.clone(),
            },
            idempotency,
        }
    }

    /// How repeats of the call with this body are recognised, if the caller sent an `Idempotency-Key`.
    pub(crate) fn idempotency(&self, actor: &Actor, body: &[u8]) -> Option<Idempotency> {
        let key = self.idempotency_key.as_ref()?;
        let actor = actor.text();
        let fingerprint = *RequestFingerprint::of(&self.method, &self.path, &actor, body).as_bytes();
        Some(Idempotency { actor, key: key.as_str().to_owned(), fingerprint })
    }
}

impl FromRequestParts<AppState> for Origin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Self::read(parts, state)
    }
}

/// The client's user agent, cut to what is kept.
fn user_agent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(text.chars().take(caps::USER_AGENT_MAX_BYTES).collect())
}

/// Someone with a good credential.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// Who.
    pub(crate) actor: Actor,
    /// The key that was presented, if it was one.
    pub(crate) key: Option<KeyHit>,
    /// The session that was presented, if it was one, and its user's memberships.
    pub(crate) signed_in: Option<Arc<SignedIn>>,
    /// The request.
    pub(crate) origin: Origin,
}

impl Caller {
    async fn authenticate(parts: &Parts, state: &AppState) -> Result<Self, ApiError> {
        let origin = Origin::read(parts, state)?;
        if let Some((token, carrier)) = presented_session(&parts.headers)? {
            check_csrf(&token, carrier, &parts.method, &parts.headers)?;
            return Self::of_session(state, &token, origin).await;
        }
        Self::of_key(parts, state, origin).await
    }

    /// The user whose session has this token. It is looked up in the store, together with the user's memberships: what was
    /// ended or taken away before is not found, on any node.
    async fn of_session(state: &AppState, token: &SessionToken, origin: Origin) -> Result<Self, ApiError> {
        let found = state.store.session(token.digest()).await.map_err(problems::of_store)?;
        let limits = state.config.session_limits;
        let found = found.filter(|found| found.session.state(origin.now, limits) == SessionState::Live);
        let signed_in = found.ok_or(ErrorCode::InvalidSession)?;
        let session = &signed_in.session;
        let actor = Actor::User { user: session.user, session: session.id, member: None };
        let caller = Self { actor, key: None, signed_in: Some(Arc::new(signed_in)), origin };
        caller.touch(state).await;
        Ok(caller)
    }

    /// Notes that the session is in use, now and then. That this fails is no failure of the call.
    async fn touch(&self, state: &AppState) {
        let Some(session) = self.signed_in.as_ref().map(|signed_in| &signed_in.session) else { return };
        let Ok(permit) = permit::authorize(self.actor, Action::OwnAccount, None) else { return };
        if session.wants_touch(self.origin.now) {
            let command = AccountCommand::TouchSession { user: session.user, session: session.id };
            let context = self.origin.context(state, permit, None);
            if let Err(error) = state.store.execute(context, Command::Account(command)).await {
                tracing::warn!(%error, "the use of a session could not be noted");
            }
        }
    }

    async fn of_key(parts: &Parts, state: &AppState, origin: Origin) -> Result<Self, ApiError> {
        let now_ms = state.clock.boot_ns() / 1_000_000;
        let secret = presented_secret(&parts.headers)?;
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let presented = Presented {
            text: secret.expose(),
            client: origin.address,
            agent: origin.user_agent.as_deref().map_or(AgentClass::Unknown, AgentClass::of),
            route: &format!("{} {route}", parts.method),
        };
        let recognized = read_through(state, |trust| {
            let moment = Moment { wall: origin.now, ..Moment::read(&*state.clock) };
            state.plane.authenticate(&presented, moment, trust).map_err(|refused| {
                if refused.is_stale { Unfinished::Stale } else { Unfinished::Failed(refused) }
            })
        });
        match recognized.await {
            Ok(caller) => Ok(Self { actor: caller.actor, key: caller.key, signed_in: None, origin }),
            // Without a cost no share is asked for.
            Err(Unfinished::Stale | Unfinished::Share(_) | Unfinished::Credits(_)) => Err(Stale.into()),
            Err(Unfinished::Failed(refused)) => {
                if let (Code::InvalidKey, Some(address)) = (refused.code, origin.address) {
                    state.throttle.refuse_failure(address, now_ms)?;
                }
                Err(refusal(refused))
            }
        }
    }

    /// The caller's permit for `action` on a workspace (`None`: on the installation).
    ///
    /// # Errors
    /// `not_found` when the caller may not see the workspace; `insufficient_permissions`.
    pub(crate) fn permit(&self, action: Action, workspace: Option<WorkspaceId>) -> Result<Permit, ApiError> {
        permit::authorize(self.acting_in(workspace), action, workspace).map_err(denied)
    }

    /// The actor, on a workspace: a user acts there as the member that they are.
    fn acting_in(&self, workspace: Option<WorkspaceId>) -> Actor {
        let (Actor::User { user, session, .. }, Some(signed_in)) = (self.actor, &self.signed_in) else {
            return self.actor;
        };
        let mut memberships = signed_in.memberships.iter();
        let membership = memberships.find(|membership| Some(membership.workspace) == workspace);
        Actor::User { user, session, member: membership.map(ActingMember::of) }
    }

    /// The workspaces in which the caller may do one of these; `None`: in all.
    ///
    /// # Errors
    /// `insufficient_permissions` if there is none.
    pub(crate) fn workspaces_for(&self, actions: &[Action]) -> Result<Option<Vec<WorkspaceId>>, ApiError> {
        let own = match (self.actor, &self.signed_in) {
            (Actor::Operator(_) | Actor::System, _) => return Ok(None),
            (Actor::Key { workspace, .. }, _) => vec![workspace],
            (Actor::User { .. }, signed_in) => {
                let memberships = signed_in.iter().flat_map(|signed_in| &signed_in.memberships);
                memberships.map(|membership| membership.workspace).collect()
            }
        };
        let may = |workspace: &WorkspaceId| {
            actions.iter().any(|action| self.permit(*action, Some(*workspace)).is_ok())
        };
        let allowed: Vec<_> = own.into_iter().filter(may).collect();
        if !allowed.is_empty() {
            return Ok(Some(allowed));
        }
        let missing = actions.iter().filter_map(|action| action.permission()).map(Builtin::bit);
        Err(denied(Denied::Missing(missing.fold(PermissionSet::EMPTY, PermissionSet::with))))
    }

    /// The session that was shown, and the caller's permit for their own account.
    ///
    /// # Errors
    /// `insufficient_permissions` for a key.
    pub(crate) fn own_account(&self) -> Result<(&SignedIn, Permit), ApiError> {
        let permit = self.permit(Action::OwnAccount, None)?;
        let signed_in = self.signed_in.as_deref().ok_or_else(|| denied(Denied::UserOnly))?;
        Ok((signed_in, permit))
    }

    /// Checks that whoever is signed in proved lately who they are. Keys and operator credentials are proof enough.
    ///
    /// # Errors
    /// `reauthentication_required`.
    pub(crate) fn require_fresh(&self) -> Result<(), ApiError> {
        match &self.signed_in {
            Some(signed_in) if !signed_in.session.is_freshly_authenticated(self.origin.now) => {
                Err(ErrorCode::ReauthenticationRequired.into())
            }
            _ => Ok(()),
        }
    }

    /// The workspace that is, or was once, called `slug`, and the caller's permit for `action` on it.
    ///
    /// # Errors
    /// `not_found`, also when the caller may not see the workspace; `insufficient_permissions`.
    pub(crate) async fn permit_workspace(
        &self,
        state: &AppState,
        slug: &str,
        action: Action,
    ) -> Result<(Workspace, Permit), ApiError> {
        let slug = Slug::parse(slug).map_err(|_| ErrorCode::NotFound)?;
        let workspace =
            state.store.workspace(slug).await.map_err(problems::of_store)?.ok_or(ErrorCode::NotFound)?;
        if workspace.is_gone(self.origin.now) {
            return Err(ErrorCode::NotFound.into());
        }
        let permit = self.permit(action, Some(workspace.id))?;
        Ok((workspace, permit))
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        Self::authenticate(parts, state).await
    }
}

/// The answer to a credential that is not accepted.
pub(crate) fn refusal(refused: Refused) -> ApiError {
    let code = ErrorCode::from_slug(refused.code.as_str()).unwrap_or(ErrorCode::InvalidKey);
    match refused.hint {
        Some(hint) => ApiError::with_detail(code, hint),
        None => ApiError::new(code),
    }
}

/// The answer to a caller who may not do what was asked.
pub(crate) fn denied(denied: Denied) -> ApiError {
    match denied {
        Denied::NotVisible => ErrorCode::NotFound.into(),
        Denied::Missing(missing) => {
            let names = keywright_domain::permission::Catalogue::builtin();
            ApiError::insufficient_permissions(names.names(missing).map(str::to_owned).collect())
        }
        Denied::UserOnly => ApiError::with_detail(
            ErrorCode::InsufficientPermissions,
            "Only a signed-in user may do this, on their own account.",
        ),
        Denied::OperatorOnly => ApiError::with_detail(
            ErrorCode::InsufficientPermissions,
            "Only an operator credential (ok_…) may do this.",
        ),
    }
}

/// What an endpoint does, as a type.
pub(crate) trait Needs: Send + Sync + 'static {
    /// The action.
    const ACTION: Action;
}

macro_rules! define_needs {
    ($($name:ident)+) => {$(
        #[doc = concat!("The endpoint needs [`Action::", stringify!($name), "`].")]
        pub(crate) struct $name;
        impl Needs for $name {
            const ACTION: Action = Action::$name;
        }
    )+};
}
define_needs! { ReadKeys WriteKeys ReadWorkspace WriteWorkspace ReadMembers WriteMembers ReadAudit ReadUsage DeleteWorkspace VerifyKeys Operate WritePrompts Leave }

/// The workspace in the path, and the caller's permit for what the endpoint does there.
pub(crate) struct Scope<N> {
    /// Who calls.
    pub(crate) caller: Caller,
    /// The workspace.
    pub(crate) workspace: Workspace,
    /// The proof.
    pub(crate) permit: Permit,
    id: Option<String>,
    needs: PhantomData<N>,
}

impl<N> Scope<N> {
    /// The moment of the request.
    pub(crate) const fn now(&self) -> Timestamp {
        self.caller.origin.now
    }

    /// The id in the path, as `parse` reads it.
    ///
    /// # Errors
    /// `not_found`, also for a text that is no such id.
    pub(crate) fn id<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, ApiError> {
        Ok(self.id.as_deref().and_then(parse).ok_or(ErrorCode::NotFound)?)
    }
    /// The reservation of credits that the path names.
    ///
    /// # Errors
    /// `not_found` for a text that is no id.
    pub(crate) fn reservation(&self) -> Result<ReservationId, ApiError> {
        let id = self.id.as_deref().and_then(|id| ReservationId::parse(id).ok());
        id.ok_or_else(|| ErrorCode::NotFound.into())
    }

    /// The key that the path names.
    ///
    /// # Errors
    /// `not_found`, also for a text that is no id.
    pub(crate) async fn key(&self, state: &AppState) -> Result<ApiKey, ApiError> {
        let id = self.id(|text| KeyId::parse(text).ok())?;
        let key = state.store.key(self.workspace.id, id).await.map_err(problems::of_store)?;
        Ok(key.ok_or(ErrorCode::NotFound)?)
    }
}

impl<N: Needs> FromRequestParts<AppState> for Scope<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let mut caller = Caller::authenticate(parts, state).await?;
        let names = PathNames::read(parts, state).await?;
        let slug = names.slug.ok_or_else(|| ApiError::internal("a route without {slug} uses Scope"))?;
        let (workspace, permit) = caller.permit_workspace(state, &slug, N::ACTION).await?;
        caller.actor = *permit.actor();
        Ok(Self { caller, workspace, permit, id: names.id, needs: PhantomData })
    }
}

/// As [`Scope`], for what is a command and nothing else: the workspace is known by its id, if possible from memory, and
/// the command looks at it.
///
/// Memory may be behind. A name that meant another workspace then leads to that one: the permit is for it, and a key of
/// any other is not found.
pub(crate) struct Place<N> {
    /// Who calls.
    pub(crate) caller: Caller,
    /// The proof.
    pub(crate) permit: Permit,
    id: Option<String>,
    needs: PhantomData<N>,
}

impl<N> Place<N> {
    /// The id of the key that the path names.
    ///
    /// # Errors
    /// `not_found` for a text that is no id.
    pub(crate) fn key_id(&self) -> Result<KeyId, ApiError> {
        let id = self.id.as_deref().and_then(|text| KeyId::parse(text).ok());
        id.ok_or_else(|| ErrorCode::NotFound.into())
    }
}

impl<N> From<Scope<N>> for Place<N> {
    fn from(Scope { caller, permit, id, needs, .. }: Scope<N>) -> Self {
        Self { caller, permit, id, needs }
    }
}

impl<N: Needs> FromRequestParts<AppState> for Place<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let mut caller = Caller::authenticate(parts, state).await?;
        let names = PathNames::read(parts, state).await?;
        let slug = names.slug.ok_or_else(|| ApiError::internal("a route without {slug} uses Place"))?;
        let permit = match state.plane.engine().working_workspace(&slug) {
            Some(workspace) => caller.permit(N::ACTION, Some(workspace))?,
            // Whoever is new, renamed, suspended or gone is looked at more closely.
            None => caller.permit_workspace(state, &slug, N::ACTION).await?.1,
        };
        caller.actor = *permit.actor();
        Ok(Self { caller, permit, id: names.id, needs: PhantomData })
    }
}

/// The operator's permit for the installation as a whole.
pub(crate) struct Installation {
    /// Who calls.
    pub(crate) caller: Caller,
    /// The proof.
    pub(crate) permit: Permit,
}

impl FromRequestParts<AppState> for Installation {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let caller = Caller::authenticate(parts, state).await?;
        let permit = caller.permit(Action::Operate, None)?;
        Ok(Self { caller, permit })
    }
}

#[derive(serde::Deserialize)]
struct PathNames {
    slug: Option<String>,
    id: Option<String>,
}

impl PathNames {
    async fn read(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let StrictPath(names) = StrictPath::<Self>::from_request_parts(parts, state).await?;
        Ok(names)
    }
}
