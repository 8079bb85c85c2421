//! Following a change until every node goes by it.
//!
//! A change that takes something away is in force when the server says so with a receipt. Where a node cannot be reached that
//! takes a while, and the server answers 202 with an operation: it is asked about until it is complete.

use std::time::Duration;

use serde_json::Value;

use super::connection::{Client, path};
use crate::failure::{Exit, Failure};

/// One request waits so long for other nodes; then people are told, and it is asked again. In seconds.
pub(crate) const WAIT_SECONDS: u64 = 5;
/// Between two questions, so that a proxy that drops the header `Prefer` is not asked in a hurry.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is asked at most. That takes longer than the longest lease lasts.
const ROUNDS_MAX: u32 = 1_000;

/// Whether a change that other nodes may not go by yet is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Until it is in force everywhere.
    ToTheEnd,
    /// Not at all.
    No,
}

impl Client {
    /// While other nodes may not go by the change that `answer` tells of, says which, and asks again. Then `effective` is in
    /// the answer in place of `operation`. Does nothing if nobody wants to wait.
    ///
    /// # Errors
    /// When the server cannot be asked, or the change is not in force after all that time. The change was made.
    pub(crate) fn follow(&self, answer: &mut Value, mut say: impl FnMut(&str)) -> Result<(), Failure> {
        if self.follows() == Follow::No {
            return Ok(());
        }
        for _ in 0..ROUNDS_MAX {
            let Some(operation) = waiting(answer) else { return Ok(()) };
            say(&progress(operation));
            let id = operation["id"].as_str().unwrap_or_default().to_owned();
            std::thread::sleep(PAUSE);
            let now = self.get(&path(&["v1", "operations", &id]), &[]);
            let now = now.map_err(|failure| failure.also(&again(&id)))?;
            if now["status"] == "waiting" {
                answer["operation"] = now;
            } else if let Some(members) = answer.as_object_mut() {
                members.remove("operation");
                members.insert("effective".to_owned(), now["effective"].clone());
            }
        }
        Err(Failure::new(Exit::Negative, "the change was made, but some nodes do not confirm it")
            .remedy("See `keywright cluster status`; `keywright doctor` tells what is wrong."))
    }
}

fn again(id: &str) -> String {
    format!(
        "The change itself was made (operation {id}); whether every node goes by it is not known. The same command again \
         waits for that."
    )
}

/// The operation of a change that some nodes may not go by yet.
pub(crate) fn waiting(answer: &Value) -> Option<&Value> {
    answer.get("operation").filter(|operation| operation["status"] == "waiting")
}

/// How far an operation is, in a sentence.
pub(crate) fn progress(operation: &Value) -> String {
    let nodes = operation["waiting_on"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = nodes.iter().filter_map(|node| node["node"].as_str()).collect();
    let on = if names.is_empty() { String::new() } else { format!(" on {}", names.join(", ")) };
    let seconds = operation["complete_by_ms"].as_u64().unwrap_or(0).div_ceil(1_000);
    let id = operation["id"].as_str().unwrap_or_default();
    format!("Not in force yet{on}; in {seconds} s at the latest (operation {id}).")
}
