//! Sessions of people, and attempts to sign in.

use std::sync::Arc;

use keywright_domain::{
    account::{
        AccountCommand, AccountError, AccountOutcome, Gate, NewSession, Session, SessionLimits, SignInMethod,
        Subject, SubjectKind, TokenDigest,
    },
    caps,
    command::{Command, CommandError, Committed, Outcome},
    ids::{SessionId, UserId},
    member::{MemberCommand, MemberPatch},
    permission::Role,
    permit::{Action, Actor, Permit, authorize},
    principal::Principal,
    privacy::PrivacyCommand,
    store::Store,
    time::Timestamp,
};

use crate::{Installation, Samples};

fn limits() -> SessionLimits {
    SessionLimits::default()
}

fn session_id(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

fn digest(number: u8) -> TokenDigest {
    TokenDigest([number; 32])
}

/// The permit that `user` has for their own account.
pub(super) fn own_permit(user: UserId) -> Permit {
    let actor = Actor::User { user, session: session_id(0), member: None };
    authorize(actor, Action::OwnAccount, None).unwrap()
}

impl<S: Store + ?Sized> Installation<S> {
    /// The Owner of the first workspace, as a person.
    pub(super) fn owner_id(&self) -> UserId {
        match self.owner.principal {
            Principal::User(user) => user,
            other => panic!("not a person: {other:?}"),
        }
    }

    /// Changes an account as its user.
    pub(super) async fn on_account(
        &self,
        user: UserId,
        now: Timestamp,
        command: AccountCommand,
    ) -> Result<Committed, CommandError> {
        let context = self.samples.context_at(now, own_permit(user));
        self.store.execute(context, Command::Account(command)).await
    }

    async fn sign_in(&self, user: UserId, number: u8, now: Timestamp) -> Session {
        let session = NewSession {
            id: session_id(number),
            user,
            digest: digest(number),
            method: SignInMethod::Password,
            agent: "Firefox on Linux".to_owned(),
        };
        let command =
            AccountCommand::CreateSession { session, limits: limits(), forgive: Vec::new(), factor: None };
        match outcome(self.on_account(user, now, command).await) {
            AccountOutcome::Session(session) => *session,
            other => panic!("another outcome: {other:?}"),
        }
    }

    async fn attempt(&self, subject: Subject, now: Timestamp) -> Gate {
        let permit = authorize(Actor::System, Action::Operate, None).unwrap();
        let command = Command::Account(AccountCommand::BeginAttempt(vec![subject]));
        match outcome(self.store.execute(self.samples.context_at(now, permit), command).await) {
            AccountOutcome::Gate(gate) => gate,
            other => panic!("another outcome: {other:?}"),
        }
    }

    async fn session_numbers(&self, user: UserId) -> Vec<u8> {
        let all = self.store.sessions(user).await.unwrap();
        all.iter().map(|session| session.id.to_bytes()[0]).collect()
    }
}

/// The outcome of a command on an account.
pub(super) fn outcome(committed: Result<Committed, CommandError>) -> AccountOutcome {
    match committed.unwrap().outcome {
        Outcome::Account(outcome) => outcome,
        other => panic!("another outcome: {other:?}"),
    }
}

/// A session is found by its token's digest with what its user may do now, until it ends.
pub async fn sessions<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let (store, user, now) = (&installation.store, installation.owner_id(), Samples::NOW);
    let session = installation.sign_in(user, 1, now).await;
    assert_eq!((session.created_at, session.authenticated_at), (now, now));
    let found = store.session(digest(1)).await.unwrap().unwrap();
    assert_eq!(found.session, session);
    assert_eq!(found.memberships.len(), 1);
    assert_eq!(found.memberships[0].permissions(), Role::Owner.permissions());
    assert_eq!(store.session(digest(2)).await.unwrap(), None);

    let later = now.plus_seconds(120);
    let touch = AccountCommand::TouchSession { user, session: session_id(1) };
    installation.on_account(user, later, touch).await.unwrap();
    assert_eq!(store.session(digest(1)).await.unwrap().unwrap().session.last_seen_at, later);

    for number in 2..=4 {
        installation.sign_in(user, number, later.plus_seconds(number.into())).await;
    }
    assert_eq!(installation.session_numbers(user).await, [4, 3, 2, 1], "newest first");
    let end = AccountCommand::EndSession { user, session: session_id(1) };
    installation.on_account(user, later, end.clone()).await.unwrap();
    assert_eq!(store.session(digest(1)).await.unwrap(), None);
    let again = installation.on_account(user, later, end).await.unwrap_err();
    assert!(matches!(again, CommandError::Account(AccountError::NotFound)), "{again}");
    let others = AccountCommand::EndSessions { user, keep: Some(session_id(3)) };
    assert!(matches!(outcome(installation.on_account(user, later, others).await), AccountOutcome::Ended(2)));
    assert_eq!(installation.session_numbers(user).await, [3]);
}

