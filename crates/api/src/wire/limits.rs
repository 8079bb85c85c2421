//! Limit windows.

use keywright_domain::limits::{self, Mode, OnUnavailable};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Algorithm;

/// One window of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "minute", "limit": 1000, "window_seconds": 60, "algorithm": "sliding"}))]
pub struct LimitWindow {
    /// Names the window among those of the same key or plan.
    #[schema(min_length = 1, max_length = 32, pattern = "^[a-z0-9_-]+$")]
    pub name: String,
    /// Cost units that may be spent in any window.
    #[schema(minimum = 1, maximum = 4_000_000_000_u64)]
    pub limit: u64,
    /// Length of the window, in seconds.
    #[schema(minimum = 1, maximum = 31_622_400)]
    pub window_seconds: u32,
    /// How spending is counted; `sliding` unless given.
    #[serde(default = "sliding")]
    pub algorithm: Algorithm,
    /// `shared` (unless given): several nodes spend from shares that they drew before. `exact`: every call is counted in
    /// the database before it is answered. Never more than the limit is admitted either way.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(value_type = String, pattern = "^(shared|exact)$", example = "shared")]
    pub mode: Mode,
    /// What an exact window says while the database cannot be asked: `closed` (unless given) answers `unavailable`,
    /// `open` lets calls pass uncounted.
    #[serde(default, skip_serializing_if = "is_default")]
    #[schema(value_type = String, pattern = "^(closed|open)$", example = "closed")]
    pub on_unavailable: OnUnavailable,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const fn sliding() -> Algorithm {
    Algorithm::Sliding
}

impl From<LimitWindow> for limits::LimitWindow {
    fn from(window: LimitWindow) -> Self {
        let LimitWindow { name, limit, window_seconds, algorithm, mode, on_unavailable } = window;
        Self { name, limit, window_seconds, algorithm: algorithm.into(), mode, on_unavailable }
    }
}

impl From<&limits::LimitWindow> for LimitWindow {
    fn from(window: &limits::LimitWindow) -> Self {
        Self {
            name: window.name.clone(),
            limit: window.limit,
            window_seconds: window.window_seconds,
            algorithm: window.algorithm.into(),
            mode: window.mode,
            on_unavailable: window.on_unavailable,
        }
    }
}
