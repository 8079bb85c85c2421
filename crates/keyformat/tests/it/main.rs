//! Tests of the public interface.

mod corpus;
mod laws;
mod random;
mod refusals;
mod scanning;
#[path = "../../../../fuzz/src/targets.rs"]
mod targets;
mod timing;
mod vectors;
