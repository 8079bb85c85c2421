//! Workspaces and their policies.

use keywright_domain::{lease::LeaseTerm, permission::Catalogue, time, workspace};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Patch, Time,
    networks::{parse_networks_of, show_network},
};
use crate::{error::ApiError, v1::problems};

/// A calendar period: `{"days": 90}` or `{"months": 3}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(example = json!({"days": 90}))]
pub enum Period {
    /// Days of 24 hours, 1 to 3650.
    Days(u16),
    /// Calendar months, 1 to 120.
    Months(u8),
}

impl From<time::Period> for Period {
    fn from(period: time::Period) -> Self {
        match period {
            time::Period::Days(days) => Self::Days(days),
            time::Period::Months(months) => Self::Months(months),
        }
    }
}

impl From<Period> for time::Period {
    fn from(period: Period) -> Self {
        match period {
            Period::Days(days) => Self::Days(days),
            Period::Months(months) => Self::Months(months),
        }
    }
}

/// What becomes of a key whose rotation is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RotationMode {
    /// It is shown as due.
    Warn,
    /// It is refused until it is rotated.
    Enforce,
}

impl From<workspace::RotationMode> for RotationMode {
    fn from(mode: workspace::RotationMode) -> Self {
        match mode {
            workspace::RotationMode::Warn => Self::Warn,
            workspace::RotationMode::Enforce => Self::Enforce,
        }
    }
}

impl From<RotationMode> for workspace::RotationMode {
    fn from(mode: RotationMode) -> Self {
        match mode {
            RotationMode::Warn => Self::Warn,
            RotationMode::Enforce => Self::Enforce,
        }
    }
}

/// What becomes of an idle key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdleAction {
    /// It is shown as idle.
    Flag,
    /// It is switched off.
    Disable,
}

impl From<workspace::IdleAction> for IdleAction {
    fn from(action: workspace::IdleAction) -> Self {
        match action {
            workspace::IdleAction::Flag => Self::Flag,
            workspace::IdleAction::Disable => Self::Disable,
        }
    }
}

impl From<IdleAction> for workspace::IdleAction {
    fn from(action: IdleAction) -> Self {
        match action {
            IdleAction::Flag => Self::Flag,
            IdleAction::Disable => Self::Disable,
        }
    }
}

/// After which period keys of each environment are due for rotation; `null` where rotation is not asked for.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
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

/// What a workspace asks of its keys.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WorkspacePolicy {
    /// Rotation periods.
    pub rotation: RotationPolicy,
    /// How long both secrets work after a rotation that names no overlap, in seconds.
    pub overlap_seconds: u32,
    /// What becomes of a key whose rotation is overdue: `warn` shows it as due, `enforce` refuses it from that moment on
    /// until it is rotated.
    pub rotation_mode: RotationMode,
    /// Longest life of a key from its creation on, in days; `null` where keys need no expiry. Keys that were created with a
    /// longer life end then, too.
    pub max_key_days: Option<u32>,
    /// After how many days without use a key counts as idle; `null`: never.
    pub idle_days: Option<u16>,
    /// What becomes of an idle key: `flag` shows it as idle, `disable` switches it off.
    pub idle_action: IdleAction,
    /// Addresses and networks that keys of the workspace may be used from; empty means any. A key's own `allowed_ips`
    /// narrow them further.
    #[schema(example = json!(["203.0.113.0/24"]))]
    pub allowed_ips: Vec<String>,
    /// What keys of the workspace may do at most; `null`: everything that the catalogue has, now and later.
    pub allowed_permissions: Option<Vec<String>>,
    /// What a key may do when its creator names no permissions.
    pub default_permissions: Vec<String>,
    /// Most keys that are not deleted.
    pub max_keys: u32,
    /// Whether the workspace's own people may create keys, or only the operator.
    pub self_service: bool,
    /// For how many seconds a node verifies keys of the workspace without having heard from the database: 0, 3, 30 or
    /// 300. A revocation waits at most a quarter longer for a node that cannot be reached. 0: every verification asks.
    #[schema(example = 30)]
    pub lease_seconds: u32,
    /// Whether a key that is being revoked is answered with `revoking` until every node refuses it, so that it is never
    /// accepted after it was refused once.
    pub atomic_revocation: bool,
}

