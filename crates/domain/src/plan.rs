//! Plans: named sets of limits that the operator sells.

use serde::{Deserialize, Serialize};

use crate::limits::{Algorithm, InvalidLimits, LimitWindow, Mode, OnUnavailable, check_windows};

/// A named set of limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The name, such as `standard`.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Windows of each key that has no limits of its own.
    pub key_limits: Vec<LimitWindow>,
    /// Windows of the workspace as a whole.
    pub workspace_limits: Vec<LimitWindow>,
}

/// Why a plan is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The name's form.
    #[error("a plan's name has 1 to 48 of a-z, 0-9 and '-', and begins with a letter")]
    Name,
    /// Its windows.
    #[error(transparent)]
    Limits(#[from] InvalidLimits),
    /// No plan has this name.
    #[error("there is no plan {0:?}")]
    Unknown(String),
    /// A workspace is on the plan.
    #[error("the plan {0:?} is in use by a workspace")]
    InUse(String),
    /// The plan is built in and cannot be deleted.
    #[error("the plan {0:?} is built in")]
    Builtin(String),
    /// The installation has as many plans as it may have.
    #[error("an installation has at most {} plans", crate::caps::PLANS_MAX)]
    TooMany,
}

impl Plan {
    /// The plan of new workspaces.
    pub const DEFAULT: &'static str = "standard";

    /// `standard`, `enterprise` and `unlimited`.
    pub fn builtin() -> [Self; 3] {
        let per_minute = |limit| {
            vec![LimitWindow {
                name: "minute".to_owned(),
                limit,
                window_seconds: 60,
                algorithm: Algorithm::Sliding,
                mode: Mode::Shared,
                on_unavailable: OnUnavailable::Closed,
            }]
        };
        let plan = |name: &str, description: &str, key_limits| Self {
            name: name.to_owned(),
            description: description.to_owned(),
            key_limits,
            workspace_limits: Vec::new(),
        };
        [
            plan("standard", "1,000 requests per minute and key.", per_minute(1_000)),
            plan("enterprise", "10,000 requests per minute and key.", per_minute(10_000)),
            plan("unlimited", "No limits but those of the keys themselves.", Vec::new()),
        ]
    }

    /// Checks the plan.
    ///
    /// # Errors
    /// [`PlanError::Name`] or [`PlanError::Limits`].
    pub fn check(&self) -> Result<(), PlanError> {
        let name_is_valid = (1..=48).contains(&self.name.len())
            && self.name.starts_with(|first: char| first.is_ascii_lowercase())
            && self.name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !name_is_valid {
            return Err(PlanError::Name);
        }
        check_windows(&self.key_limits)?;
        check_windows(&self.workspace_limits)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plans_that_are_there_from_the_start() {
        let plans = Plan::builtin();
        let windows: Vec<_> = plans
            .iter()
            .map(|plan| {
                let windows = plan.key_limits.iter().map(|window| (window.limit, window.window_seconds));
                (plan.name.as_str(), windows.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            windows,
            [("standard", vec![(1_000, 60)]), ("enterprise", vec![(10_000, 60)]), ("unlimited", vec![])]
        );
        assert_eq!(plans[0].name, Plan::DEFAULT);
        assert!(plans.iter().all(|plan| plan.check().is_ok() && plan.workspace_limits.is_empty()));
    }
}
