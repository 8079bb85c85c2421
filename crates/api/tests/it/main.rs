//! What the interface promises as a whole.

mod authorization;
mod harness;
mod verification;
