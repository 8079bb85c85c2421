//! What stands between the network and the endpoints: request ids, limits, strict reading of requests, and the one
//! place where failures become answers and log lines.

mod accept;
mod allowance;
mod body;
mod boundary;
mod fallback;
mod json;
mod path;
mod query;
mod serde_text;

pub(crate) use accept::accepts;
pub use allowance::Allowance;
pub use body::{read_body, read_body_within};
pub use boundary::{EdgeSettings, RequestId, RequestIdSource, guard};
pub(crate) use boundary::{USUAL_HEADERS, add_usual_headers};
pub use json::{OptionalJson, StrictForm, StrictJson};
pub(crate) use json::{parse_json_borrowed, read_json_body};
pub use path::StrictPath;
pub use query::StrictQuery;
pub(crate) use query::parse_query;

#[cfg(test)]
mod tests;
