//! Keys that were reported as compromised.

pub(super) mod list;
