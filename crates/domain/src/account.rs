//! Accounts: people who sign in, and the sessions in which they are signed in.
//!
//! A session is looked up in the store for every request that shows its token, together with what its user may do where:
//! ending it, or taking a role away, holds from the commit on, on every node (ADR 25).

mod attempts;
mod credentials;
mod email;
mod invitation;
mod rules;
mod session;

use async_trait::async_trait;

pub use self::{
    attempts::{Attempts, Gate, Subject, SubjectKind, begin_attempt},
    credentials::{
        CredentialCommand, FactorUse, NewPassword, NewSecret, Recovery, SecondFactor, check_recovery,
        recovery_ends, use_step,
    },
    email::{EmailAddress, InvalidEmail},
    invitation::{
        Invitation, InvitationCommand, InvitationError, NewInvitation, Newcomer, accept, invite, resend,
        withdraw,
    },
    rules::{create_session, end_sessions},
    session::{NewSession, Session, SessionLimits, SessionState, SignInMethod, TokenDigest},
};
use crate::{
    caps,
    ids::{InvitationId, SessionId, UserId, WorkspaceId},
    permit::{Action, Permit},
    principal::{Membership, Principal},
    query::Page,
    store::StoreError,
    time::Timestamp,
    workspace::Workspace,
};

/// Why an operation on an account is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// There is no such user, or no such session of theirs.
    #[error("there is no such account or session")]
    NotFound,
    /// Somebody else signs in with this address.
    #[error("another account has this e-mail address")]
    EmailTaken,
    /// Whoever is invited is a member already.
    #[error("this person is a member of the workspace already")]
    AlreadyMember,
    /// Whoever is invited has an invitation that is good.
    #[error("this person is invited already; send the invitation again instead")]
    AlreadyInvited,
    /// As many invitations as may wait.
    #[error("the workspace has {} invitations, as many as it may have", caps::INVITATIONS_PENDING_MAX)]
    TooManyInvitations,
    /// A one-time link was used, replaced or withdrawn, or its time is over.
    #[error("this link is not good any more")]
    LinkOver,
    /// Whoever invited may not give this role any more.
    #[error("whoever invited may not give this role any more; ask for a new invitation")]
    InviterLost,
    /// Nobody can sign in to the account yet, and no password was chosen.
    #[error("choose a password: nobody signs in with this address yet")]
    PasswordNeeded,
    /// The account has a second factor.
    #[error("the account has a second factor")]
    FactorNeeded,
    /// A code was used before.
    #[error("this code was used before")]
    FactorUsed,
    /// There is a second factor already.
    #[error("there is a second factor already; do without it first")]
    FactorEnabled,
    /// There is no second factor.
    #[error("there is no second factor")]
    NoFactor,
}

/// A change of an account.
#[derive(Clone, Debug)]
pub enum AccountCommand {
    /// Sign a user in: a new session. Needs `OwnAccount` of that user. The user's sessions that have ended by
    /// themselves go, and the oldest one if there are as many as there may be.
    CreateSession {
        /// The session.
        session: NewSession,
        /// When sessions end by themselves.
        limits: SessionLimits,
        /// Whose failed attempts are forgotten.
        forgive: Vec<Subject>,
        /// The second factor that was used: one must be, if the account has one and the user signs in with a password.
        factor: Option<FactorUse>,
    },
    /// End a session. Needs `OwnAccount` of its user.
    EndSession {
        /// Whose.
        user: UserId,
        /// Which.
        session: SessionId,
    },
    /// End all sessions of a user. Needs `OwnAccount` of that user.
    EndSessions {
        /// Whose.
        user: UserId,
        /// But not this one.
        keep: Option<SessionId>,
    },
    /// Note that a session is in use. Needs `OwnAccount` of its user. Not audited.
    TouchSession {
        /// Whose.
        user: UserId,
        /// Which.
        session: SessionId,
    },
    /// Ask to try a secret, and count it as failed in advance: only success takes that back. So attempts that run side by
    /// side are all counted. Needs `Operate`, as the system has it. Not audited.
    BeginAttempt(Vec<Subject>),
}

impl AccountCommand {
    /// Whether `permit` covers the command.
    pub fn is_permitted(&self, permit: &Permit) -> bool {
        match self.user() {
            Some(user) => permit.is_for_account(user),
            None => permit.covers(Action::Operate, None),
        }
    }

    /// The user whose `OwnAccount` the command needs; `None`: it needs `Operate` on the installation.
    const fn user(&self) -> Option<UserId> {
        match self {
            Self::CreateSession { session, .. } => Some(session.user),
            Self::EndSession { user, .. }
            | Self::EndSessions { user, .. }
            | Self::TouchSession { user, .. } => Some(*user),
            Self::BeginAttempt(_) => None,
        }
    }
}

/// What a change of an account brought about.
#[derive(Clone, Debug)]
pub enum AccountOutcome {
    /// A session as it is now.
    Session(Box<Session>),
    /// So many sessions ended.
    Ended(u64),
    /// Whether the secret may be tried.
    Gate(Gate),
    /// Invitations whose links were made just now, each with the address that it is for.
    Invited(Vec<(Invitation, String)>),
    /// Somebody is a member; the session that began, if the account is new.
    Joined(Option<Box<Session>>),
    /// A link was made that is good until then.
    LinkUntil(Timestamp),
    /// Nothing to show.
    Done,
}

/// A session, and where its user may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// The user's memberships that have not ended.
    pub memberships: Vec<Membership>,
}

/// The questions about accounts.
#[async_trait]
pub trait AccountStore: Send + Sync {
    /// The session whose token has this digest, with its user's memberships in the same snapshot.
    ///
    /// # Errors
    /// [`StoreError`], as with all questions.
    async fn session(&self, digest: TokenDigest) -> Result<Option<SignedIn>, StoreError>;

    /// The sessions of a user, newest first; those that have ended by themselves may be among them.
    async fn sessions(&self, user: UserId) -> Result<Vec<Session>, StoreError>;

    /// A page of the invitations of a workspace, oldest first, good or not.
    async fn invitations(
        &self,
        workspace: WorkspaceId,
        after: Option<InvitationId>,
        limit: u32,
    ) -> Result<Page<Invitation>, StoreError>;

    /// The invitation whose token has this digest, good or not, and its workspace.
    async fn invitation_by_digest(
        &self,
        digest: TokenDigest,
    ) -> Result<Option<(Invitation, Workspace)>, StoreError>;

    /// Whose password the link with this digest sets.
    async fn recovery(&self, digest: TokenDigest) -> Result<Option<Recovery>, StoreError>;

    /// The second factor of an account, confirmed or not.
    async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>, StoreError>;

    /// The memberships of a principal that have not ended, in every workspace.
    async fn memberships_of(&self, principal: Principal) -> Result<Vec<Membership>, StoreError>;
}
