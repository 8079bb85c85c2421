//! The store from outside.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod directory;
mod durability;
mod faults;
mod sealing;
mod suite;
