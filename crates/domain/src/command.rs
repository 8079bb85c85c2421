//! Commands: complete descriptions of a change, one transaction each.

use std::net::IpAddr;

use crate::{
    account::{AccountCommand, AccountError, AccountOutcome, CredentialCommand, InvitationCommand},
    audit::PersonalData,
    credit::{CreditAccount, CreditCommand, CreditError, Reservation},
    identity::{IdentityCommand, IdentityError},
    ids::{AuditId, KeyId, OperatorId, RequestId, WorkspaceId},
    key::{ApiKey, Incident, KeyChange, KeyError, KeyNumber, NewKey, NewSecret, SecretDigest},
    lease::LeaseTerm,
    member::{MemberCommand, MemberError, MemberOutcome},
    operator::{OperatorCredential, OperatorError},
    permission::{CatalogueEntry, PermissionName, Role},
    permit::{Action, Permit},
    plan::{Plan, PlanError},
    principal::{Membership, User},
    privacy::{PrivacyCommand, PrivacyError, PrivacyOutcome},
    prompt::{PromptCommand, PromptError, PromptOutcome},
    query::{KeyFilter, LastUsed},
    store::StoreError,
    time::Timestamp,
    workspace::{Slug, Workspace, WorkspaceError, WorkspacePatch, WorkspacePolicy},
};

/// Repeats of a call are recognised by this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// Who calls, as text: the same key of another caller is another key.
    pub actor: String,
    /// The `Idempotency-Key`.
    pub key: String,
    /// Fingerprint of the request: method, path and body.
    pub fingerprint: [u8; 32],
}

/// What every command carries beside itself.
#[derive(Clone, Debug)]
pub struct Context {
    /// The moment the command takes place.
    pub now: Timestamp,
    /// The proof that the caller may.
    pub permit: Permit,
    /// The id of the audit entry. A command that writes several derives the others' from it.
    pub audit_id: AuditId,
    /// The request, if one caused the command.
    pub request_id: Option<RequestId>,
    /// Where it came from; kept apart from the audit chain.
    pub personal: PersonalData,
    /// How repeats are recognised, if the caller asked for it.
    pub idempotency: Option<Idempotency>,
}

impl Context {
    /// Where the call came from.
    pub const fn address(&self) -> Option<IpAddr> {
        self.personal.address
    }
}

/// The first objects of an installation.
#[derive(Clone, Debug)]
pub struct Bootstrap {
    /// The first operator credential.
    pub operator: NewOperator,
    /// The first workspace with its owner, if wanted.
    pub workspace: Option<(NewWorkspace, User)>,
}

/// An operator credential about to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOperator {
    /// The id.
    pub id: OperatorId,
    /// The name.
    pub name: String,
    /// Its secret.
    pub secret: NewSecret,
}

/// A workspace about to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWorkspace {
    /// The id.
    pub id: WorkspaceId,
    /// The name in addresses.
    pub slug: Slug,
    /// The name shown to people.
    pub name: String,
    /// The plan's name.
    pub plan: String,
    /// Its policy.
    pub policy: WorkspacePolicy,
}

/// A secret's digest under a newer pepper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redigest {
    /// The key.
    pub key: KeyId,
    /// Which of its secrets.
    pub ordinal: u16,
    /// The digest that it replaces: if the stored one is another, the item is skipped.
    pub old: SecretDigest,
    /// The new digest.
    pub new: SecretDigest,
}

