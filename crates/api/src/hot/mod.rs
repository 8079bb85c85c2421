//! The hot routes: `/v1/check` and `POST /v1/keys/verify`, without a lock, without I/O, and with nothing allocated but the
//! answer; and prompts from memory.

mod admission;
mod agent;
mod answer;
mod check;
mod head;
mod introspect;
mod outlet;
mod prompts;
mod quick;
mod request;
mod request_id;
mod routes;
mod verify;
mod whoami;

pub(crate) use admission::{Admitted, AnyKey, DownloadContext, ListPrompts, Opens, ReadPrompts};
pub(crate) use check::{CHECK_PATH, check};
pub use quick::{Answered, HotRoute, Quick};
pub(crate) use quick::{answer as answer_quickly, answer_patiently};
pub(crate) use request_id::RequestIds;
pub(crate) use routes::routes;
pub(crate) use verify::{VERIFY_PATH, verify};
