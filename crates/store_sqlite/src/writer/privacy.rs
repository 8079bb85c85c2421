//! Commands about personal data.

use keywright_domain::{
    command::Outcome,
    privacy::{PrivacyCommand, PrivacyOutcome},
};

use super::record::{Draft, Scope};
use crate::fault::Fault;

impl Scope<'_> {
    pub(super) fn privacy(&mut self, command: &PrivacyCommand) -> Result<Draft, Fault> {
        match command {
            PrivacyCommand::Rewrap { limit } => {
                let count = self.sealer.rewrap(self.connection, *limit)?;
                Ok(Draft::new(Outcome::Privacy(PrivacyOutcome::Rewrapped(count)), String::new()))
            }
        }
    }
}