/// There is room for so many sessions; what ended by itself goes first, then the oldest.
pub async fn session_room<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let (user, now) = (installation.owner_id(), Samples::NOW);
    let most = u8::try_from(caps::SESSIONS_PER_USER_MAX).unwrap();
    for number in 1..=most + 1 {
        installation.sign_in(user, number, now.plus_seconds(number.into())).await;
    }
    let left = installation.session_numbers(user).await;
    assert_eq!((left.len(), left.last()), (caps::SESSIONS_PER_USER_MAX, Some(&2)), "the oldest gave way");
    let idle = now.plus_seconds(limits().idle_seconds + 120);
    installation.sign_in(user, 200, idle).await;
    assert_eq!(installation.session_numbers(user).await, [200], "what had ended went");
}

/// What a membership loses, its user's sessions lose with the commit; erasure ends them.
pub async fn sessions_follow_memberships<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let (user, workspace) = (installation.samples.user(), installation.workspace.id);
    let id = user.id;
    let join = Command::CreateMember { user, workspace, role: Role::Admin };
    installation.operate(join).await.unwrap();
    installation.sign_in(id, 1, Samples::NOW).await;
    let may = async || {
        let found = installation.store.session(digest(1)).await.unwrap().unwrap();
        found.memberships.first().map(|membership| (membership.role, membership.permissions()))
    };
    assert_eq!(may().await, Some((Role::Admin, Role::Admin.permissions())));
    let permit = Samples::permit(Action::WriteMembers, Some(workspace));
    let viewer = MemberPatch { role: Some(Role::Viewer), ..MemberPatch::default() };
    for (command, expected) in [
        (MemberCommand::Patch { user: id, patch: viewer }, Some((Role::Viewer, Role::Viewer.permissions()))),
        (MemberCommand::Remove { user: id, hand_over_to: None, reason: None }, None),
    ] {
        let context = installation.samples.context(permit);
        installation.store.execute(context, Command::Member(command)).await.unwrap();
        assert_eq!(may().await, expected);
    }
    installation.operate(Command::Privacy(PrivacyCommand::Erase { user: id })).await.unwrap();
    assert_eq!(installation.store.session(digest(1)).await.unwrap(), None);
    let refused = NewSession {
        id: session_id(2),
        user: id,
        digest: digest(2),
        method: SignInMethod::Password,
        agent: String::new(),
    };
    let command = AccountCommand::CreateSession {
        session: refused,
        limits: limits(),
        forgive: Vec::new(),
        factor: None,
    };
    let refusal = installation.on_account(id, Samples::NOW, command).await.unwrap_err();
    assert!(matches!(refusal, CommandError::Account(AccountError::NotFound)), "{refusal}");
}

/// Failed attempts lock out, success forgives, and nobody acts on the account of somebody else.
pub async fn attempts<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let (user, now) = (installation.owner_id(), Samples::NOW);
    let subject = Subject { kind: SubjectKind::Account, digest: [8; 32] };
    for _ in 0..caps::FREE_ATTEMPTS_PER_ACCOUNT {
        assert_eq!(installation.attempt(subject, now).await, Gate::Open);
    }
    let end = now.plus_seconds(caps::LOCK_SECONDS_FIRST);
    assert_eq!(installation.attempt(subject, now).await, Gate::LockedUntil(end));
    assert_eq!(installation.attempt(Subject { digest: [9; 32], ..subject }, now).await, Gate::Open);
    assert_eq!(installation.attempt(subject, end).await, Gate::Open, "the lock is over");
    let session = NewSession {
        id: session_id(1),
        user,
        digest: digest(1),
        method: SignInMethod::Password,
        agent: String::new(),
    };
    let command =
        AccountCommand::CreateSession { session, limits: limits(), forgive: vec![subject], factor: None };
    let stranger = UserId::from_bytes([77; 16]);
    let context = installation.samples.context(own_permit(stranger));
    let refused = installation.store.execute(context, Command::Account(command.clone())).await;
    assert!(matches!(refused, Err(CommandError::Permit)));
    installation.on_account(user, end, command).await.unwrap();
    for _ in 0..caps::FREE_ATTEMPTS_PER_ACCOUNT {
        assert_eq!(installation.attempt(subject, end).await, Gate::Open, "forgiven");
    }
}