impl WorkspacePolicy {
    fn new(policy: &workspace::WorkspacePolicy, catalogue: &Catalogue) -> Self {
        let names = |set| catalogue.names(set).map(str::to_owned).collect();
        let rotation = &policy.rotation;
        let everything = policy.allowed_permissions == keywright_domain::permission::PermissionSet::ALL;
        Self {
            rotation: RotationPolicy {
                development: rotation.development.map(Into::into),
                staging: rotation.staging.map(Into::into),
                production: rotation.production.map(Into::into),
                ci: rotation.ci.map(Into::into),
            },
            overlap_seconds: policy.overlap_seconds,
            rotation_mode: policy.rotation_mode.into(),
            max_key_days: policy.max_key_days,
            idle_days: policy.idle_days,
            idle_action: policy.idle_action.into(),
            allowed_ips: policy.networks.iter().map(show_network).collect(),
            allowed_permissions: (!everything).then(|| names(policy.allowed_permissions)),
            default_permissions: names(policy.default_permissions),
            max_keys: policy.max_keys,
            self_service: policy.self_service,
            lease_seconds: policy.lease.seconds(),
            atomic_revocation: policy.atomic,
        }
    }
}

/// A tenant of the installation.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Workspace {
    /// The id.
    #[schema(example = "ws_01k9zq3v4w5x6y7z8a9b0c1d2e")]
    pub id: String,
    /// The name in addresses.
    #[schema(example = "acme")]
    pub slug: String,
    /// The name shown to people.
    #[schema(example = "Acme Inc.")]
    pub name: String,
    /// The plan's name.
    #[schema(example = "standard")]
    pub plan: String,
    /// Its policy.
    pub policy: WorkspacePolicy,
    /// Whether its keys are refused at present.
    pub suspended: bool,
    /// Since when it is suspended.
    pub suspended_at: Option<Time>,
    /// Whether it is deleted: its keys are refused, and it can be restored until `deletes_at`.
    pub deleted: bool,
    /// When its deletion becomes final and its data is removed, if it is deleted.
    pub deletes_at: Option<Time>,
    /// Slugs that it had before; they go on leading to it.
    #[schema(example = json!([]))]
    pub former_slugs: Vec<String>,
    /// When it was created.
    pub created_at: Time,
}

impl Workspace {
    /// The workspace as it goes over the wire.
    pub fn new(workspace: workspace::Workspace, catalogue: &Catalogue) -> Self {
        Self {
            id: workspace.id.to_string(),
            slug: workspace.slug.into(),
            name: workspace.name,
            plan: workspace.plan,
            policy: WorkspacePolicy::new(&workspace.policy, catalogue),
            suspended: workspace.suspended_at.is_some(),
            suspended_at: workspace.suspended_at.map(Time),
            deleted: workspace.deletion.is_some(),
            deletes_at: workspace.deletion.map(|deletion| Time(deletion.purge_at)),
            former_slugs: workspace.former_slugs.into_iter().map(String::from).collect(),
            created_at: workspace.created_at.into(),
        }
    }
}

/// Changes of rotation periods. Absent: stays; `null`: rotation is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationPatch {
    /// Development keys.
    #[serde(default)]
    #[schema(value_type = Option<Period>)]
    pub development: Patch<Period>,
    /// Staging keys.
    #[serde(default)]
    #[schema(value_type = Option<Period>)]
    pub staging: Patch<Period>,
    /// Production keys.
    #[serde(default)]
    #[schema(value_type = Option<Period>)]
    pub production: Patch<Period>,
    /// CI keys.
    #[serde(default)]
    #[schema(value_type = Option<Period>)]
    pub ci: Patch<Period>,
}

/// Changes of a policy. What is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyPatch {
    /// Rotation periods; `null`: those of a new workspace.
    #[serde(default)]
    #[schema(value_type = Option<RotationPatch>)]
    pub rotation: Patch<RotationPatch>,
    /// How long both secrets work after a rotation that names no overlap, in seconds: 0 to 7776000.
    #[serde(default)]
    #[schema(value_type = Option<u32>, maximum = 7_776_000)]
    pub overlap_seconds: Patch<u32>,
    /// What becomes of a key whose rotation is overdue. `null`: `warn`.
    #[serde(default)]
    #[schema(value_type = Option<RotationMode>)]
    pub rotation_mode: Patch<RotationMode>,
    /// After how many days without use a key counts as idle: 1 to 3650. `null`: never.
    #[serde(default)]
    #[schema(value_type = Option<u16>, minimum = 1, maximum = 3_650)]
    pub idle_days: Patch<u16>,
    /// What becomes of an idle key. `null`: `flag`.
    #[serde(default)]
    #[schema(value_type = Option<IdleAction>)]
    pub idle_action: Patch<IdleAction>,
    /// Addresses and networks that keys of the workspace may be used from, at most 64. Empty or `null`: any.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 64)]
    pub allowed_ips: Patch<Vec<String>>,
    /// Longest life of a key from its creation on, in days: 1 to 36500. Keys that are older end at once. `null`: keys need
    /// no expiry.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 36_500)]
    pub max_key_days: Patch<u32>,
    /// What keys of the workspace may do at most. `null`: everything that the catalogue has, now and later.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub allowed_permissions: Patch<Vec<String>>,
    /// What a key may do when its creator names no permissions. `null`: that of a new workspace.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    pub default_permissions: Patch<Vec<String>>,
    /// Most keys that are not deleted: 1 to 10000000. Operator only.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 10_000_000)]
    pub max_keys: Patch<u32>,
    /// Whether the workspace's own people may create keys, or only the operator. Operator only.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub self_service: Patch<bool>,
    /// For how many seconds a node verifies keys of the workspace without having heard from the database: 0, 3, 30 or
    /// 300. `null`: 30.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub lease_seconds: Patch<u32>,
    /// Whether a key that is being revoked is answered with `revoking` until every node refuses it.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub atomic_revocation: Patch<bool>,
}