/// A change of the installation.
#[derive(Clone, Debug)]
pub enum Command {
    /// Create the first objects. Refused when an operator credential exists. Needs `Operate` on the installation.
    Bootstrap(Box<Bootstrap>),
    /// Create a key. Needs `WriteKeys` on the workspace.
    CreateKey(Box<NewKey>),
    /// Change a key. Needs `WriteKeys` on the workspace.
    ChangeKey {
        /// The key.
        key: KeyId,
        /// The change.
        change: KeyChange,
    },
    /// Revoke every key of the workspace that matches, at most [`crate::caps::BULK_REVOKE_MAX`]. Needs `WriteKeys`.
    RevokeKeys {
        /// Which keys.
        filter: KeyFilter,
        /// The reason given.
        reason: Option<String>,
    },
    /// Replace digests under older peppers. Needs `Operate` on the installation. Not audited: nothing changes for
    /// anyone.
    Redigest(Vec<Redigest>),
    /// Create a workspace. Needs `Operate` on the installation.
    CreateWorkspace(Box<NewWorkspace>),
    /// Change a workspace. Needs `WriteWorkspace` on it (`plan` and `suspended`: `Operate`, checked at the edge).
    PatchWorkspace {
        /// The workspace.
        workspace: WorkspaceId,
        /// What to change.
        patch: WorkspacePatch,
    },
    /// The end of a workspace, and its return.
    Workspace(WorkspaceCommand),
    /// Note that every node has heard of a change of a workspace's lease. Needs `Operate`.
    SettleLease {
        /// The workspace.
        workspace: WorkspaceId,
        /// Which change of its lease: `lease_version` of its policy after it.
        version: u32,
    },
    /// Create a user with a membership. Needs `Operate` on the installation.
    CreateMember {
        /// The user.
        user: User,
        /// The workspace.
        workspace: WorkspaceId,
        /// The role.
        role: Role,
    },
    /// Create or replace a plan. Needs `Operate`.
    PutPlan(Plan),
    /// Delete a plan that no workspace is on. Needs `Operate`.
    DeletePlan(String),
    /// Add a permission to the catalogue, or change its description. Needs `Operate`.
    PutPermission {
        /// The name.
        name: PermissionName,
        /// What it allows.
        description: String,
    },
    /// Create an operator credential. Needs `Operate`.
    CreateOperator(Box<NewOperator>),
    /// Revoke an operator credential; not the last one. Needs `Operate`.
    RevokeOperator(OperatorId),
    /// Something about personal data.
    Privacy(PrivacyCommand),
    /// Change the members or service accounts of a workspace, or whose a key is.
    Member(MemberCommand),
    /// Change whom OpenID Connect providers know.
    Identity(IdentityCommand),
    /// A change of credits.
    Credit(CreditCommand),
    /// Change prompts. Needs `WritePrompts` on the workspace that the permit names.
    Prompt(PromptCommand),
    /// Change an account, or sign somebody in.
    Account(AccountCommand),
    /// Change invitations, or accept one.
    Invitation(InvitationCommand),
    /// Change what somebody proves who they are with.
    Credential(CredentialCommand),
}

/// The end of a workspace, and its return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkspaceCommand {
    /// Refuse its keys from now on, and let it go when its time is over. Needs `DeleteWorkspace` on it.
    Delete {
        /// The workspace.
        workspace: WorkspaceId,
        /// How long it can be restored, in days; the default's number when `None`.
        grace_days: Option<u16>,
    },
    /// Take a deletion back. Needs `DeleteWorkspace` on it.
    Restore {
        /// The workspace.
        workspace: WorkspaceId,
    },
    /// Remove a part of the data of a workspace whose deletion is final. Needs `Operate`. Repeated until the answer says
    /// that nothing is left.
    Purge {
        /// The workspace.
        workspace: WorkspaceId,
        /// Keys up to this number are dealt with.
        after: KeyNumber,
    },
}

impl WorkspaceCommand {
    /// The workspace.
    pub const fn workspace(&self) -> WorkspaceId {
        match self {
            Self::Delete { workspace, .. } | Self::Restore { workspace } | Self::Purge { workspace, .. } => {
                *workspace
            }
        }
    }

    /// What the caller must be permitted, and on what.
    pub const fn needs(&self) -> (Action, Option<WorkspaceId>) {
        match self {
            Self::Delete { workspace, .. } | Self::Restore { workspace } => {
                (Action::DeleteWorkspace, Some(*workspace))
            }
            Self::Purge { .. } => (Action::Operate, None),
        }
    }
}

/// How far a purge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeProgress {
    /// Go on after this number.
    More(KeyNumber),
    /// Nothing is left.
    Done,
}

/// Whose verifications a command touches, and with that, which leases may still vouch for the state before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Keys of the workspace that the command or its permit names.
    Workspace,
    /// Operator credentials, which are verified under the standard lease.
    Operators,
    /// Keys of any workspace.
    Installation,
    /// No verification at all: what it changes is looked up in the store for every request.
    Nothing,
}

impl Command {
    /// Whose verifications the command touches.
    pub const fn reach(&self) -> Reach {
        match self {
            Self::CreateKey(_)
            | Self::ChangeKey { .. }
            | Self::RevokeKeys { .. }
            | Self::PatchWorkspace { .. }
            | Self::Workspace(_)
            | Self::SettleLease { .. }
            | Self::Member(_)
            | Self::CreateMember { .. }
            | Self::Identity(_)
            | Self::Credit(_)
            | Self::Prompt(_)
            | Self::Invitation(_) => Reach::Workspace,
            Self::Bootstrap(_)
            | Self::CreateWorkspace(_)
            | Self::CreateOperator(_)
            | Self::RevokeOperator(_) => Reach::Operators,
            Self::Redigest(_)
            | Self::PutPlan(_)
            | Self::DeletePlan(_)
            | Self::PutPermission { .. }
            | Self::Privacy(_) => Reach::Installation,
            Self::Account(_) | Self::Credential(_) => Reach::Nothing,
        }
    }
}

