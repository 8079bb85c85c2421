//! Invitations, passwords, second factors and recovery.

use std::sync::Arc;

use keywright_domain::{
    account::{
        AccountError, AccountOutcome, CredentialCommand, FactorUse, Invitation, InvitationCommand,
        NewInvitation, NewPassword, NewSecret, NewSession, Newcomer, SessionLimits, SignInMethod,
        TokenDigest,
    },
    caps,
    command::{Command, CommandError, Committed},
    ids::{InvitationId, SessionId, UserId},
    member::{MemberCommand, MemberError, MemberPatch},
    permission::{Builtin, PermissionSet, Role},
    permit::{ActingMember, Action, Actor, Permit, authorize},
    principal::{Membership, Principal},
    privacy::{PrivacyCommand, Who},
    store::Store,
    time::Timestamp,
};
use zeroize::Zeroizing;

use super::accounts::{outcome, own_permit};
use crate::{Installation, Samples};

const NOW: Timestamp = Samples::NOW;

fn digest(number: u8) -> TokenDigest {
    TokenDigest([number; 32])
}

fn system() -> Permit {
    authorize(Actor::System, Action::Operate, None).unwrap()
}

fn password(text: &str) -> NewPassword {
    NewPassword { hash: text.to_owned() }
}

fn newcomer(number: u8, name: Option<&str>) -> Box<Newcomer> {
    let session = NewSession {
        id: SessionId::from_bytes([number; 16]),
        user: UserId::from_bytes([0; 16]),
        digest: digest(number),
        method: SignInMethod::Invitation,
        agent: "curl".to_owned(),
    };
    let name = name.map(str::to_owned);
    let limits = SessionLimits::default();
    Box::new(Newcomer { name, password_hash: "$argon2id$new".to_owned(), session, limits })
}

impl<S: Store + ?Sized> Installation<S> {
    fn invitation(&self, number: u8, email: &str, role: Role) -> NewInvitation {
        let mut user = self.samples.user();
        email.clone_into(&mut user.email);
        let id = InvitationId::generate(NOW, self.samples.entropy());
        NewInvitation { id, user, digest: digest(number), role, narrowed_to: None }
    }

    fn members_permit(&self) -> Permit {
        Samples::permit(Action::WriteMembers, Some(self.workspace.id))
    }

    /// The permit of a member who is signed in.
    fn permit_of(&self, member: &Membership) -> Permit {
        let Principal::User(user) = member.principal else { panic!("not a person") };
        let session = SessionId::from_bytes([1; 16]);
        let actor = Actor::User { user, session, member: Some(ActingMember::of(member)) };
        authorize(actor, Action::WriteMembers, Some(self.workspace.id)).unwrap()
    }

    async fn invitations(
        &self,
        permit: Permit,
        now: Timestamp,
        command: InvitationCommand,
    ) -> Result<Committed, CommandError> {
        self.store.execute(self.samples.context_at(now, permit), Command::Invitation(command)).await
    }

    async fn invite(&self, new: NewInvitation) -> Invitation {
        let command = InvitationCommand::Invite(vec![new]);
        match outcome(self.invitations(self.members_permit(), NOW, command).await) {
            AccountOutcome::Invited(mut made) => made.pop().unwrap().0,
            other => panic!("another outcome: {other:?}"),
        }
    }

    async fn accept(
        &self,
        number: u8,
        now: Timestamp,
        newcomer: Option<Box<Newcomer>>,
    ) -> Result<Committed, CommandError> {
        let command = InvitationCommand::Accept { digest: digest(number), newcomer };
        self.invitations(system(), now, command).await
    }

    async fn credentials(
        &self,
        permit: Permit,
        now: Timestamp,
        command: CredentialCommand,
    ) -> Result<Committed, CommandError> {
        self.store.execute(self.samples.context_at(now, permit), Command::Credential(command)).await
    }

    async fn sign_in_with(
        &self,
        user: UserId,
        number: u8,
        factor: Option<FactorUse>,
    ) -> Result<(), AccountError> {
        let session = NewSession {
            id: SessionId::from_bytes([number; 16]),
            user,
            digest: digest(number),
            method: SignInMethod::PasswordAndCode,
            agent: String::new(),
        };
        let limits = SessionLimits::default();
        let command = keywright_domain::account::AccountCommand::CreateSession {
            session,
            limits,
            forgive: Vec::new(),
            factor,
        };
        match self.on_account(user, NOW, command).await {
            Ok(_) => Ok(()),
            Err(CommandError::Account(error)) => Err(error),
            Err(other) => panic!("another refusal: {other}"),
        }
    }

    async fn page(&self) -> Vec<Invitation> {
        self.store.invitations(self.workspace.id, None, 100).await.unwrap().items
    }

