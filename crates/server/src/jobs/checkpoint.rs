//! Signs the head of the audit trail, so that nobody can cut entries off its end unnoticed.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use keywright_domain::time::Clock as _;
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::system::SystemClock;

const PERIOD: Duration = Duration::from_secs(60);

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let stats = Arc::clone(&shared.stats);
    let shared = shared.clone();
    jobs.spawn(repeat(JobName::Checkpoint, PERIOD, stats, stopping.clone(), move || {
        let shared = shared.clone();
        async move { sign_checkpoint(&shared).await }
    }));
}

/// Signs the head, unless the last checkpoint covers it.
pub(crate) async fn sign_checkpoint(shared: &Shared) -> anyhow::Result<()> {
    let (sequence, hash) =
        shared.opened.store.audit_head().await.context("the audit trail cannot be read")?;
    if sequence <= shared.stats.checkpoint.load(Relaxed) {
        return Ok(());
    }
    let checkpoint = shared.opened.signer.sign(sequence, hash, SystemClock.now());
    shared.opened.store.put_checkpoint(checkpoint).await.context("a checkpoint was not written")?;
    shared.stats.checkpoint.store(sequence, Relaxed);
    Ok(())
}
