//! The signed-in user's own account.

pub(super) mod get;
