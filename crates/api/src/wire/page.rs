//! Pages of lists.

use keywright_domain::caps;
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::{ApiError, ErrorCode};

/// One page of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Send it as `cursor` for the next page; `null` at the end.
    pub cursor: Option<String>,
    /// Whether there are more.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// A list that has one page only.
    pub const fn whole(data: Vec<T>) -> Self {
        Self { data, cursor: None, has_more: false }
    }

    /// A page with the cursor of the next one, if there is one.
    pub const fn new(data: Vec<T>, cursor: Option<String>) -> Self {
        Self { data, has_more: cursor.is_some(), cursor }
    }
}

/// The size of a page that the caller asked for.
///
/// # Errors
/// `invalid_query` unless it is from 1 to [`caps::PAGE_MAX`].
pub(crate) fn page_limit(asked: Option<u32>) -> Result<u32, ApiError> {
    match asked {
        None => Ok(caps::PAGE_DEFAULT),
        Some(limit) if (1..=caps::PAGE_MAX).contains(&limit) => Ok(limit),
        Some(_) => Err(ApiError::with_detail(
            ErrorCode::InvalidQuery,
            format!("`limit` is from 1 to {}.", caps::PAGE_MAX),
        )
        .member("field", "limit")),
    }
}
