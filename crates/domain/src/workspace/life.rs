//! How long the keys of a workspace live at most, as its policy says.

use crate::{environment::Environment, time::Timestamp};

use super::{RotationMode, RotationPolicy, WorkspacePolicy};

/// What ends a key's life by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiredBy {
    /// Its own `expires_at`.
    Key,
    /// The longest life that the workspace allows.
    MaximumLife,
    /// The workspace enforces rotation, and the key was not rotated in time.
    Rotation,
}

impl ExpiredBy {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "expires_at",
            Self::MaximumLife => "max_key_days",
            Self::Rotation => "rotation_overdue",
        }
    }

    /// What to do about it, in one sentence.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Key => "The key's expires_at has passed.",
            Self::MaximumLife => {
                "The key is older than the workspace's policy allows (max_key_days): create a new one."
            }
            Self::Rotation => {
                "The key's rotation is overdue, and the workspace enforces rotation: rotate it, and use the new secret."
            }
        }
    }
}

/// What verification must know of a policy about the lives of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyLife {
    /// Longest life of a key, in days.
    pub max_days: Option<u32>,
    /// The rotation periods, where rotation is enforced.
    pub enforced_rotation: Option<RotationPolicy>,
}

impl KeyLife {
    /// When the life of a key that was created then ends at the latest.
    pub fn ends_at(&self, created_at: Timestamp) -> Option<Timestamp> {
        self.max_days.map(|days| created_at.plus_seconds(i64::from(days) * 86_400))
    }

    /// From when on a key is refused whose newest secret was issued then.
    pub fn overdue_at(&self, environment: Environment, issued_at: Timestamp) -> Option<Timestamp> {
        let period = self.enforced_rotation?.period(environment)?;
        Some(period.after(issued_at))
    }
}

impl From<&WorkspacePolicy> for KeyLife {
    fn from(policy: &WorkspacePolicy) -> Self {
        let is_enforced = policy.rotation_mode == RotationMode::Enforce;
        Self { max_days: policy.max_key_days, enforced_rotation: is_enforced.then_some(policy.rotation) }
    }
}
