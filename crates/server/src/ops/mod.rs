//! What an operator sees of a running server: logs, metrics, traces, health.

mod admin;
pub(crate) mod health;
pub(crate) mod log;
pub(crate) mod metrics;
mod observe;
mod requests;
mod traces;
mod waiting_room;

pub(crate) use admin::Admin;
pub(crate) use health::Health;
pub(crate) use observe::{Observed, tag_route};
pub(crate) use requests::RequestStats;
pub(crate) use traces::Traces;
pub(crate) use waiting_room::WaitingRoom;
