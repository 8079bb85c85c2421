//! What the interface promises as a whole.
#![expect(clippy::unwrap_used, reason = "in a test, a failed unwrap is a failed test")]

mod accounts;
mod authorization;
mod bad_input;
mod barrier;
mod belongings;
mod consistency;
mod credits;
mod faults;
mod harness;
mod letters;
mod life;
mod members;
mod members_model;
mod people;
mod shares;
mod verification;
