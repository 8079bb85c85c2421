//! The store from outside.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod connecting;
mod control;
mod crashes;
mod credits;
mod erasure;
mod furnished;
mod limits;
mod network;
mod nodes;
mod older;
mod plans;
mod proxy;
mod server;
mod standbys;
mod suite;
mod transfer;
