//! Questions, asked of one connection.

pub(crate) mod changes;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod prompts;
pub(crate) mod usage;