impl Reach {
    /// The longest lease that may still vouch for the state before; `workspace` is what the workspace waits for after
    /// the command.
    pub const fn wait(self, workspace: Option<LeaseTerm>) -> LeaseTerm {
        match (self, workspace) {
            (Self::Workspace, Some(term)) => term,
            (Self::Operators, _) => LeaseTerm::Standard,
            (Self::Nothing, _) => LeaseTerm::ReadThrough,
            (Self::Workspace | Self::Installation, _) => LeaseTerm::Long,
        }
    }
}

/// A key after a change, with what it takes to show it: so that nobody has to ask for that before or after.
#[derive(Clone, Debug)]
pub struct ChangedKey {
    /// The key as it is now.
    pub key: ApiKey,
    /// The incident that was opened.
    pub incident: Option<Incident>,
    /// Its workspace.
    pub workspace: Workspace,
    /// When its secrets were last used, as far as that is written.
    pub last_uses: Vec<LastUsed>,
}

/// What a command brought about.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A key that was created.
    Key(Box<ApiKey>),
    /// A key after a change.
    ChangedKey(Box<ChangedKey>),
    /// Number of keys that a bulk revocation took.
    Revoked(u64),
    /// Number of digests that were replaced.
    Redigested(u64),
    /// A workspace as it is now.
    Workspace(Box<Workspace>),
    /// A part of a purged workspace's data was removed.
    Purged(PurgeProgress),
    /// A membership as it is now.
    Membership(Box<Membership>),
    /// A plan as it is now.
    Plan(Plan),
    /// A catalogue entry as it is now.
    Permission(CatalogueEntry),
    /// An operator credential as it is now.
    Operator(Box<OperatorCredential>),
    /// The installation's first objects.
    Bootstrapped {
        /// The operator credential.
        operator: Box<OperatorCredential>,
        /// The workspace and the owner's membership.
        workspace: Option<Box<(Workspace, Membership)>>,
    },
    /// Of a change that concerns personal data.
    Privacy(PrivacyOutcome),
    /// What a change of members brought about.
    Member(MemberOutcome),
    /// A credit account as it is now, and the reservation that the command was about.
    Credit(Box<CreditAccount>, Option<Box<Reservation>>),
    /// How much a sweep of credits found to do.
    Swept(u64),
    /// A prompt, and what belongs to it.
    Prompt(Box<PromptOutcome>),
    /// What became of an account.
    Account(AccountOutcome),
    /// Nothing to show.
    Done,
}

/// A committed command.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The last sequence number of the change log that it took; the log's head if it changed nothing.
    pub sequence: u64,
    /// Whether something was taken away.
    pub restricting: bool,
    /// The longest lease that may still vouch for the state before.
    pub wait: LeaseTerm,
    /// What it brought about.
    pub outcome: Outcome,
}

/// Why a repeat is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdempotencyError {
    /// The same call was carried out before.
    #[error("this Idempotency-Key was used for the same request before; its effect stands")]
    AlreadyApplied {
        /// What it created or changed, by id.
        target: String,
        /// The hint of the secret that it issued, if one.
        hint: Option<String>,
    },
    /// The same `Idempotency-Key` came with another request.
    #[error("this Idempotency-Key was used for another request")]
    Mismatch,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// About a key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// About a workspace.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// About a plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// About an operator credential.
    #[error(transparent)]
    Operator(#[from] OperatorError),
    /// About personal data.
    #[error(transparent)]
    Privacy(#[from] PrivacyError),
    /// About a member or a service account.
    #[error(transparent)]
    Member(#[from] MemberError),
    /// About whom providers know.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// About credits.
    #[error(transparent)]
    Credit(CreditError),
    /// About a prompt.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// About an account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// The catalogue is full.
    #[error("the permission catalogue has {} entries, as many as it may have", crate::caps::PERMISSIONS_MAX)]
    CatalogueFull,
    /// The installation was set up before.
    #[error("the installation is set up already")]
    AlreadySetUp,
    /// A bulk revocation matches more keys than one call may take.
    #[error("the filter matches more than {} keys; narrow it", crate::caps::BULK_REVOKE_MAX)]
    TooManyMatches,
    /// A repeat.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
    /// The permit is for something else: a defect of the caller, not of the user.
    #[error("the permit does not cover the command")]
    Permit,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
