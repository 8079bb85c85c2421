//! What Keywright's tests share: time and randomness under control, sample objects, a store that fails on demand, and
//! the conformance suite that every store must pass.
//!
//! For tests only; nothing that is shipped depends on it.
#![expect(clippy::unwrap_used, reason = "in test support, a failed unwrap is a failed test")]

mod clock;
mod entropy;
mod faulty;
mod fold;
mod installation;
mod person;
mod port;
mod postgres;
mod samples;
pub mod store_suite;
mod vault;

pub use clock::ManualClock;
pub use entropy::SeededEntropy;
pub use faulty::{Failure, FaultyStore};
pub use fold::{Recorder, VerificationState};
pub use installation::Installation;
pub use person::Person;
pub use port::free_port;
pub use postgres::PostgresServer;
pub use samples::Samples;
pub use vault::{vault, vault_of, vault_with};
