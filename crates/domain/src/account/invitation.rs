//! Invitations: a one-time link with which a person becomes a member.
//!
//! Whoever is invited has an account from then on that nobody can sign in to: so the address is kept where everything that
//! names a person is kept, and nowhere else. Accepting proves that the address is theirs.

use super::{AccountError, NewSession, SessionLimits, TokenDigest};
use crate::{
    administration::Decided,
    audit::FieldChange,
    caps,
    ids::{InvitationId, UserId, WorkspaceId},
    key::Effect,
    member::{self, Authority, MemberError},
    permission::{PermissionSet, Role},
    permit::Action,
    principal::{Creator, Membership, MembershipNumber, Principal, User},
    time::Timestamp,
};

/// An invitation about to be written.
#[derive(Clone, Debug)]
pub struct NewInvitation {
    /// The id.
    pub id: InvitationId,
    /// The account to make if nobody signs in with the address yet.
    pub user: User,
    /// What its token is found by.
    pub digest: TokenDigest,
    /// The role.
    pub role: Role,
    /// Permissions within the role; `None`: all of them.
    pub narrowed_to: Option<PermissionSet>,
}

/// An invitation that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The id.
    pub id: InvitationId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Who is invited.
    pub user: UserId,
    /// The role.
    pub role: Role,
    /// Permissions within the role, if they are narrowed.
    pub narrowed_to: Option<PermissionSet>,
    /// Who invites, and the membership that they act by.
    pub invited_by: Creator,
    /// When it was written.
    pub created_at: Timestamp,
    /// When the link that is good was made.
    pub sent_at: Timestamp,
    /// When the link ends.
    pub expires_at: Timestamp,
}

impl Invitation {
    /// Whether its link is good at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// What a member who accepts may do.
    pub fn rights(&self) -> PermissionSet {
        self.role.permissions().intersection(self.narrowed_to.unwrap_or(PermissionSet::ALL))
    }
}

/// Whoever accepts, if nobody can sign in to the account yet.
#[derive(Clone)]
pub struct Newcomer {
    /// The name shown to others; `None`: the address.
    pub name: Option<String>,
    /// Argon2id hash of the password, in PHC string format.
    pub password_hash: String,
    /// The session that begins. Whose it is, the invitation says.
    pub session: NewSession,
    /// When sessions end by themselves.
    pub limits: SessionLimits,
}

impl core::fmt::Debug for Newcomer {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Newcomer").finish_non_exhaustive()
    }
}

/// A change of invitations. All but `Accept` are about the workspace that the permit names, and need `WriteMembers`.
#[derive(Clone, Debug)]
pub enum InvitationCommand {
    /// Invite people: all or, if one cannot be invited, none.
    Invite(Vec<NewInvitation>),
    /// Make a new link; the old one is not good any more.
    Resend {
        /// Which.
        invitation: InvitationId,
        /// What the new token is found by.
        digest: TokenDigest,
    },
    /// Take an invitation back.
    Withdraw(InvitationId),
    /// Become a member. Whoever has the token may; needs `Operate`, as the system has it.
    Accept {
        /// What the token is found by.
        digest: TokenDigest,
        /// Name and password, if the account has none yet.
        newcomer: Option<Box<Newcomer>>,
    },
}

impl InvitationCommand {
    /// What the caller must be permitted.
    pub const fn needs(&self) -> Action {
        match self {
            Self::Invite(_) | Self::Resend { .. } | Self::Withdraw(_) => Action::WriteMembers,
            Self::Accept { .. } => Action::Operate,
        }
    }
}

