//! API keys: what they are, and every way in which one may change.

use core::fmt;

use ipnet::IpNet;
use keywright_keyformat::Locator;
use serde::{Deserialize, Serialize};

use crate::{
    audit::FieldChange,
    caps,
    environment::Environment,
    ids::{IncidentId, KeyId, SecretId, WorkspaceId},
    limits::{InvalidLimits, LimitWindow, check_windows},
    permission::PermissionSet,
    principal::Creator,
    time::Timestamp,
    workspace::{ExpiredBy, KeyLife, Workspace, WorkspaceNumber},
};

mod transition;
pub use transition::{Effect, Transition, create, transition};

#[cfg(test)]
mod tests;

/// A key's number in the store and its slot in the engine; 0 until stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyNumber(pub u32);

/// HMAC-SHA-256 of a secret's text under one of the installation's peppers.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretDigest {
    /// Version of the pepper.
    pub pepper: u16,
    /// The HMAC.
    pub bytes: [u8; 32],
}

impl SecretDigest {
    /// Compares the HMACs in constant time.
    pub fn matches(&self, bytes: &[u8; 32]) -> bool {
        subtle::ConstantTimeEq::ct_eq(&self.bytes[..], &bytes[..]).into()
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SecretDigest").field("pepper", &self.pepper).finish_non_exhaustive()
    }
}

/// A secret as the store keeps it: nothing that would let anyone in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySecret {
    /// The id.
    pub id: SecretId,
    /// Position among the secrets that the key ever had, from 1; 0 until the key is stored.
    pub ordinal: u16,
    /// Public part, by which the secret is found.
    pub locator: Locator,
    /// What lists show: prefix, locator and the last four characters.
    pub hint: String,
    /// What a presented secret is compared with.
    pub digest: SecretDigest,
    /// When it was issued.
    pub created_at: Timestamp,
    /// End of its overlap with a newer secret, if one runs.
    pub expires_at: Option<Timestamp>,
    /// When it was ended for good, if it was.
    pub retired_at: Option<Timestamp>,
}

impl KeySecret {
    /// Whether the secret itself may still be used at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.retired_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// Why and when a key was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// When.
    pub at: Timestamp,
    /// The reason given.
    pub reason: Option<String>,
}

/// What a key is good for at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// Accepted.
    Active,
    /// Switched off for now.
    Disabled,
    /// Its time is over.
    Expired,
    /// Ended for good.
    Revoked,
}

impl KeyStatus {
    /// All statuses.
    pub const ALL: [Self; 4] = [Self::Active, Self::Disabled, Self::Expired, Self::Revoked];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Reads the name on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Number in the store.
    pub number: KeyNumber,
    /// The id; never changes.
    pub id: KeyId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// The workspace's number.
    pub workspace_number: WorkspaceNumber,
    /// The name.
    pub name: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// The environment; never changes.
    pub environment: Environment,
    /// What it may do at most.
    pub permissions: PermissionSet,
    /// Who created it.
    pub created_by: Creator,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it expires, if ever.
    pub expires_at: Option<Timestamp>,
    /// When it was switched off, if it is.
    pub disabled_at: Option<Timestamp>,
    /// When it was last switched on again, if it ever was.
    pub enabled_at: Option<Timestamp>,
    /// Its revocation, if it is revoked.
    pub revoked: Option<Revocation>,
    /// When it left the lists, if it did.
    pub deleted_at: Option<Timestamp>,
    /// Windows of its own instead of the plan's.
    pub limits: Option<Vec<LimitWindow>>,
    /// Networks it may be used from; empty means any.
    pub networks: Vec<IpNet>,
    /// The operator's own name for the customer.
    pub external_id: Option<String>,
    /// A JSON object, compact; `{}` when nothing was given.
    pub metadata: String,
    /// Its secrets, oldest first; the last one that is not retired is the primary.
    pub secrets: Vec<KeySecret>,
}

impl ApiKey {
    /// The status at `now`.
    pub fn status(&self, now: Timestamp) -> KeyStatus {
        if self.revoked.is_some() {
            KeyStatus::Revoked
        } else if self.disabled_at.is_some() {
            KeyStatus::Disabled
        } else if self.expires_at.is_some_and(|end| now >= end) {
            KeyStatus::Expired
        } else {
            KeyStatus::Active
        }
    }

