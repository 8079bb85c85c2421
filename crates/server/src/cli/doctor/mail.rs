//! Whether letters could be sent.

use std::sync::Arc;

use super::Finding;
use crate::{config::mail::Mail, mail::Carrier, system::SystemEntropy};

/// Connects to the mail server and signs in, without sending anything.
pub(super) fn server(mail: &Mail) -> Finding {
    let name = "mail";
    let fix = "Correct [mail], and try it with: keywright mail test --to you@example.com --config FILE";
    let carrier = match Carrier::new(mail, Arc::new(SystemEntropy)) {
        Ok(carrier) => carrier,
        Err(failure) => return Finding::fail(name, failure.to_string(), fix),
    };
    match carrier.greet() {
        Ok(()) => Finding::ok(name, "the mail server answers"),
        Err(error) => Finding::fail(name, format!("the mail server does not take letters: {error}"), fix),
    }
}
