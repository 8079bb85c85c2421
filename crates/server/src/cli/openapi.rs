//! `keywright openapi`: the description of the HTTP interface.

use clap::Args;

use super::console::Console;
use crate::failure::{Exit, Failure};

/// Print the OpenAPI document of the HTTP interface
///
/// The same document that a running server has at /openapi.json; needs no server.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright openapi > openapi.json
  keywright openapi | jq '.paths | keys'")]
pub(crate) struct Openapi {}

impl Openapi {
    /// Does what the arguments say.
    pub(crate) fn run(self, mut console: Console) -> Result<(), Failure> {
        let Self {} = self;
        let document = serde_json::to_value(keywright_api::openapi_document()).map_err(|error| {
            Failure::new(Exit::Negative, format!("the document cannot be written: {error}"))
        })?;
        console.answer_json(&document)?;
        console.finish()
    }
}
