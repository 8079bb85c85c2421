//! People, and their rights over what is kept of them.

pub(super) mod drop_totp;
pub(super) mod end_sessions;
pub(super) mod erase;
pub(super) mod export;
pub(super) mod recovery_link;
