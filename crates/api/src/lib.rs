//! The HTTP interface of Keywright: the error contract, what guards the edge, and the endpoints.

mod actor;
pub mod address_limit;
pub mod caps;
pub mod client_address;
pub mod cluster;
mod commit;
pub mod credentials;
pub mod credits;
mod cursor;
mod docs;
pub mod edge;
pub mod error;
pub mod front;
mod hot;
pub mod idempotency;
mod issue;
mod limit_note;
pub mod oidc;
mod one_time;
mod openapi;
mod openapi_forms;
mod operation;
pub mod outbox;
pub mod packages;
pub mod password;
pub mod password_rules;
pub mod plane;
mod prefer;
mod provider_sign_in;
mod read_through;
mod recovery;
mod router;
pub mod session;
mod settle;
mod setup_gate;
pub mod shares;
mod sign_in;
pub mod sign_in_failures;
pub mod state;
pub mod throttle;
mod token;
mod totp;
mod unauthenticated;
mod v1;
mod verdict_counts;
pub mod wire;

pub use router::{openapi_document, router};
pub use setup_gate::SetupGate;
pub use state::{ApiConfig, AppState};
pub use verdict_counts::VerdictCounts;

#[cfg(test)]
extern crate self as keywright_api;
#[cfg(test)]
#[path = "../tests/it/harness.rs"]
mod harness;
