//! The verification data plane.

mod arena;
mod hmac;
mod index;
mod limits;
mod raw;
mod rows;
