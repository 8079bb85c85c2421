//! After a rotation of the key-encryption key: wraps the data keys of older ones anew, a few at a time.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use keywright_domain::{
    command::{Command, Outcome},
    privacy::{PrivacyCommand, PrivacyOutcome},
};
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::installation::system_context;

const PERIOD: Duration = Duration::from_secs(5);
/// Data keys in one transaction.
const PIECE: u32 = 500;

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let stats = Arc::clone(&shared.stats);
    let shared = shared.clone();
    jobs.spawn(repeat(JobName::Rewrap, PERIOD, stats, stopping.clone(), move || {
        let shared = shared.clone();
        async move {
            // The key-encryption keys of this process do not change: once all is done, nothing is left to do.
            while !shared.stats.is_rewrapped.load(Relaxed) {
                let command = Command::Privacy(PrivacyCommand::Rewrap { limit: PIECE });
                let committed = shared
                    .opened
                    .store
                    .execute(system_context(), command)
                    .await
                    .context("data keys were not moved to the new key-encryption key")?;
                match committed.outcome {
                    Outcome::Privacy(PrivacyOutcome::Rewrapped(0)) => {
                        shared.stats.is_rewrapped.store(true, Relaxed);
                    }
                    Outcome::Privacy(PrivacyOutcome::Rewrapped(count)) => {
                        shared.stats.rewrapped.fetch_add(count, Relaxed);
                    }
                    _ => anyhow::bail!("the store answered a command with the outcome of another one"),
                }
            }
            Ok(())
        }
    }));
}
