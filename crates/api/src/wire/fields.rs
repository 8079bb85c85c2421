//! Fields of a PATCH: absent leaves, `null` clears, a value sets.

use serde::{Deserialize, Deserializer};

use crate::error::ApiError;

/// What a PATCH says about one field. Mark the field with `#[serde(default)]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Absent: stays as it is.
    #[default]
    Leave,
    /// `null`: is cleared.
    Clear,
    /// Becomes this.
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Clear, Self::Set))
    }
}

impl<T> Patch<T> {
    /// For a field that can be cleared: `None` leaves, `Some(None)` clears.
    pub fn clearable(self) -> Option<Option<T>> {
        match self {
            Self::Leave => None,
            Self::Clear => Some(None),
            Self::Set(value) => Some(Some(value)),
        }
    }

    /// For a field that always has a value.
    ///
    /// # Errors
    /// `invalid_field` for `null`.
    pub fn required(self, field: &str) -> Result<Option<T>, ApiError> {
        match self {
            Self::Leave => Ok(None),
            Self::Set(value) => Ok(Some(value)),
            Self::Clear => Err(ApiError::invalid_field(field, format!("`{field}` can not be null."))),
        }
    }

    /// For a field that has a value when it is cleared, too.
    pub fn or_cleared(self, cleared: T) -> Option<T> {
        match self {
            Self::Leave => None,
            Self::Clear => Some(cleared),
            Self::Set(value) => Some(value),
        }
    }

    /// The value `before` after the patch.
    pub fn apply_to(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Leave => before,
            Self::Clear => None,
            Self::Set(value) => Some(value),
        }
    }

    /// What `convert` makes of the value.
    ///
    /// # Errors
    /// Those of `convert`.
    pub fn try_map<U, E>(self, convert: impl FnOnce(T) -> Result<U, E>) -> Result<Patch<U>, E> {
        Ok(match self {
            Self::Leave => Patch::Leave,
            Self::Clear => Patch::Clear,
            Self::Set(value) => Patch::Set(convert(value)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Fields {
        #[serde(default)]
        name: Patch<String>,
    }

    #[test]
    fn three_states() {
        let read = |text| serde_json::from_str::<Fields>(text).unwrap().name;
        assert_eq!(read("{}"), Patch::Leave);
        assert_eq!(read(r#"{"name": null}"#), Patch::Clear);
        assert_eq!(read(r#"{"name": "x"}"#), Patch::Set("x".to_owned()));
        assert!(read(r#"{"name": null}"#).required("name").is_err());
        assert_eq!(read(r#"{"name": null}"#).clearable(), Some(None));
        assert_eq!(read("{}").clearable(), None);
    }
}