    async fn known(&self, email: &str) -> Option<keywright_domain::principal::User> {
        self.store.person(Who::Email(email.to_owned())).await.unwrap()
    }
}

fn refused(answer: Result<Committed, CommandError>) -> AccountError {
    match answer.unwrap_err() {
        CommandError::Account(error) => error,
        other => panic!("another refusal: {other}"),
    }
}

/// An invitation is found by its token, makes a member once, and ends by itself.
pub async fn invitations<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let store = &installation.store;
    let made = installation.invite(installation.invitation(1, "ada@company.com", Role::Admin)).await;
    assert_eq!(made.expires_at, NOW.plus_seconds(7 * 86_400));
    let (found, workspace) = store.invitation_by_digest(digest(1)).await.unwrap().unwrap();
    assert_eq!((found, workspace.id), (made.clone(), installation.workspace.id));
    assert_eq!(installation.page().await, std::slice::from_ref(&made));
    let user = installation.known("Ada@company.com").await.unwrap();
    assert_eq!((user.id, user.password_hash), (made.user, None), "nobody can sign in yet");

    let again = InvitationCommand::Invite(vec![installation.invitation(2, "ada@company.com", Role::Viewer)]);
    let answer = installation.invitations(installation.members_permit(), NOW, again).await;
    assert_eq!(refused(answer), AccountError::AlreadyInvited);
    assert_eq!(refused(installation.accept(1, NOW, None).await), AccountError::PasswordNeeded);
    assert_eq!(
        refused(installation.accept(1, made.expires_at, Some(newcomer(9, None))).await),
        AccountError::LinkOver
    );
    let soon = made.expires_at.plus_ms(-1);
    let joined = outcome(installation.accept(1, soon, Some(newcomer(9, Some("Ada")))).await);
    let AccountOutcome::Joined(Some(session)) = joined else { panic!("another outcome: {joined:?}") };
    assert_eq!((session.user, session.method), (made.user, SignInMethod::Invitation));
    let user = installation.known("ada@company.com").await.unwrap();
    assert_eq!((user.name.as_str(), user.password_hash.as_deref()), ("Ada", Some("$argon2id$new")));
    let signed_in = store.session(digest(9)).await.unwrap().unwrap();
    assert_eq!(signed_in.memberships[0].role, Role::Admin);
    assert_eq!(
        refused(installation.accept(1, soon, Some(newcomer(8, None))).await),
        AccountError::LinkOver,
        "once"
    );
    assert!(installation.page().await.is_empty());
}

/// All are invited, or none; links are made anew; what is withdrawn is forgotten.
pub async fn invitations_are_kept<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let permit = installation.members_permit();
    let owner = installation.store.person(Who::Id(installation.owner_id())).await.unwrap().unwrap();
    let both = vec![
        installation.invitation(1, "ada@company.com", Role::Member),
        installation.invitation(2, &owner.email, Role::Member),
    ];
    let answer = installation.invitations(permit, NOW, InvitationCommand::Invite(both)).await;
    assert_eq!(refused(answer), AccountError::AlreadyMember);
    assert!(installation.page().await.is_empty(), "none was invited");
    assert!(installation.known("ada@company.com").await.is_none());

    let made = installation.invite(installation.invitation(1, "ada@company.com", Role::Member)).await;
    let later = NOW.plus_seconds(3_600);
    let resend = InvitationCommand::Resend { invitation: made.id, digest: digest(3) };
    installation.invitations(permit, later, resend).await.unwrap();
    assert!(installation.store.invitation_by_digest(digest(1)).await.unwrap().is_none(), "the old link");
    let (found, _) = installation.store.invitation_by_digest(digest(3)).await.unwrap().unwrap();
    assert_eq!((found.created_at, found.sent_at), (NOW, later));
    let withdraw = InvitationCommand::Withdraw(made.id);
    installation.invitations(permit, later, withdraw.clone()).await.unwrap();
    assert!(installation.known("ada@company.com").await.is_none(), "no reason to know the address");
    assert_eq!(refused(installation.invitations(permit, later, withdraw).await), AccountError::NotFound);

    // Whoever has an account joins with it, and keeps it when an invitation is withdrawn.
    let mut user = installation.samples.user();
    "bob@company.com".clone_into(&mut user.email);
    user.password_hash = Some("$argon2id$old".to_owned());
    let bob = user.id;
    let workspace = installation.workspace.id;
    let join = Command::CreateMember { user, workspace, role: Role::Viewer };
    installation.operate(join).await.unwrap();
    let remove = MemberCommand::Remove { user: bob, hand_over_to: None, reason: None };
    installation.store.execute(installation.samples.context(permit), Command::Member(remove)).await.unwrap();
    let made = installation.invite(installation.invitation(4, "bob@company.com", Role::Member)).await;
    assert_eq!(made.user, bob);
    installation.invitations(permit, NOW, InvitationCommand::Withdraw(made.id)).await.unwrap();
    assert!(installation.known("bob@company.com").await.is_some());
    installation.invite(installation.invitation(5, "bob@company.com", Role::Member)).await;
    let joined = outcome(installation.accept(5, NOW, Some(newcomer(7, Some("Mallory")))).await);
    assert!(matches!(joined, AccountOutcome::Joined(None)), "no session by the link");
    let user = installation.known("bob@company.com").await.unwrap();
    assert_eq!(user.password_hash.as_deref(), Some("$argon2id$old"), "nor another password");
}

