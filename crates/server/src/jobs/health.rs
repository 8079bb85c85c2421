//! Finds out whether the database can be written.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Context as _;
use keywright_domain::time::Clock as _;
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::system::SystemClock;

const PERIOD: Duration = Duration::from_secs(5);
/// How old the newest renewal may be that counts as a probing write.
const RENEWED_NS: u64 = 5_000_000_000;
/// How often it is tried all the same while renewals are written: they go another way than commands.
const ANYWAY_NS: u64 = 30_000_000_000;

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let stats = Arc::clone(&shared.stats);
    let shared = shared.clone();
    let probed_ns = Arc::new(AtomicU64::new(0));
    jobs.spawn(repeat(JobName::StoreProbe, PERIOD, stats, stopping.clone(), move || {
        let (shared, probed_ns) = (shared.clone(), Arc::clone(&probed_ns));
        async move {
            let started_ns = SystemClock.boot_ns();
            let is_tried_lately = started_ns < probed_ns.load(Relaxed) + ANYWAY_NS;
            if is_tried_lately && shared.health.is_store_writable() && is_renewed_lately(&shared, started_ns)
            {
                return Ok(());
            }
            probed_ns.store(started_ns, Relaxed);
            let probed = shared.opened.store.check_writable().await;
            shared.health.set_store_problem(probed.as_ref().err().map(ToString::to_string));
            let took_us = SystemClock.boot_ns().saturating_sub(started_ns) / 1_000;
            shared.stats.commit_last_us.store(took_us, Relaxed);
            probed.context("the database cannot be written; keys are verified, changes are refused")
        }
    }));
}

/// Whether this process renewed its lease in the database a moment ago, durably: the database can be written.
fn is_renewed_lately(shared: &Shared, now_ns: u64) -> bool {
    let node = shared.opened.node.as_ref();
    node.is_some_and(|node| now_ns < node.standing().renewed_ns.load(Relaxed) + RENEWED_NS)
}