    /// The status at `now`, with what the workspace's policy says about its life.
    pub fn status_in(&self, workspace: &Workspace, now: Timestamp) -> KeyStatus {
        match self.status(now) {
            KeyStatus::Active if self.expired_by(workspace, now).is_some() => KeyStatus::Expired,
            status => status,
        }
    }

    /// What has ended the key's life at `now`, if anything has.
    pub fn expired_by(&self, workspace: &Workspace, now: Timestamp) -> Option<ExpiredBy> {
        let passed = |end: Option<Timestamp>| end.is_some_and(|end| now >= end);
        let life = KeyLife::from(&workspace.policy);
        if passed(self.expires_at) {
            Some(ExpiredBy::Key)
        } else if passed(life.ends_at(self.created_at)) {
            Some(ExpiredBy::MaximumLife)
        } else if passed(self.overdue_at(&life)) {
            Some(ExpiredBy::Rotation)
        } else {
            None
        }
    }

    /// From when on the key is refused because its time is over, if that will ever be so: the earliest of its own end,
    /// the longest life that the workspace allows, and the day of an enforced rotation.
    pub fn ends_at(&self, workspace: &Workspace) -> Option<Timestamp> {
        let life = KeyLife::from(&workspace.policy);
        [self.expires_at, life.ends_at(self.created_at), self.overdue_at(&life)].into_iter().flatten().min()
    }

    fn overdue_at(&self, life: &KeyLife) -> Option<Timestamp> {
        self.primary_secret().and_then(|secret| life.overdue_at(self.environment, secret.created_at))
    }

    /// Since when the key has not been used, if `last_used` is the last use: creation, being switched on and a new secret
    /// count as uses.
    pub fn unused_since(&self, last_used: Option<Timestamp>) -> Timestamp {
        let issued = self.primary_secret().map(|secret| secret.created_at);
        [last_used, self.enabled_at, issued].into_iter().flatten().fold(self.created_at, Timestamp::max)
    }

    /// Whether the key works at `now` and counts as idle by the workspace's policy.
    pub fn is_idle(&self, workspace: &Workspace, last_used: Option<Timestamp>, now: Timestamp) -> bool {
        self.status_in(workspace, now) == KeyStatus::Active
            && workspace.idle_before(now).is_some_and(|latest| self.unused_since(last_used) <= latest)
    }

    /// The secrets that may still be used at `now`, oldest first.
    pub fn live_secrets(&self, now: Timestamp) -> impl Iterator<Item = &KeySecret> {
        self.secrets.iter().filter(move |secret| secret.is_live(now))
    }

    /// The newest secret that is not retired.
    pub fn primary_secret(&self) -> Option<&KeySecret> {
        self.secrets.iter().rev().find(|secret| secret.retired_at.is_none())
    }

    /// When the workspace's policy wants the key rotated.
    pub fn rotation_due_at(&self, workspace: &Workspace) -> Option<Timestamp> {
        if self.revoked.is_some() {
            return None;
        }
        let period = workspace.policy.rotation.period(self.environment)?;
        self.primary_secret().map(|secret| period.after(secret.created_at))
    }
}

/// A secret about to be issued. The text itself is not here: only its issuer ever sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecret {
    /// The id.
    pub id: SecretId,
    /// Public part.
    pub locator: Locator,
    /// What lists show.
    pub hint: String,
    /// What a presented secret is compared with.
    pub digest: SecretDigest,
}

/// A key about to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// The id.
    pub id: KeyId,
    /// The first secret.
    pub secret: NewSecret,
    /// The name.
    pub name: String,
    /// What it is for.
    pub purpose: Option<String>,
    /// The environment.
    pub environment: Environment,
    /// What it may do at most; `None` for the workspace's default.
    pub permissions: Option<PermissionSet>,
    /// Who creates it.
    pub created_by: Creator,
    /// When it expires, if ever.
    pub expires_at: Option<Timestamp>,
    /// Windows of its own instead of the plan's.
    pub limits: Option<Vec<LimitWindow>>,
    /// Networks it may be used from.
    pub networks: Vec<IpNet>,
    /// The operator's own name for the customer.
    pub external_id: Option<String>,
    /// A JSON object, compact.
    pub metadata: String,
}

