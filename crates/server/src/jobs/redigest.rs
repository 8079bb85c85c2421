//! After a rotation of the pepper: stores digests under the new one as their secrets are presented.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use keywright_domain::command::{Command, Outcome};
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::installation::system_context;

const PERIOD: Duration = Duration::from_secs(2);

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let stats = Arc::clone(&shared.stats);
    let shared = shared.clone();
    jobs.spawn(repeat(JobName::Redigest, PERIOD, stats, stopping.clone(), move || {
        let shared = shared.clone();
        async move {
            // What a failure loses is offered again the next time the secret is used.
            let waiting = shared.opened.engine.take_redigests();
            if waiting.is_empty() {
                return Ok(());
            }
            let committed = shared
                .opened
                .store
                .execute(system_context(), Command::Redigest(waiting))
                .await
                .context("digests were not moved to the new pepper")?;
            if let Outcome::Redigested(count) = committed.outcome {
                shared.stats.redigested.fetch_add(count, Relaxed);
            }
            Ok(())
        }
    }));
}
