//! The rules of Keywright, without any machinery around them.
//!
//! What an API key is and how it lives ([`key`]), who may do what ([`permission`], [`permit`]),
//! how people sign in ([`account`]), how limits are
//! counted ([`limits`], and over several nodes [`pool`]), how a presented key is judged ([`verdict`]), what the audit trail records ([`audit`]),
//! which changes the verification engines follow ([`change`]), and what a store must be able to do ([`store`]).
//!
//! Nothing here performs I/O, reads a clock or draws a random number: time and randomness are arguments
//! ([`time::Clock`], [`entropy::Entropy`]).

pub mod account;
pub mod administration;
pub mod audit;
pub mod caps;
pub mod change;
pub mod collected;
pub mod command;
pub mod control;
pub mod credit;
pub mod entropy;
pub mod environment;
pub mod identity;
pub mod ids;
pub mod key;
pub mod lease;
pub mod limits;
pub mod member;
pub mod operator;
pub mod permission;
pub mod permit;
pub mod plan;
pub mod pool;
pub mod principal;
pub mod privacy;
pub mod prompt;
pub mod query;
pub mod retention;
pub mod store;
pub mod time;
pub mod transfer;
pub mod usage;
pub mod usage_summary;
pub mod vault;
pub mod verdict;
pub mod workspace;