/// What to change of a key: `None` leaves a field, `Some(None)` clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPatch {
    /// The name.
    pub name: Option<String>,
    /// What it is for.
    pub purpose: Option<Option<String>>,
    /// What it may do at most.
    pub permissions: Option<PermissionSet>,
    /// When it expires.
    pub expires_at: Option<Option<Timestamp>>,
    /// Windows of its own.
    pub limits: Option<Option<Vec<LimitWindow>>>,
    /// Networks it may be used from.
    pub networks: Option<Vec<IpNet>>,
    /// The operator's own name for the customer.
    pub external_id: Option<Option<String>>,
    /// A JSON object, compact.
    pub metadata: Option<String>,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// Change what the patch names.
    Patch(Box<KeyPatch>),
    /// Issue a second secret; the old one works for `overlap_seconds` more (the policy's number when `None`).
    Rotate {
        /// The new secret.
        secret: NewSecret,
        /// How long the old one goes on working, in seconds.
        overlap_seconds: Option<u32>,
    },
    /// End the overlap now: the old secret stops.
    CompleteRotation,
    /// Drop the new secret; the old one goes on as before.
    CancelRotation,
    /// Switch off.
    Disable,
    /// Switch off, unless it was used (or switched on, or rotated) after the moment given, or is off or over anyway.
    DisableIdle {
        /// The latest use that counts as idle.
        unused_since: Timestamp,
        /// What the store knows of its last use: it fills this in.
        last_used: Option<Timestamp>,
    },
    /// Switch on again.
    Enable,
    /// End for good.
    Revoke {
        /// The reason given.
        reason: Option<String>,
    },
    /// End every secret at once and open an incident. With a replacement the key lives on under its id.
    Compromise {
        /// The reason given.
        reason: Option<String>,
        /// The new secret, or `None` to revoke the key.
        replacement: Option<NewSecret>,
        /// The incident to open.
        incident: IncidentId,
    },
    /// Revoke, and leave the lists.
    Delete,
}

/// An incident: a key was reported as compromised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// The id.
    pub id: IncidentId,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// The key.
    pub key: KeyId,
    /// The reason given.
    pub reason: Option<String>,
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// Why an operation on a key is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No such key in the workspace.
    #[error("there is no such key")]
    NotFound,
    /// The key is revoked; nothing but deletion can happen to it.
    #[error("the key is revoked; create a new one")]
    Revoked,
    /// The key is expired, so a new secret would not work either.
    #[error("the key is expired; set a later expires_at first")]
    Expired,
    /// Two secrets work already.
    #[error("a rotation is in progress; complete or cancel it first")]
    RotationInProgress,
    /// Only one secret works.
    #[error("no rotation is in progress")]
    NoRotation,
    /// The caller would give away more than it has.
    #[error("a key cannot have permissions that its creator does not have")]
    Escalation(PermissionSet),
    /// The workspace's policy forbids a permission.
    #[error("the workspace's policy does not allow these permissions")]
    PolicyPermissions(PermissionSet),
    /// A field has a value out of range.
    #[error("{field}: {reason}")]
    Field {
        /// The field's name on the wire.
        field: &'static str,
        /// What is expected.
        reason: String,
    },
    /// The workspace has as many keys as it may have.
    #[error("the workspace has {0} keys, as many as its policy allows; delete unused keys or raise max_keys")]
    TooMany(u32),
    /// The workspace was deleted.
    #[error("the workspace is deleted; restore it first")]
    WorkspaceDeleted,
    /// Only the operator issues keys in this workspace.
    #[error("keys of this workspace are issued by the operator")]
    OperatorIssued,
}

impl KeyError {
    fn field(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Field { field, reason: reason.into() }
    }
}

impl From<InvalidLimits> for KeyError {
    fn from(error: InvalidLimits) -> Self {
        Self::field("limits", error.to_string())
    }
}

