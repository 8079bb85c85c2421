//! The store from outside.

mod directory;
mod durability;
mod faults;
mod suite;
