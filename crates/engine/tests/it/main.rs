//! The engine through its public interface.

mod churn;
mod fixture;
mod kill;
mod life;
mod limits;
mod model;
mod spool;
mod verdicts;
