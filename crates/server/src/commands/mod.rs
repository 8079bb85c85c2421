//! The commands that run or prepare an installation.

pub(crate) mod dev;
