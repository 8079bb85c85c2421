//! Changes: what the verification engines follow.
//!
//! Every transaction that touches verification state appends to a log under a gap-free, commit-ordered sequence. A
//! change carries the *whole* verification state of one entity, so applying a newer one twice, or skipping an older
//! one, is harmless.

use std::collections::BTreeSet;

use ipnet::IpNet;
use keywright_keyformat::Locator;

use crate::{
    environment::Environment,
    ids::{KeyId, SecretId, UserId, WorkspaceId},
    key::{ApiKey, KeyNumber, SecretDigest},
    lease::LeaseTerm,
    limits::LimitWindow,
    operator::OperatorCredential,
    permission::{CatalogueEntry, PermissionSet},
    plan::Plan,
    principal::{Creator, Membership, MembershipNumber, Principal},
    privacy::Collection,
    time::Timestamp,
    workspace::{KeyLife, Workspace, WorkspaceNumber},
};

/// Which entity a change is about, as the log keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EntityRef {
    /// A key.
    Key(KeyNumber),
    /// A workspace.
    Workspace(WorkspaceNumber),
    /// A membership.
    Membership(MembershipNumber),
    /// A plan, by name.
    Plan(String),
    /// The permission catalogue.
    Catalogue,
    /// All operator credentials.
    Operators,
    /// The prompts of a workspace.
    Prompts(WorkspaceNumber),
}

/// A secret as verification needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretView {
    /// The id.
    pub id: SecretId,
    /// Position among the key's secrets, from 1.
    pub ordinal: u16,
    /// What it is found by.
    pub locator: Locator,
    /// What it is compared with.
    pub digest: SecretDigest,
    /// End of its overlap, if one runs.
    pub expires_at: Option<Timestamp>,
    /// Whether it was ended for good.
    pub retired: bool,
    /// When it was issued.
    pub created_at: Timestamp,
}

/// A key as verification needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// Its slot.
    pub number: KeyNumber,
    /// The id.
    pub id: KeyId,
    /// Its workspace.
    pub workspace: WorkspaceNumber,
    /// The environment, and with it the mode.
    pub environment: Environment,
    /// What it may do at most.
    pub permissions: PermissionSet,
    /// Whose permissions bound its own.
    pub creator: Creator,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires, if ever.
    pub expires_at: Option<Timestamp>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// Whether it is revoked.
    pub revoked: bool,
    /// Windows of its own instead of the plan's.
    pub limits: Option<Vec<LimitWindow>>,
    /// Networks it may be used from; empty means any.
    pub networks: Vec<IpNet>,
    /// The operator's own name for the customer.
    pub external_id: Option<String>,
    /// A JSON object, compact.
    pub metadata: String,
    /// Its secrets, oldest first, retired ones included as far as they are kept.
    pub secrets: Vec<SecretView>,
}

impl From<&ApiKey> for KeyView {
    fn from(key: &ApiKey) -> Self {
        let secrets = key.secrets.iter().map(|secret| SecretView {
            id: secret.id,
            ordinal: secret.ordinal,
            locator: secret.locator,
            digest: secret.digest,
            expires_at: secret.expires_at,
            retired: secret.retired_at.is_some(),
            created_at: secret.created_at,
        });
        Self {
            number: key.number,
            id: key.id,
            workspace: key.workspace_number,
            environment: key.environment,
            permissions: key.permissions,
            creator: key.created_by,
            created_at: key.created_at,
            expires_at: key.expires_at,
            disabled: key.disabled_at.is_some(),
            revoked: key.revoked.is_some(),
            limits: key.limits.clone(),
            networks: key.networks.clone(),
            external_id: key.external_id.clone(),
            metadata: key.metadata.clone(),
            secrets: secrets.collect(),
        }
    }
}

/// A workspace as verification needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceView {
    /// Its slot.
    pub number: WorkspaceNumber,
    /// The id.
    pub id: WorkspaceId,
    /// The name in addresses.
    pub slug: String,
    /// The plan's name.
    pub plan: String,
    /// What its keys may do at most.
    pub allowed_permissions: PermissionSet,
    /// Slugs that it had before, and still answers to.
    pub former_slugs: Vec<String>,
    /// How long its keys live at most.
    pub life: KeyLife,
    /// Networks its keys may be used from; empty means any.
    pub networks: Vec<IpNet>,
    /// Whether it is suspended or deleted.
    pub suspended: bool,
    /// Under which lease its keys are verified.
    pub lease: LeaseTerm,
    /// The longest lease that any node may still hold for it.
    pub wait: LeaseTerm,
    /// Whether a key that is being revoked is answered with `revoking` until every node refuses it.
    pub atomic: bool,
}

