//! Signing people in: the gate before every attempt, the check of the password, and the new session.

use axum::response::Response;
use http::{HeaderValue, header};
use keywright_domain::{
    account::{
        AccountCommand, AccountOutcome, EmailAddress, FactorUse, Gate, NewSession, Session, SignInMethod,
        Subject, SubjectKind,
    },
    caps,
    command::{Command, Outcome},
    ids::{SessionId, UserId, WorkspaceId},
    permit::{self, Action, Actor, Permit},
    principal::User,
    privacy::Who,
};

use crate::{
    actor::{Origin, denied},
    commit::unexpected,
    error::{ApiError, ErrorCode},
    outbox::{Letter, LetterKind},
    password::{Password, PasswordCheck},
    session::{CookieSafety, SessionToken, set_cookie},
    sign_in_failures::SignInFailure,
    state::AppState,
    totp,
    v1::problems,
};

/// Somebody who is signed in now.
pub(crate) struct Begun {
    /// The session.
    pub(crate) session: Session,
    /// Its token, shown once.
    pub(crate) token: SessionToken,
}

/// Signs in with an address and a password.
///
/// # Errors
/// `invalid_sign_in`, the same whether the account exists or not; `too_many_failed_attempts`.
pub(crate) async fn with_password(
    state: &AppState,
    origin: &Origin,
    email: &str,
    password: &Password,
    code: Option<&str>,
) -> Result<Begun, ApiError> {
    let subjects = subjects(state, origin, email);
    begin_attempt(state, origin, subjects.clone()).await?;
    let user = match EmailAddress::parse(email) {
        Ok(email) => {
            let who = Who::Email(email.as_str().to_owned());
            state.store.person(who).await.map_err(problems::of_store)?
        }
        Err(_) => None,
    };
    if let Err(error) = check_password(state, user.as_ref(), password).await {
        note_failure(state, origin, user.as_ref()).await;
        return Err(error);
    }
    let user = user.ok_or(ErrorCode::InvalidSignIn)?;
    let before = state.store.sessions(user.id).await.map_err(problems::of_store)?;
    let factor = second_factor(state, origin, user.id, code).await?;
    let method = if factor.is_some() { SignInMethod::PasswordAndCode } else { SignInMethod::Password };
    let proof = Proof { method, factor, forgive: subjects };
    let begun = begin_session(state, origin, user.id, proof).await?;
    tell_of(state, &user, &before, &begun.session).await;
    Ok(begun)
}

/// For the security event log. That it cannot be told whether the person opted out is a reason to name no address.
async fn note_failure(state: &AppState, origin: &Origin, user: Option<&User>) {
    // Also asked where there is no such account, so that the time that it takes does not tell.
    let asked = user.map_or(UserId::from_bytes([0; 16]), |user| user.id);
    let may_be_told = matches!(state.store.opted_out_since(asked).await, Ok(None));
    let failure = SignInFailure {
        at: origin.now,
        user: user.map(|user| user.id),
        address: origin.address.filter(|_| may_be_told),
    };
    state.sign_in_failures.note(failure);
}

/// Tells a user by letter that they signed in with a program that is not signed in yet.
async fn tell_of(state: &AppState, user: &User, before: &[Session], begun: &Session) {
    let Some(outbox) = &state.outbox else { return };
    if before.iter().all(|session| session.agent != begun.agent) {
        let kind = LetterKind::NewSignIn { agent: begun.agent.clone(), at: begun.created_at };
        outbox.send(Letter { to: user.email.clone(), kind }).await;
    }
}

/// Whether `password` is the user's.
///
/// # Errors
/// `invalid_sign_in`.
pub(crate) async fn check_password(
    state: &AppState,
    user: Option<&User>,
    password: &Password,
) -> Result<(), ApiError> {
    let hash = user.and_then(|user| user.password_hash.clone());
    match state.passwords.check(password, hash).await? {
        PasswordCheck::Right => Ok(()),
        PasswordCheck::Wrong => Err(ErrorCode::InvalidSignIn.into()),
    }
}

/// Whose attempts are counted when somebody tries to sign in as `account` from the request's address. Digests under the
/// installation's pepper: they tell neither.
pub(crate) fn subjects(state: &AppState, origin: &Origin, account: &str) -> Vec<Subject> {
    let folded = account.trim().to_lowercase();
    let digest = |text: &str| state.plane.digest(text).bytes;
    let account =
        Subject { kind: SubjectKind::Account, digest: digest(&format!("attempts of account {folded}")) };
    let address = origin.address.map(|address| Subject {
        kind: SubjectKind::Address,
        digest: digest(&format!("attempts from {address}")),
    });
    std::iter::once(account).chain(address).collect()
}

/// Asks to try a secret. The attempt counts as failed until [`begin_session`] forgives it.
///
/// # Errors
/// `too_many_failed_attempts`.
pub(crate) async fn begin_attempt(
    state: &AppState,
    origin: &Origin,
    subjects: Vec<Subject>,
) -> Result<(), ApiError> {
    let permit = system_permit()?;
    let command = Command::Account(AccountCommand::BeginAttempt(subjects));
    match account_outcome(state, origin, permit, command).await? {
        AccountOutcome::Gate(Gate::Open) => Ok(()),
        AccountOutcome::Gate(Gate::LockedUntil(end)) => {
            let seconds = end.ms_since(origin.now).saturating_add(999) / 1_000;
            let detail = "Too many failed attempts. Wait as long as `Retry-After` says.";
            let error = ApiError::with_detail(ErrorCode::TooManyFailedAttempts, detail);
            Err(error.retry_after_seconds(u64::try_from(seconds).unwrap_or(1)))
        }
        _ => Err(unexpected()),
    }
}