/// Writes an invitation. `member` is the membership that the person has already, `pending` how many invitations wait, and
/// `known` one of them that is for the same person.
///
/// # Errors
/// [`AccountError::AlreadyMember`], [`AccountError::AlreadyInvited`], [`AccountError::TooManyInvitations`], and of
/// [`MemberError`] those about giving more than one has.
#[expect(clippy::too_many_arguments, reason = "everything that the store finds")]
pub fn invite(
    new: &NewInvitation,
    workspace: WorkspaceId,
    invited_by: Creator,
    member: Option<&Membership>,
    known: Option<&Invitation>,
    pending: u64,
    authority: &Authority,
    now: Timestamp,
) -> Result<Decided<Invitation>, InvitationError> {
    if member.is_some() {
        return Err(AccountError::AlreadyMember.into());
    }
    if known.is_some_and(|known| known.is_open(now)) {
        return Err(AccountError::AlreadyInvited.into());
    }
    if pending >= caps::INVITATIONS_PENDING_MAX {
        return Err(AccountError::TooManyInvitations.into());
    }
    let invitation = Invitation {
        id: new.id,
        workspace,
        user: new.user.id,
        role: new.role,
        narrowed_to: member::narrow(new.role, new.narrowed_to)?,
        invited_by,
        created_at: now,
        sent_at: now,
        expires_at: now.plus_seconds(caps::INVITATION_SECONDS),
    };
    authority.check_role(new.role)?;
    authority.check_grant(invitation.rights())?;
    Ok(decided(invitation, "invitation.created"))
}

/// Makes a new link.
///
/// # Errors
/// [`MemberError`] when the one who asks could not write this invitation.
pub fn resend(
    before: &Invitation,
    invited_by: Creator,
    authority: &Authority,
    now: Timestamp,
) -> Result<Decided<Invitation>, MemberError> {
    authority.check_role(before.role)?;
    authority.check_grant(before.rights())?;
    let expires_at = now.plus_seconds(caps::INVITATION_SECONDS);
    let after = Invitation { sent_at: now, expires_at, invited_by, ..before.clone() };
    Ok(decided(after, "invitation.resent"))
}

/// Takes an invitation back.
///
/// # Errors
/// [`MemberError::OwnerOnly`].
pub fn withdraw(before: Invitation, authority: &Authority) -> Result<Decided<Invitation>, MemberError> {
    authority.check_role(before.role)?;
    Ok(decided(before, "invitation.withdrawn"))
}

/// The membership of whoever accepts. `inviter` is the inviter's membership now: nobody gives what they do not have any
/// more. `member` is the membership that the person got meanwhile.
///
/// # Errors
/// [`AccountError::LinkOver`], [`AccountError::AlreadyMember`], [`AccountError::InviterLost`].
pub fn accept(
    invitation: &Invitation,
    inviter: Option<&Membership>,
    member: Option<&Membership>,
    now: Timestamp,
) -> Result<Decided<Membership>, AccountError> {
    if !invitation.is_open(now) {
        return Err(AccountError::LinkOver);
    }
    if member.is_some() {
        return Err(AccountError::AlreadyMember);
    }
    if invitation.invited_by.membership != MembershipNumber::OPERATOR {
        let inviter = inviter.filter(|inviter| inviter.is_active()).ok_or(AccountError::InviterLost)?;
        let is_above = invitation.role == Role::Owner && inviter.role != Role::Owner;
        if is_above || !invitation.rights().is_subset(inviter.permissions()) {
            return Err(AccountError::InviterLost);
        }
    }
    let membership = Membership {
        number: MembershipNumber::default(),
        workspace: invitation.workspace,
        principal: Principal::User(invitation.user),
        role: invitation.role,
        narrowed_to: invitation.narrowed_to,
        created_at: now,
        disabled_at: None,
        ended_at: None,
    };
    let fields = described(invitation);
    Ok(Decided { value: membership, effect: Effect::Loosening, action: "member.joined", fields })
}

/// Why an invitation is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// For a reason of accounts.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// For a reason of members.
    #[error(transparent)]
    Member(#[from] MemberError),
}

fn decided(invitation: Invitation, action: &'static str) -> Decided<Invitation> {
    let fields = described(&invitation);
    Decided { value: invitation, effect: Effect::Loosening, action, fields }
}

fn described(invitation: &Invitation) -> Vec<FieldChange> {
    let field =
        |name: &str, after: String| FieldChange { field: name.to_owned(), before: None, after: Some(after) };
    let mut fields =
        vec![field("user", invitation.user.to_string()), field("role", invitation.role.as_str().to_owned())];
    fields.extend(invitation.narrowed_to.map(|set| field("permissions", set.describe())));
    fields
}