impl KeyView {
    /// Whether all that changed from `before` to this is that the key was revoked.
    pub fn is_revocation_of(&self, before: &Self) -> bool {
        !before.revoked && *self == Self { revoked: true, ..before.clone() }
    }
}

impl From<&Workspace> for WorkspaceView {
    fn from(workspace: &Workspace) -> Self {
        Self {
            number: workspace.number,
            id: workspace.id,
            slug: workspace.slug.as_str().to_owned(),
            plan: workspace.plan.clone(),
            allowed_permissions: workspace.policy.allowed_permissions,
            former_slugs: workspace.former_slugs.iter().map(|slug| slug.as_str().to_owned()).collect(),
            life: KeyLife::from(&workspace.policy),
            networks: workspace.policy.networks.clone(),
            suspended: workspace.is_off(),
            lease: workspace.policy.lease,
            wait: workspace.policy.wait,
            atomic: workspace.policy.atomic,
        }
    }
}

/// A membership as verification needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipView {
    /// Its slot.
    pub number: MembershipNumber,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The member.
    pub principal: Principal,
    /// What the member may do now; empty when the membership is off.
    pub permissions: PermissionSet,
    /// Whether the membership ended or was switched off: then none of its keys is accepted.
    pub off: bool,
    /// Whether addresses and user agents of what the member's keys do are kept. The store fills in what the member chose.
    pub collection: Collection,
}

impl From<&Membership> for MembershipView {
    fn from(membership: &Membership) -> Self {
        Self {
            number: membership.number,
            workspace: membership.workspace,
            principal: membership.principal,
            permissions: membership.permissions(),
            off: !membership.is_active(),
            collection: Collection::Kept,
        }
    }
}

impl MembershipView {
    /// The view of `membership`, given everybody who opted out of collection.
    pub fn of(membership: &Membership, opt_outs: &BTreeSet<UserId>) -> Self {
        let is_out = matches!(membership.principal, Principal::User(user) if opt_outs.contains(&user));
        let collection = if is_out { Collection::OptedOut } else { Collection::Kept };
        Self { collection, ..Self::from(membership) }
    }
}

/// A change of verification state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key is now so.
    Key(Box<KeyView>),
    /// A key was deleted: nothing of it remains in memory.
    KeyRemoved(KeyNumber),
    /// A workspace is now so.
    Workspace(WorkspaceView),
    /// A workspace's data was removed: nothing of it remains in memory.
    WorkspaceRemoved(WorkspaceNumber),
    /// A membership is now so.
    Membership(MembershipView),
    /// A plan is now so.
    Plan(Plan),
    /// A plan was deleted.
    PlanRemoved(String),
    /// The permission catalogue is now so.
    Catalogue(Vec<CatalogueEntry>),
    /// The operator credentials are now these; revoked ones are left out.
    Operators(Vec<OperatorCredential>),
    /// A workspace's prompts changed: what is kept of them in memory is not true any more.
    Prompts(WorkspaceNumber),
}

/// A change with its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedChange {
    /// Position in the log, from 1, without gaps.
    pub sequence: u64,
    /// Whether something is taken away, so that the caller waits for all nodes.
    pub restricting: bool,
    /// The change.
    pub change: Change,
}

/// Follows the log of the store it is attached to.
pub trait ChangeSink: Send + Sync {
    /// Takes changes that were just committed, in order, before the callers that made them get their answers.
    fn committed(&self, changes: &[NumberedChange]);
}

/// What a change took from a key for good. Kept so that it can be brought into effect again after a fail-over that lost
/// it: such ends are monotone, so to do it twice is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The change's place in the log that it was part of.
    pub sequence: u64,
    /// The key. In another history its number may be another one.
    pub key: KeyId,
    /// Its number.
    pub number: KeyNumber,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// What became of it.
    pub end: KeyEnd,
    /// Its secrets that are ended for good, as far as they are kept; empty for a removed key.
    pub retired: Vec<RetiredSecret>,
}

/// How a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyEnd {
    /// It lives on; only secrets of it ended.
    SecretsOnly,
    /// It is revoked.
    Revoked,
    /// It is deleted.
    Removed,
}

/// A secret that ended for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetiredSecret {
    /// Position among the key's secrets, from 1.
    pub ordinal: u16,
    /// What it was found by.
    pub locator: Locator,
}