/// Whether `text` has `min..=max` printable characters.
pub fn is_printable(text: &str, min: usize, max: usize) -> bool {
    let count = text.chars().count();
    (min..=max).contains(&count) && !text.chars().any(char::is_control)
}

fn check_name(name: &str) -> Result<(), KeyError> {
    if is_printable(name, 1, caps::NAME_MAX_CHARS) && !name.trim().is_empty() {
        return Ok(());
    }
    Err(KeyError::field("name", format!("has 1 to {} printable characters", caps::NAME_MAX_CHARS)))
}

fn check_text(field: &'static str, text: Option<&str>, max: usize) -> Result<(), KeyError> {
    if text.is_none_or(|text| is_printable(text, 1, max)) {
        return Ok(());
    }
    Err(KeyError::field(field, format!("has 1 to {max} printable characters, or is null")))
}

fn check_networks(networks: &[IpNet]) -> Result<(), KeyError> {
    if networks.len() <= caps::NETWORKS_MAX {
        return Ok(());
    }
    Err(KeyError::field("allowed_ips", format!("has at most {} networks", caps::NETWORKS_MAX)))
}

fn check_metadata(metadata: &str) -> Result<(), KeyError> {
    if metadata.len() <= caps::METADATA_MAX_BYTES {
        return Ok(());
    }
    Err(KeyError::field("metadata", format!("has at most {} bytes of JSON", caps::METADATA_MAX_BYTES)))
}

fn check_limits(limits: Option<&[LimitWindow]>) -> Result<(), KeyError> {
    limits.map_or(Ok(()), |windows| check_windows(windows).map_err(KeyError::from))
}

/// Checks an expiry against the accepted range and the workspace's policy; the key was created at `created_at`.
fn check_expiry(
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    now: Timestamp,
    workspace: &Workspace,
) -> Result<(), KeyError> {
    let max_days = workspace.policy.max_key_days;
    let Some(end) = expires_at else {
        return match max_days {
            None => Ok(()),
            Some(days) => Err(KeyError::field(
                "expires_at",
                format!("is required: keys of this workspace live at most {days} days"),
            )),
        };
    };
    if end < now.plus_seconds(caps::EXPIRY_SECONDS_MIN) {
        return Err(KeyError::field("expires_at", "lies in the past"));
    }
    if end > now.plus_seconds(caps::EXPIRY_SECONDS_MAX) {
        let days = caps::EXPIRY_SECONDS_MAX / 86_400;
        return Err(KeyError::field("expires_at", format!("is at most {days} days ahead")));
    }
    if let Some(days) = max_days
        && end > created_at.plus_seconds(i64::from(days) * 86_400)
    {
        let reason =
            format!("is at most {days} days after the key was created: the workspace's policy says so");
        return Err(KeyError::field("expires_at", reason));
    }
    Ok(())
}

/// A name that says too little, and a better one.
///
/// Never a reason to refuse: people may call a key what they like.
pub fn suggest_name(name: &str, environment: Environment, purpose: Option<&str>) -> Option<String> {
    let plain = name.trim().to_ascii_lowercase();
    let stem =
        plain.trim_end_matches(|last: char| last.is_ascii_digit() || matches!(last, '-' | '_' | ' ' | '#'));
    let says_nothing = matches!(
        stem,
        "" | "key"
            | "mykey"
            | "my-key"
            | "my key"
            | "test"
            | "testkey"
            | "test-key"
            | "foo"
            | "bar"
            | "asdf"
            | "new"
            | "newkey"
            | "new-key"
            | "apikey"
            | "api-key"
            | "api key"
            | "tmp"
            | "temp"
            | "untitled"
            | "x"
            | "a"
            | "abc"
            | "token"
            | "secret"
    );
    if !says_nothing {
        return None;
    }
    let words: Vec<String> = purpose
        .unwrap_or("web app")
        .split(|separator: char| !separator.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(3)
        .map(str::to_lowercase)
        .collect();
    Some(format!("{}-{}", environment.as_str(), words.join("-")))
}

fn field_change(field: &str, before: Option<String>, after: Option<String>) -> FieldChange {
    FieldChange { field: field.to_owned(), before, after }
}
