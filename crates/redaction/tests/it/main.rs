//! Redaction as its users see it.

mod documents;
mod figures;
mod hostile;
mod laws;
mod streams;

#[path = "../../examples/figures/measure.rs"]
#[expect(dead_code, reason = "printing the errors is for the example")]
mod measure;
