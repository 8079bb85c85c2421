//! Plans and the permission catalogue.

use keywright_domain::{permission, plan};
use serde::Serialize;
use utoipa::ToSchema;

use super::LimitWindow;

/// A named set of limits.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Plan {
    /// The name.
    #[schema(example = "standard")]
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Windows of each key that has none of its own.
    pub key_limits: Vec<LimitWindow>,
    /// Windows of the workspace as a whole.
    pub workspace_limits: Vec<LimitWindow>,
}

impl From<plan::Plan> for Plan {
    fn from(plan: plan::Plan) -> Self {
        Self {
            key_limits: plan.key_limits.iter().map(LimitWindow::from).collect(),
            workspace_limits: plan.workspace_limits.iter().map(LimitWindow::from).collect(),
            name: plan.name,
            description: plan.description,
        }
    }
}

/// A permission of the catalogue.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Permission {
    /// `resource:action`.
    #[schema(example = "prompts:read")]
    pub name: String,
    /// What it allows.
    pub description: String,
    /// Whether it belongs to Keywright itself.
    pub builtin: bool,
}

impl From<&permission::CatalogueEntry> for Permission {
    fn from(entry: &permission::CatalogueEntry) -> Self {
        Self {
            name: entry.name.as_str().to_owned(),
            description: entry.description.clone(),
            builtin: usize::from(entry.bit) < permission::Builtin::ALL.len(),
        }
    }
}
