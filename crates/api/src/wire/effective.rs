//! Receipts.

use serde::Serialize;
use utoipa::ToSchema;

use crate::plane;

/// The receipt of a change: from now on, no node goes by the state before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[schema(example = json!({"nodes": 1, "waited_ms": 0.1}))]
pub struct Effective {
    /// Nodes that have applied the change.
    pub nodes: u32,
    /// How long the call waited for them, in milliseconds.
    pub waited_ms: f64,
}

impl From<plane::Effective> for Effective {
    fn from(effective: plane::Effective) -> Self {
        let plane::Effective { nodes, waited_ms } = effective;
        Self { nodes, waited_ms }
    }
}
