//! What runs in the background. Each job repeats on its own; a failure is logged once, counted, and tried again later.

mod checkpoint;
mod credits;
mod health;
mod idle;
mod purge;
mod redigest;
mod retention;
mod rewrap;
mod security;
mod tls;
mod usage;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use keywright_api::{
    VerdictCounts, credits::Credits, sign_in_failures::SignInFailures, throttle::FailureThrottle,
};
use keywright_domain::{retention::Retention, verdict::Code};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

pub(crate) use checkpoint::sign_checkpoint;
pub(crate) use usage::flush_everything;

use crate::{
    installation::Opened,
    ops::{Health, RequestStats},
    runtime::tls::TlsFiles,
    security::SecurityEvents,
};

/// Longest pause after repeated failures.
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// The jobs, by the name in logs and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobName {
    SpoolRoom,
    SpoolSync,
    UsageFlush,
    Redigest,
    Rewrap,
    Checkpoint,
    StoreProbe,
    Purge,
    IdleKeys,
    CreditSlices,
    CreditSweep,
    SecurityEvents,
    RefusedCalls,
    Retention,
}

impl JobName {
    const ALL: [Self; 14] = [
        Self::SpoolRoom,
        Self::SpoolSync,
        Self::UsageFlush,
        Self::Redigest,
        Self::Rewrap,
        Self::Checkpoint,
        Self::StoreProbe,
        Self::Purge,
        Self::IdleKeys,
        Self::CreditSlices,
        Self::CreditSweep,
        Self::SecurityEvents,
        Self::RefusedCalls,
        Self::Retention,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::SpoolRoom => "spool_room",
            Self::SpoolSync => "spool_sync",
            Self::UsageFlush => "usage_flush",
            Self::Redigest => "redigest",
            Self::Rewrap => "rewrap",
            Self::Checkpoint => "checkpoint",
            Self::StoreProbe => "store_probe",
            Self::Purge => "purge",
            Self::IdleKeys => "idle_keys",
            Self::CreditSlices => "credit_slices",
            Self::CreditSweep => "credit_sweep",
            Self::SecurityEvents => "security_events",
            Self::RefusedCalls => "refused_calls",
            Self::Retention => "retention",
        }
    }
}

/// What jobs did, for metrics.
#[derive(Debug, Default)]
pub(crate) struct JobStats {
    /// Verifications flushed to the store, by code.
    pub(crate) flushed_by_code: [AtomicU64; Code::ALL.len()],
    /// Verifications whose key could not be noted.
    pub(crate) unattributed: AtomicU64,
    /// How long the last flush took.
    pub(crate) flush_last_ms: AtomicU64,
    /// How long the last probing write took.
    pub(crate) commit_last_us: AtomicU64,
    /// Digests replaced.
    pub(crate) redigested: AtomicU64,
    /// Data keys wrapped anew.
    pub(crate) rewrapped: AtomicU64,
    /// Rows that were removed or emptied because they were kept long enough.
    pub(crate) retired_rows: AtomicU64,
    /// Whether no data key is under an older key-encryption key.
    pub(crate) is_rewrapped: AtomicBool,
    /// Last audit entry that a checkpoint covers.
    pub(crate) checkpoint: AtomicU64,
    failures: [AtomicU64; JobName::ALL.len()],
}

impl JobStats {
    /// Failed runs by job.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        JobName::ALL.into_iter().map(|job| (job.as_str(), self.failures[job as usize].load(Relaxed)))
    }
}

/// What jobs work with.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) opened: Arc<Opened>,
    pub(crate) health: Arc<Health>,
    pub(crate) stats: Arc<JobStats>,
    pub(crate) credits: Arc<Credits>,
    /// How long things are kept.
    pub(crate) retention: Retention,
    /// The security event log, if one is configured.
    pub(crate) security: Option<Arc<SecurityEvents>>,
    /// Verdicts of the hot routes.
    pub(crate) requests: Arc<RequestStats>,
    /// Verdicts of the other routes.
    pub(crate) router_verdicts: Arc<VerdictCounts>,
    /// Knows which addresses were refused.
    pub(crate) throttle: Arc<FailureThrottle>,
    /// Attempts to sign in that failed.
    pub(crate) sign_in_failures: Arc<SignInFailures>,
}

/// Starts all jobs. They end when `stopping` turns true.
pub(crate) fn start(
    shared: &Shared,
    tls: Option<&Arc<TlsFiles>>,
    stopping: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    usage::start(&mut jobs, shared, stopping);
    redigest::start(&mut jobs, shared, stopping);
    rewrap::start(&mut jobs, shared, stopping);
    checkpoint::start(&mut jobs, shared, stopping);
    health::start(&mut jobs, shared, stopping);
    purge::start(&mut jobs, shared, stopping);
    idle::start(&mut jobs, shared, stopping);
    credits::start(&mut jobs, shared, stopping);
    security::start(&mut jobs, shared, stopping);
    retention::start(&mut jobs, shared, stopping);
    if let Some(tls) = tls {
        tls::start(&mut jobs, tls, stopping);
    }
    jobs
}

