//! What the interface promises as a whole.

mod authorization;
mod bad_input;
mod faults;
mod harness;
mod verification;
