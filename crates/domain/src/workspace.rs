//! Workspaces: the tenants of an installation, and their policies.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{
    caps,
    environment::Environment,
    ids::WorkspaceId,
    lease::LeaseTerm,
    permission::{Builtin, PermissionSet},
    time::{Period, Timestamp},
};

mod life;
mod removal;
mod store;
pub use life::{ExpiredBy, KeyLife};
pub use removal::{Deletion, delete_workspace, purge_workspace, restore_workspace};
pub use store::WorkspaceStore;

/// A workspace's number in the store and its slot in the engine; 0 until stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkspaceNumber(pub u32);

/// The name of a workspace in addresses: `[a-z0-9-]`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

impl Slug {
    /// Checks the form of `text`.
    ///
    /// # Errors
    /// [`WorkspaceError::Slug`] when it has another form.
    pub fn parse(text: &str) -> Result<Self, WorkspaceError> {
        let is_valid = (1..=caps::SLUG_MAX_BYTES).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if is_valid { Ok(Self(text.to_owned())) } else { Err(WorkspaceError::Slug) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = WorkspaceError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

/// After which period the keys of each environment are due for rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationPolicy {
    /// Development keys.
    pub development: Option<Period>,
    /// Staging keys.
    pub staging: Option<Period>,
    /// Production keys.
    pub production: Option<Period>,
    /// CI keys.
    pub ci: Option<Period>,
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self {
            development: Some(Period::Months(6)),
            staging: Some(Period::Months(3)),
            production: Some(Period::Days(90)),
            ci: Some(Period::Months(3)),
        }
    }
}

impl RotationPolicy {
    /// The period of one environment; `None` where rotation is not asked for.
    pub const fn period(&self, environment: Environment) -> Option<Period> {
        match environment {
            Environment::Development => self.development,
            Environment::Staging => self.staging,
            Environment::Production => self.production,
            Environment::Ci => self.ci,
        }
    }
}

/// What becomes of a key whose rotation is overdue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationMode {
    /// It is shown as due.
    #[default]
    Warn,
    /// It is refused from the moment on at which it is due, until it is rotated.
    Enforce,
}

/// What becomes of a key that nobody uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleAction {
    /// It is shown as idle.
    #[default]
    Flag,
    /// It is switched off.
    Disable,
}

/// What a workspace asks of its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkspacePolicy {
    /// Rotation periods.
    pub rotation: RotationPolicy,
    /// How long both secrets work after a rotation that names no overlap, in seconds.
    pub overlap_seconds: u32,
    /// Longest life of a key from its creation on, in days; `None` where keys need no expiry. Keys that were created with a
    /// longer life, or without an end, end then, too.
    pub max_key_days: Option<u32>,
    /// What keys of the workspace may do at most.
    pub allowed_permissions: PermissionSet,
    /// What a key may do when its creator names no permissions.
    pub default_permissions: PermissionSet,
    /// Most keys that are not deleted.
    pub max_keys: u32,
    /// Whether the workspace's own people may create keys, or only the operator.
    pub self_service: bool,
    /// How long a node verifies keys of the workspace without having heard from the store.
    #[serde(default)]
    pub lease: LeaseTerm,
    /// The longest lease that any node may still hold for the workspace: what a revocation waits for. At least `lease`;
    /// longer from the moment `lease` is lowered until every node has heard of it.
    #[serde(default)]
    pub wait: LeaseTerm,
    /// Counts the changes of `lease`: whoever settles one must not settle a later one.
    #[serde(default)]
    pub lease_version: u32,
    /// While a revocation is under way, nodes that know of it answer `revoking` instead of refusing, so that no key is
    /// accepted after it was refused once.
    #[serde(default)]
    pub atomic: bool,
    /// What becomes of keys whose rotation is overdue.
    #[serde(default)]
    pub rotation_mode: RotationMode,
    /// After how many days without use a key counts as idle; `None`: never.
    #[serde(default)]
    pub idle_days: Option<u16>,
    /// What becomes of idle keys.
    #[serde(default)]
    pub idle_action: IdleAction,
    /// Networks that keys of the workspace may be used from; empty means any. A key's own networks narrow them further.
    #[serde(default)]
    pub networks: Vec<IpNet>,
}

impl Default for WorkspacePolicy {
    fn default() -> Self {
        Self {
            rotation: RotationPolicy::default(),
            overlap_seconds: 48 * 3_600,
            max_key_days: None,
            allowed_permissions: PermissionSet::ALL,
            default_permissions: Builtin::DEFAULT,
            max_keys: caps::KEYS_PER_WORKSPACE_DEFAULT,
            self_service: true,
            lease: LeaseTerm::default(),
            wait: LeaseTerm::default(),
            lease_version: 0,
            atomic: false,
            rotation_mode: RotationMode::Warn,
            idle_days: None,
            idle_action: IdleAction::Flag,
            networks: Vec::new(),
        }
    }
}

