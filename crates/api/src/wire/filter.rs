//! Which keys.

use keywright_domain::{query, time::Timestamp};
use keywright_keyformat::Locator;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Environment, KeyStatus};
use crate::error::{ApiError, ErrorCode};

/// Which keys: those to which everything applies that is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeyFilter {
    /// The environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// The status now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<KeyStatus>,
    /// The creator's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// The `external_id`, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Not used for so many days; for keys never used, not created since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 36_500)]
    #[param(maximum = 36_500)]
    pub unused_days: Option<u32>,
    /// Whether rotation is due now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation_due: Option<bool>,
    /// Whether it works and counts as idle by the workspace's policy (`idle_days`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<bool>,
    /// Part of the name, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The locator of one of its secrets: the 12 characters after the prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9A-Za-z]{12}$")]
    #[param(pattern = "^[0-9A-Za-z]{12}$")]
    pub locator: Option<String>,
    /// Whether its creator's membership has ended, so that no node accepts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orphaned: Option<bool>,
}

const UNUSED_DAYS_MAX: u32 = 36_500;

impl KeyFilter {
    /// The filter as the domain knows it, at `now`.
    ///
    /// # Errors
    /// `code` naming the field that is out of range.
    pub fn at(&self, now: Timestamp, code: ErrorCode) -> Result<query::KeyFilter, ApiError> {
        let refuse = |field: &str, text: &str| {
            ApiError::with_detail(code, format!("`{field}` {text}.")).member("field", field)
        };
        if self.unused_days.is_some_and(|days| days > UNUSED_DAYS_MAX) {
            return Err(refuse("unused_days", "is from 0 to 36500"));
        }
        let locator = self.locator.as_deref().map(Locator::parse).transpose();
        Ok(query::KeyFilter {
            environment: self.environment.map(Into::into),
            status: self.status.map(Into::into),
            created_by: self.created_by.clone(),
            external_id: self.external_id.clone(),
            unused_since: self.unused_days.map(|days| now.plus_seconds(-i64::from(days) * 86_400)),
            rotation_due: self.rotation_due,
            idle: self.idle,
            name: self.name.clone(),
            orphaned: self.orphaned,
            locator: locator.map_err(|_| refuse("locator", "has 12 letters and digits"))?,
        })
    }

    /// Whether nothing is asked for, so that every key matches.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The filter as text, for binding cursors to it.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("a filter is made of strings, numbers and booleans")
    }
}
