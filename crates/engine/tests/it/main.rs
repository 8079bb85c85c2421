//! The engine through its public interface.
#![expect(clippy::unwrap_used, reason = "a failing test is what a panic is for, also in what tests share")]

mod atomic;
mod churn;
mod fixture;
mod kill;
mod leases;
mod life;
mod limits;
mod model;
mod policy;
mod shares;
mod spool;
mod verdicts;
