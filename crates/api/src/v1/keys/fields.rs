//! Fields of a key that creation and change read alike.

use keywright_domain::{limits, permission::PermissionSet};
use serde_json::{Map, Value};

use crate::{error::ApiError, state::AppState, v1::problems::of_unknown_permission, wire::LimitWindow};

/// The permissions of these names.
///
/// # Errors
/// `unknown_permission`.
pub(super) fn permissions(state: &AppState, names: &[String]) -> Result<PermissionSet, ApiError> {
    state
        .plane
        .catalogue()
        .resolve(names.iter().map(String::as_str))
        .map_err(|error| of_unknown_permission("permissions", &error))
}

/// Metadata as it is kept: compact JSON.
pub(super) fn metadata(object: &Map<String, Value>) -> String {
    serde_json::to_string(object).expect("a JSON object can be written")
}

/// Windows as the domain knows them.
pub(super) fn limits(windows: Vec<LimitWindow>) -> Vec<limits::LimitWindow> {
    windows.into_iter().map(Into::into).collect()
}