/// The use of the account's second factor that `typed` is; `None`: the account has no second factor.
///
/// # Errors
/// `second_factor_required` if there is one and nothing was typed; `invalid_code`.
pub(crate) async fn second_factor(
    state: &AppState,
    origin: &Origin,
    user: UserId,
    typed: Option<&str>,
) -> Result<Option<FactorUse>, ApiError> {
    let factor = state.store.second_factor(user).await.map_err(problems::of_store)?;
    let Some(factor) = factor.filter(|factor| factor.enabled_at.is_some()) else { return Ok(None) };
    let typed = typed.ok_or(ErrorCode::SecondFactorRequired)?;
    Ok(Some(totp::recognise(&factor.secret, typed, origin.now).ok_or(ErrorCode::InvalidCode)?))
}

/// How somebody proved who they are.
pub(crate) struct Proof {
    /// How they sign in.
    pub(crate) method: SignInMethod,
    /// The second factor that was used.
    pub(crate) factor: Option<FactorUse>,
    /// Whose failed attempts are forgotten.
    pub(crate) forgive: Vec<Subject>,
}

/// Begins a session of a user who has proved who they are.
///
/// # Errors
/// As the store.
pub(crate) async fn begin_session(
    state: &AppState,
    origin: &Origin,
    user: UserId,
    proof: Proof,
) -> Result<Begun, ApiError> {
    let Proof { method, factor, forgive } = proof;
    let token = SessionToken::generate(&*state.entropy);
    let session = new_session(state, origin, user, method, &token);
    let actor = Actor::User { user, session: session.id, member: None };
    let permit = permit::authorize(actor, Action::OwnAccount, None).map_err(denied)?;
    let limits = state.config.session_limits;
    let command = Command::Account(AccountCommand::CreateSession { session, limits, forgive, factor });
    match account_outcome(state, origin, permit, command).await? {
        AccountOutcome::Session(session) => Ok(Begun { session: *session, token }),
        _ => Err(unexpected()),
    }
}

/// A session of `user` that begins with this request.
pub(crate) fn new_session(
    state: &AppState,
    origin: &Origin,
    user: UserId,
    method: SignInMethod,
    token: &SessionToken,
) -> NewSession {
    NewSession {
        id: SessionId::generate(origin.now, &*state.entropy),
        user,
        digest: token.digest(),
        method,
        agent: describe_agent(origin.user_agent.as_deref()),
    }
}

/// Sees to it that nobody keeps an answer that may hand a session over, and hands it to a browser as a cookie if there is one.
pub(crate) fn hand_over(state: &AppState, cookie: Option<&SessionToken>, response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(token) = cookie {
        let safety = CookieSafety::of(&state.config.base_url);
        let max_age_seconds = state.config.session_limits.absolute_seconds;
        headers.insert(header::SET_COOKIE, set_cookie(token, safety, max_age_seconds));
    }
}

/// The permit of the installation itself, for what nobody who is signed in does.
pub(crate) fn system_permit() -> Result<Permit, ApiError> {
    system_permit_for(Action::Operate, None)
}

/// The permit of the installation itself for something else, perhaps in a workspace.
pub(crate) fn system_permit_for(action: Action, workspace: Option<WorkspaceId>) -> Result<Permit, ApiError> {
    permit::authorize(Actor::System, action, workspace).map_err(denied)
}

/// Carries out a command on an account.
///
/// # Errors
/// As the store.
pub(crate) async fn account_outcome(
    state: &AppState,
    origin: &Origin,
    permit: Permit,
    command: Command,
) -> Result<AccountOutcome, ApiError> {
    let context = origin.context(state, permit, None);
    let committed = state.store.execute(context, command).await;
    let committed = committed.map_err(|error| problems::of_command(error, &state.plane.catalogue()))?;
    match committed.outcome {
        Outcome::Account(outcome) => Ok(outcome),
        _ => Err(unexpected()),
    }
}

/// The program in words that its user recognises, and that tell nothing more: `Firefox on Linux`.
fn describe_agent(user_agent: Option<&str>) -> String {
    const PROGRAMS: [(&str, &str); 8] = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
        ("keywright", "Keywright's command line"),
        ("python", "Python"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iOS"),
        ("iPad", "iOS"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let text = user_agent.unwrap_or_default();
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| text.contains(mark)).map(|(_, name)| *name)
    };
    let described = match (find(&PROGRAMS), find(&SYSTEMS)) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "Unknown program".to_owned(),
    };
    described.chars().take(caps::SESSION_AGENT_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_described_in_few_words() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        assert_eq!(describe_agent(Some(firefox)), "Firefox on Linux");
        assert_eq!(describe_agent(Some("curl/8.5.0")), "curl");
        assert_eq!(describe_agent(None), "Unknown program");
    }
}
