//! The protocol behind the promise that a revoked key is accepted by no node, without I/O, clock or randomness.
//!
//! Two state machines share it. A [`Follower`] decides what a node does to follow the change log, and when it may answer
//! from memory. A [`Barrier`] decides when a revocation holds on every node. Both are driven the same way: something
//! happened ([`follower::Input`], [`barrier::Input`]) at a moment of the own boot clock, and out comes what to do. The
//! server, the simulator and the model checker drive the very same code.
//!
//! The safety argument, with the assumptions it needs, is in `docs/GUARANTEES.md`. The rules that carry it:
//!
//! 1. A lease counts from *before* the poll was sent, and covers only what was applied before it was published.
//! 2. A change is acknowledged after it was applied, never before.
//! 3. A barrier ends when every node that might hold a lease from before the change has acknowledged it, or when no such
//!    lease can be left. The second needs no membership at all.

pub mod barrier;
pub mod follower;
mod timing;

pub use barrier::Barrier;
pub use follower::Follower;
pub use timing::{TermTable, Timing};
