//! The house: rules over the repository itself, each of which may only become tighter.

mod documents;
mod edges;
mod postgres;
mod requirements;
mod secrets;
mod sources;
mod tree;