/// A tenant of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// Number in the store; 0 until stored.
    pub number: WorkspaceNumber,
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
    /// When it was suspended, if it is.
    pub suspended_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its deletion, if it was deleted and its data is still there.
    pub deletion: Option<Deletion>,
    /// Slugs that it had before, ascending: they go on leading to it, and nobody else gets them.
    pub former_slugs: Vec<Slug>,
}

impl Workspace {
    /// Whether `slug` is or was its name in addresses.
    pub fn answers_to(&self, slug: &Slug) -> bool {
        self.slug == *slug || self.former_slugs.contains(slug)
    }

    /// Whether it can not be brought back any more at `now`: from then on it is answered like one that never was.
    pub fn is_gone(&self, now: Timestamp) -> bool {
        self.deletion.is_some_and(|deletion| now >= deletion.purge_at)
    }

    /// Whether its keys are refused at present, because it is suspended or deleted.
    pub const fn is_off(&self) -> bool {
        self.suspended_at.is_some() || self.deletion.is_some()
    }

    /// The latest moment of use of a key that counts as idle at `now`; `None` where no key does.
    pub fn idle_before(&self, now: Timestamp) -> Option<Timestamp> {
        self.policy.idle_days.map(|days| now.plus_seconds(-i64::from(days) * 86_400))
    }
}

/// What to change of a workspace. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkspacePatch {
    /// New name.
    pub name: Option<String>,
    /// New plan.
    pub plan: Option<String>,
    /// Suspend (`true`) or resume (`false`).
    pub suspended: Option<bool>,
    /// New policy.
    pub policy: Option<WorkspacePolicy>,
    /// New name in addresses. The old one goes on leading to the workspace.
    pub slug: Option<Slug>,
}

/// Why an operation on a workspace is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkspaceError {
    /// The slug's form.
    #[error(
        "a slug has 1 to {} of a-z, 0-9 and '-', and neither begins nor ends with '-'",
        caps::SLUG_MAX_BYTES
    )]
    Slug,
    /// The slug is taken.
    #[error("a workspace with this slug exists already")]
    SlugTaken,
    /// The name is empty, too long or has control characters.
    #[error("a name has 1 to {} printable characters", caps::NAME_MAX_CHARS)]
    Name,
    /// No such workspace.
    #[error("there is no such workspace")]
    NotFound,
    /// No plan of this name.
    #[error("there is no plan {0:?}")]
    UnknownPlan(String),
    /// A policy value is out of range.
    #[error("policy: {0}")]
    Policy(&'static str),
    /// It has had too many slugs.
    #[error(
        "the workspace has had {} other slugs, which all go on leading to it; there are no more",
        caps::FORMER_SLUGS_MAX
    )]
    FormerSlugs,
    /// The time until the data goes is out of range.
    #[error("grace_days is from 0 to {}", caps::GRACE_DAYS_MAX)]
    GraceDays,
    /// There is nothing to restore.
    #[error("the workspace is not deleted")]
    NotDeleted,
    /// The workspace's data must stay for now.
    #[error("the workspace's data stays until its deletion is final")]
    NotFinal,
}

impl WorkspacePolicy {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`WorkspaceError::Policy`] naming the field and its range.
    pub fn check(&self) -> Result<(), WorkspaceError> {
        if self.overlap_seconds > caps::OVERLAP_SECONDS_MAX {
            return Err(WorkspaceError::Policy("overlap_seconds is from 0 to 7776000"));
        }
        if self.max_key_days.is_some_and(|days| !(1..=36_500).contains(&days)) {
            return Err(WorkspaceError::Policy("max_key_days is from 1 to 36500"));
        }
        if self.idle_days.is_some_and(|days| !(1..=caps::IDLE_DAYS_MAX).contains(&days)) {
            return Err(WorkspaceError::Policy("idle_days is from 1 to 3650"));
        }
        if self.idle_action == IdleAction::Disable && self.idle_days.is_none() {
            return Err(WorkspaceError::Policy("idle_action is `disable` only where idle_days is set"));
        }
        if self.networks.len() > caps::NETWORKS_MAX {
            return Err(WorkspaceError::Policy("allowed_ips has at most 64 networks"));
        }
        if !(1..=caps::KEYS_PER_WORKSPACE_MAX).contains(&self.max_keys) {
            return Err(WorkspaceError::Policy("max_keys is from 1 to 10000000"));
        }
        let periods =
            Environment::ALL.into_iter().filter_map(|environment| self.rotation.period(environment));
        for period in periods {
            let in_range = match period {
                Period::Days(days) => (1..=3_650).contains(&days),
                Period::Months(months) => (1..=120).contains(&months),
            };
            if !in_range {
                return Err(WorkspaceError::Policy(
                    "a rotation period is from 1 to 3650 days or 1 to 120 months",
                ));
            }
        }
        Ok(())
    }
}