fn lease_term(seconds: u32) -> Result<LeaseTerm, ApiError> {
    LeaseTerm::try_from(seconds)
        .map_err(|error| ApiError::invalid_field("policy.lease_seconds", error.to_string()))
}

impl PolicyPatch {
    /// Whether it touches what the operator alone decides about a tenant.
    pub fn needs_operator(&self) -> bool {
        self.max_keys != Patch::Leave || self.self_service != Patch::Leave
    }

    /// The policy `before` with the changes.
    ///
    /// # Errors
    /// `unknown_permission`, and `invalid_field` for `null` where a value is needed.
    pub fn apply(
        self,
        before: workspace::WorkspacePolicy,
        catalogue: &Catalogue,
    ) -> Result<workspace::WorkspacePolicy, ApiError> {
        let fresh = workspace::WorkspacePolicy::default();
        let resolve = |field: &'static str| {
            move |names: Vec<String>| {
                catalogue
                    .resolve(names.iter().map(String::as_str))
                    .map_err(|error| problems::of_unknown_permission(field, &error))
            }
        };
        let allowed = self.allowed_permissions.try_map(resolve("policy.allowed_permissions"))?;
        let default = self.default_permissions.try_map(resolve("policy.default_permissions"))?;
        let networks = self.allowed_ips.try_map(|texts| parse_networks_of("policy.allowed_ips", &texts))?;
        Ok(workspace::WorkspacePolicy {
            lease: self.lease_seconds.try_map(lease_term)?.or_cleared(fresh.lease).unwrap_or(before.lease),
            wait: before.wait,
            lease_version: before.lease_version,
            atomic: self.atomic_revocation.required("policy.atomic_revocation")?.unwrap_or(before.atomic),
            rotation: match self.rotation {
                Patch::Leave => before.rotation,
                Patch::Clear => fresh.rotation,
                Patch::Set(rotation) => rotation.apply(before.rotation),
            },
            overlap_seconds: self
                .overlap_seconds
                .or_cleared(fresh.overlap_seconds)
                .unwrap_or(before.overlap_seconds),
            max_key_days: self.max_key_days.apply_to(before.max_key_days),
            rotation_mode: self
                .rotation_mode
                .or_cleared(fresh.rotation_mode.into())
                .map_or(before.rotation_mode, Into::into),
            idle_days: self.idle_days.apply_to(before.idle_days),
            idle_action: self
                .idle_action
                .or_cleared(fresh.idle_action.into())
                .map_or(before.idle_action, Into::into),
            networks: networks.or_cleared(fresh.networks).unwrap_or(before.networks),
            allowed_permissions: allowed
                .or_cleared(fresh.allowed_permissions)
                .unwrap_or(before.allowed_permissions),
            default_permissions: default
                .or_cleared(fresh.default_permissions)
                .unwrap_or(before.default_permissions),
            max_keys: self.max_keys.or_cleared(fresh.max_keys).unwrap_or(before.max_keys),
            self_service: self.self_service.required("policy.self_service")?.unwrap_or(before.self_service),
        })
    }
}

impl RotationPatch {
    fn apply(self, before: workspace::RotationPolicy) -> workspace::RotationPolicy {
        let change = |patch: Patch<Period>, before: Option<time::Period>| match patch {
            Patch::Leave => before,
            Patch::Clear => None,
            Patch::Set(period) => Some(period.into()),
        };
        workspace::RotationPolicy {
            development: change(self.development, before.development),
            staging: change(self.staging, before.staging),
            production: change(self.production, before.production),
            ci: change(self.ci, before.ci),
        }
    }
}