/// Nobody invites somebody to more than they have, now or when the invitation is accepted.
pub async fn invitations_stay_within_the_inviter<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let (workspace, permit) = (installation.workspace.id, installation.members_permit());
    let user = installation.samples.user();
    let admin = user.id;
    installation.operate(Command::CreateMember { user, workspace, role: Role::Admin }).await.unwrap();
    let membership = async || {
        let found = installation.store.membership(workspace, Principal::User(admin)).await;
        found.unwrap().unwrap()
    };
    let by_admin = installation.permit_of(&membership().await);
    let owner = InvitationCommand::Invite(vec![installation.invitation(1, "eve@company.com", Role::Owner)]);
    let answer = installation.invitations(by_admin, NOW, owner).await.unwrap_err();
    assert!(matches!(answer, CommandError::Member(MemberError::OwnerOnly)), "{answer}");
    let keys = PermissionSet::EMPTY.with(Builtin::KeysRead.bit());
    let mut narrowed = installation.invitation(2, "eve@company.com", Role::Viewer);
    narrowed.narrowed_to = Some(keys);
    let answer = installation.invitations(by_admin, NOW, InvitationCommand::Invite(vec![narrowed])).await;
    assert!(matches!(answer, Err(CommandError::Member(MemberError::NotInRole(_)))));

    let good = InvitationCommand::Invite(vec![installation.invitation(3, "eve@company.com", Role::Admin)]);
    installation.invitations(by_admin, NOW, good).await.unwrap();
    let lower = MemberCommand::Patch {
        user: admin,
        patch: MemberPatch { role: Some(Role::Viewer), ..MemberPatch::default() },
    };
    installation.store.execute(installation.samples.context(permit), Command::Member(lower)).await.unwrap();
    let late = installation.accept(3, NOW, Some(newcomer(9, None))).await;
    assert_eq!(refused(late), AccountError::InviterLost, "what the inviter lost meanwhile");
    let raise = MemberCommand::Patch {
        user: admin,
        patch: MemberPatch { role: Some(Role::Admin), ..MemberPatch::default() },
    };
    installation.store.execute(installation.samples.context(permit), Command::Member(raise)).await.unwrap();
    outcome(installation.accept(3, NOW, Some(newcomer(9, None))).await);
}

/// A password set by its user or by a link ends the sessions; the link works once, for an hour.
pub async fn passwords<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let (user, store) = (installation.owner_id(), &installation.store);
    let own = own_permit(user);
    for number in 1..=2 {
        installation.sign_in_with(user, number, None).await.unwrap();
    }
    let set = CredentialCommand::SetPassword {
        user,
        password: password("one"),
        keep: Some(SessionId::from_bytes([1; 16])),
        forgive: Vec::new(),
    };
    installation.credentials(own, NOW, set.clone()).await.unwrap();
    assert!(
        store.session(digest(1)).await.unwrap().is_some()
            && store.session(digest(2)).await.unwrap().is_none()
    );
    let stranger = own_permit(UserId::from_bytes([77; 16]));
    assert!(matches!(installation.credentials(stranger, NOW, set).await, Err(CommandError::Permit)));

    for number in [3, 4] {
        let start = CredentialCommand::StartRecovery { user, digest: digest(number) };
        outcome(installation.credentials(system(), NOW, start).await);
    }
    let recover = |number| CredentialCommand::Recover { digest: digest(number), password: password("two") };
    assert_eq!(store.recovery(digest(4)).await.unwrap().unwrap().user, user);
    let earlier = installation.credentials(system(), NOW, recover(3)).await;
    assert_eq!(refused(earlier), AccountError::LinkOver, "the last link only");
    let late = installation.credentials(system(), NOW.plus_seconds(3_600), recover(4)).await;
    assert_eq!(refused(late), AccountError::LinkOver);
    outcome(installation.credentials(system(), NOW, recover(4)).await);
    assert!(store.session(digest(1)).await.unwrap().is_none(), "every session ends");
    assert_eq!(
        refused(installation.credentials(system(), NOW, recover(4)).await),
        AccountError::LinkOver,
        "once"
    );
    let hash = store.person(Who::Id(user)).await.unwrap().unwrap().password_hash;
    assert_eq!(hash.as_deref(), Some("two"));
}

