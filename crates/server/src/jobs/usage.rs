//! From the spool to the database.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use keywright_domain::{
    time::Clock as _,
    usage::{UsageBatch, UsageRow},
    verdict::Code,
};
use keywright_engine::SealedSegment;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

use super::{JobName, Pace, Shared, repeat};
use crate::system::{SystemClock, SystemEntropy};

/// How often room for the next segment is looked after.
const ROOM_PERIOD: Duration = Duration::from_millis(50);
/// How often counts are written through to the disk: what a power failure can lose.
const SYNC_PERIOD: Duration = Duration::from_millis(200);
/// How often it is looked whether a flush is due; the spool itself adapts the pace to how long flushes take.
const FLUSH_PERIOD: Duration = Duration::from_millis(500);

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let spool = Arc::clone(shared.opened.engine.spool());
    let stats = || Arc::clone(&shared.stats);
    let (busy, is_busy) = watch::channel(true);
    // Where nothing is counted, nothing wakes up: the first count calls the job that looks after room, and that the others.
    let call = Arc::new(Notify::new());
    let caller = Arc::clone(&call);
    spool.wake_with(move || caller.notify_one());
    let pace = |every, call| Pace::WhileBusy { is_busy: is_busy.clone(), every, call };
    let (room, room_pace) = (Arc::clone(&spool), pace(ROOM_PERIOD, Some(call)));
    jobs.spawn(repeat(JobName::SpoolRoom, room_pace, stats(), stopping.clone(), move || {
        let result = room.maintain();
        let has_work = result.is_err() || !room.is_idle() || room.gauges().sealed_segments > 0;
        busy.send_if_modified(|busy| std::mem::replace(busy, has_work) != has_work);
        async move { result.context("no room for the next segment of the usage spool") }
    }));
    jobs.spawn(repeat(JobName::SpoolSync, pace(SYNC_PERIOD, None), stats(), stopping.clone(), move || {
        let spool = Arc::clone(&spool);
        async move {
            if spool.is_idle() {
                return Ok(());
            }
            // Waits for the disk, which must not hold up the other jobs.
            tokio::task::spawn_blocking(move || spool.sync()).await?.context("the usage spool was not synced")
        }
    }));
    let shared_flush = shared.clone();
    jobs.spawn(repeat(JobName::UsageFlush, pace(FLUSH_PERIOD, None), stats(), stopping.clone(), move || {
        let shared = shared_flush.clone();
        async move {
            let flushed = flush_due(&shared).await;
            shared.health.set_usage_problem(flushed.as_ref().err().map(|error| format!("{error:#}")));
            flushed
        }
    }));
}

async fn flush_due(shared: &Shared) -> anyhow::Result<()> {
    let spool = shared.opened.engine.spool();
    if !spool.seal_if_due(SystemClock.boot_ns()).context("the usage spool cannot begin a new segment")? {
        return Ok(());
    }
    flush_sealed(shared).await
}

/// Seals what was counted so far and writes it to the database: at shutdown.
pub(crate) async fn flush_everything(shared: &Shared) -> anyhow::Result<()> {
    shared.opened.engine.spool().seal().context("the usage spool cannot begin a new segment")?;
    flush_sealed(shared).await
}

async fn flush_sealed(shared: &Shared) -> anyhow::Result<()> {
    let (opened, stats) = (&shared.opened, &shared.stats);
    while let Some(sealed) = opened.engine.spool().oldest_sealed() {
        let started_ns = SystemClock.boot_ns();
        flush_segment(shared, &sealed).await?;
        let flush_ns = SystemClock.boot_ns().saturating_sub(started_ns);
        opened.engine.spool().confirm(&sealed, flush_ns).context("a flushed segment cannot be deleted")?;
        stats.flush_last_ms.store(flush_ns / 1_000_000, Relaxed);
        let (events, _cost) = sealed.unattributed();
        if events > 0 {
            stats.unattributed.fetch_add(events, Relaxed);
            tracing::warn!(events, "verifications were counted without their key: the usage spool was full");
        }
    }
    Ok(())
}

async fn flush_segment(shared: &Shared, sealed: &Arc<SealedSegment>) -> anyhow::Result<()> {
    let (opened, stats) = (&shared.opened, &shared.stats);
    let spool = opened.engine.spool();
    for batch in spool.batches(sealed) {
        let refused = shared.security.as_ref().map(|_| refused_of(&batch));
        let by_code: Vec<_> = batch.rows.iter().map(|row| (row.code, row.count)).collect();
        opened.store.flush_usage(batch).await.context("usage was not written to the database")?;
        for (code, count) in by_code {
            stats.flushed_by_code[code as usize].fetch_add(count, Relaxed);
        }
        if let (Some(security), Some(refused)) = (&shared.security, refused) {
            let id_of = |number| opened.engine.key_id(number).map(|id| id.to_string());
            security.note_usage(&refused, id_of, SystemClock.now(), &SystemEntropy);
        }
    }
    Ok(())
}

/// What the security event log looks at.
fn refused_of(batch: &UsageBatch) -> Vec<UsageRow> {
    batch.rows.iter().filter(|row| row.code != Code::Valid).cloned().collect()
}
