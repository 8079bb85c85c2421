//! Installations of real processes on one machine: nodes, each behind a proxy of its own, on a real PostgreSQL.
#![expect(clippy::disallowed_methods, reason = "real processes take real time, and their secrets are random")]

pub mod client;
pub mod cluster;
pub mod proxy;
