//! The exhaustive models: what must hold, and what must be refuted.

pub mod cases;
pub mod compact;
pub mod real;
pub mod report;
