//! The verification data plane.

mod arena;
mod cold;
mod hmac;
mod index;
mod limits;
mod pepper;
mod raw;
mod record;
mod rows;
mod spool;

pub use pepper::{Pepper, PepperError, PepperSet};
pub use spool::{Gauges, RouteId, SealedSegment, Spool, SpoolError, SpoolOptions, UsageEvent};
