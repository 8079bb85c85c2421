//! The commands that run or prepare an installation.

pub(crate) mod cluster;
pub(crate) mod config;
pub(crate) mod dev;
pub(crate) mod init;
pub(crate) mod mail;
pub(crate) mod migrate;
pub(crate) mod pepper;
pub(crate) mod privacy;
pub(crate) mod serve;
