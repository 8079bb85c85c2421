//! People, and their rights over what is kept of them.

pub(super) mod erase;
pub(super) mod export;
