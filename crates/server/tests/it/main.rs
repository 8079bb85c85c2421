//! The real binary, from the outside.

mod cli;
mod client;
mod crash;
mod life;
mod metrics;
mod process;
mod protocol;
mod secrets;
mod shutdown;
mod slow;
mod start;
mod tls;