/// When a job is due.
#[derive(Clone)]
enum Pace {
    /// Again and again.
    Every(Duration),
    /// Only while there is work, and at once when there is some again.
    WhileBusy {
        /// Whether there is work.
        is_busy: watch::Receiver<bool>,
        /// How often, while there is.
        every: Duration,
        /// Who calls a job that finds out itself whether there is; `None` for one that waits for another to find out.
        call: Option<Arc<Notify>>,
    },
}

impl From<Duration> for Pace {
    fn from(period: Duration) -> Self {
        Self::Every(period)
    }
}

impl Pace {
    fn period(&self) -> Duration {
        match self {
            Self::Every(period) | Self::WhileBusy { every: period, .. } => *period,
        }
    }

    /// Returns when the job is due, after so many failures in a row.
    async fn due(&mut self, failures: u32) {
        if failures > 0 {
            return tokio::time::sleep(backoff(self.period(), failures)).await;
        }
        match self {
            Self::WhileBusy { is_busy, call, .. } if !*is_busy.borrow() => match call {
                // A call while the job was at work is kept: what it was about may have been overlooked.
                Some(call) => call.notified().await,
                None if is_busy.wait_for(|is_busy| *is_busy).await.is_ok() => {}
                // Whoever knows has ended, and so will this job.
                None => std::future::pending().await,
            },
            Self::Every(period) | Self::WhileBusy { every: period, .. } => tokio::time::sleep(*period).await,
        }
    }
}

/// Repeats `run` at its pace until `stopping`; after failures more rarely.
async fn repeat<F, R>(
    job: JobName,
    pace: impl Into<Pace>,
    stats: Arc<JobStats>,
    mut stopping: watch::Receiver<bool>,
    mut run: F,
) where
    F: FnMut() -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let mut failures: u32 = 0;
    let mut pace = pace.into();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping) => return,
            () = pace.due(failures) => {}
        }
        match run().await {
            Ok(()) if failures > 0 => {
                tracing::info!(job = job.as_str(), failures, "works again");
                failures = 0;
            }
            Ok(()) => {}
            Err(error) => {
                stats.failures[job as usize].fetch_add(1, Relaxed);
                // The first failure is news; the following ones are counted in the metrics.
                if failures == 0 {
                    tracing::error!(
                        job = job.as_str(),
                        error = format!("{error:#}"),
                        "failed; will try again"
                    );
                }
                failures = failures.saturating_add(1);
            }
        }
    }
}

/// Twice as long after each failure.
fn backoff(period: Duration, failures: u32) -> Duration {
    let factor = 1 << failures.min(16);
    period.max(Duration::from_millis(250)).saturating_mul(factor).min(BACKOFF_MAX.max(period))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let second = Duration::from_secs(1);
        assert_eq!(backoff(second, 1), 2 * second);
        assert_eq!(backoff(second, 4), 16 * second);
        assert_eq!(backoff(second, u32::MAX), BACKOFF_MAX);
        assert_eq!(backoff(60 * second, 1), 60 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_without_work_rests_and_is_at_it_at_once() {
        let (busy, is_busy) = watch::channel(false);
        let every = Duration::from_millis(200);
        let call = Arc::new(Notify::new());
        let mut resting = Pace::WhileBusy { is_busy: is_busy.clone(), every, call: None };
        let mut called = Pace::WhileBusy { is_busy, every, call: Some(Arc::clone(&call)) };
        let begun = tokio::time::Instant::now();
        for pace in [&mut resting, &mut called] {
            assert!(tokio::time::timeout(Duration::from_secs(60), pace.due(0)).await.is_err());
        }
        call.notify_one();
        called.due(0).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(120), "a call from before is heard");
        busy.send_replace(true);
        resting.due(0).await;
        called.due(0).await;
        assert_eq!(begun.elapsed(), Duration::from_millis(120_400), "one period each while there is work");
        busy.send_replace(false);
        let woken = tokio::spawn(async move { resting.due(0).await });
        tokio::time::sleep(every).await;
        busy.send_replace(true);
        woken.await.unwrap();
        assert_eq!(begun.elapsed(), Duration::from_millis(120_600), "at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failing_job_is_tried_again_and_ends_when_told() {
        let (stop, stopping) = watch::channel(false);
        let stats = Arc::new(JobStats::default());
        let runs = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&runs);
        let job =
            repeat(JobName::Redigest, Duration::from_secs(1), Arc::clone(&stats), stopping, move || {
                let run = counted.fetch_add(1, Relaxed);
                async move { if run < 3 { Err(anyhow::anyhow!("no")) } else { Ok(()) } }
            });
        let job = tokio::spawn(job);
        tokio::time::sleep(Duration::from_secs(20)).await;
        stop.send_replace(true);
        job.await.unwrap();
        assert_eq!(stats.failures().find(|(name, _)| *name == "redigest"), Some(("redigest", 3)));
        assert!(runs.load(Relaxed) > 4, "goes on after it works again");
    }
}
