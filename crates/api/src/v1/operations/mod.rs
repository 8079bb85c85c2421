//! Changes that other nodes may not go by yet.

pub(super) mod get;
