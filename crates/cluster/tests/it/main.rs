//! Tests of the protocol: exhaustive models, a seeded simulation, the order of memory accesses.

mod model;
mod ordering;
mod simulation;