/// A second factor is asked for once it is confirmed; no step and no code counts twice.
pub async fn second_factors<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let (user, store) = (installation.owner_id(), &installation.store);
    let own = own_permit(user);
    let run = async |command| installation.credentials(own, NOW, command).await;
    let secret = || NewSecret(Zeroizing::new(b"12345678901234567890".to_vec()));
    outcome(run(CredentialCommand::BeginSecondFactor { user, secret: secret() }).await);
    let factor = store.second_factor(user).await.unwrap().unwrap();
    assert_eq!((factor.secret.as_slice(), factor.enabled_at), (b"12345678901234567890".as_slice(), None));
    assert_eq!(installation.sign_in_with(user, 1, None).await, Ok(()), "not confirmed yet");
    let codes: Vec<TokenDigest> = (100..110).map(digest).collect();
    let confirm = CredentialCommand::ConfirmSecondFactor { user, step: 7, codes };
    outcome(run(confirm.clone()).await);
    assert_eq!(refused(run(confirm).await), AccountError::FactorEnabled);
    assert_eq!(store.second_factor(user).await.unwrap().unwrap().codes_left, 10);

    assert_eq!(installation.sign_in_with(user, 2, None).await, Err(AccountError::FactorNeeded));
    for (number, step, expected) in [
        (2, 7, Err(AccountError::FactorUsed)),
        (2, 8, Ok(())),
        (3, 8, Err(AccountError::FactorUsed)),
        (3, 9, Ok(())),
    ] {
        assert_eq!(
            installation.sign_in_with(user, number, Some(FactorUse::Step(step))).await,
            expected,
            "{step}"
        );
    }
    let code = Some(FactorUse::RecoveryCode(digest(100)));
    assert_eq!(installation.sign_in_with(user, 4, code).await, Ok(()));
    assert_eq!(installation.sign_in_with(user, 5, code).await, Err(AccountError::FactorUsed));
    assert_eq!(store.second_factor(user).await.unwrap().unwrap().codes_left, 9);

    let session = SessionId::from_bytes([4; 16]);
    let later = NOW.plus_seconds(caps::REAUTHENTICATION_SECONDS);
    let again = |factor| CredentialCommand::Reauthenticate { user, session, factor, forgive: Vec::new() };
    assert_eq!(refused(installation.credentials(own, later, again(None)).await), AccountError::FactorNeeded);
    outcome(installation.credentials(own, later, again(Some(FactorUse::Step(10)))).await);
    let found = store.session(digest(4)).await.unwrap().unwrap().session;
    assert_eq!((found.created_at, found.authenticated_at), (NOW, later));

    outcome(run(CredentialCommand::ReplaceRecoveryCodes { user, codes: vec![digest(120)] }).await);
    assert_eq!(store.second_factor(user).await.unwrap().unwrap().codes_left, 1);
    outcome(run(CredentialCommand::DropSecondFactor(user)).await);
    assert!(store.second_factor(user).await.unwrap().is_none());
    assert_eq!(refused(run(CredentialCommand::DropSecondFactor(user)).await), AccountError::NoFactor);
    assert_eq!(installation.sign_in_with(user, 6, None).await, Ok(()));
}

/// Nothing by which somebody signs in outlives their erasure.
pub async fn credentials_are_erased<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(store).await;
    let store = &installation.store;
    let made = installation.invite(installation.invitation(1, "ada@company.com", Role::Admin)).await;
    let user = made.user;
    let start = CredentialCommand::StartRecovery { user, digest: digest(2) };
    outcome(installation.credentials(system(), NOW, start).await);
    let secret = NewSecret(Zeroizing::new(b"12345678901234567890".to_vec()));
    let begin = CredentialCommand::BeginSecondFactor { user, secret };
    outcome(installation.credentials(own_permit(user), NOW, begin).await);
    installation.sign_in_with(user, 3, None).await.unwrap();
    installation.operate(Command::Privacy(PrivacyCommand::Erase { user })).await.unwrap();
    assert!(store.invitation_by_digest(digest(1)).await.unwrap().is_none());
    assert!(store.recovery(digest(2)).await.unwrap().is_none());
    assert!(store.session(digest(3)).await.unwrap().is_none());
    assert!(store.second_factor(user).await.unwrap().is_none());
    let begin = CredentialCommand::StartRecovery { user, digest: digest(4) };
    assert_eq!(refused(installation.credentials(system(), NOW, begin).await), AccountError::NotFound);
}
