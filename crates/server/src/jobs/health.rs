//! Finds out whether the database can be written.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use keywright_domain::time::Clock as _;
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::system::SystemClock;

const PERIOD: Duration = Duration::from_secs(5);

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let stats = Arc::clone(&shared.stats);
    let shared = shared.clone();
    jobs.spawn(repeat(JobName::StoreProbe, PERIOD, stats, stopping.clone(), move || {
        let shared = shared.clone();
        async move {
            let started_ns = SystemClock.boot_ns();
            let probed = shared.opened.store.check_writable().await;
            shared.health.set_store_problem(probed.as_ref().err().map(ToString::to_string));
            let took_us = SystemClock.boot_ns().saturating_sub(started_ns) / 1_000;
            shared.stats.commit_last_us.store(took_us, Relaxed);
            probed.context("the database cannot be written; keys are verified, changes are refused")
        }
    }));
}
