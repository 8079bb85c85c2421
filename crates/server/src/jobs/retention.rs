//! Removes what was kept long enough, a bounded number of rows at a time.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::Context as _;
use keywright_domain::{
    command::{Command, Context, Outcome},
    key::KeyNumber,
    privacy::{PrivacyCommand, PrivacyOutcome},
    retention::Retention,
    store::Store,
    time::Timestamp,
};
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::installation::system_context;

/// How often it is looked for what is old.
const PERIOD: Duration = Duration::from_secs(3_600);
/// Rest between two steps, so that other writes get their turn.
const REST: Duration = Duration::from_millis(20);

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let (shared, stop) = (shared.clone(), stopping.clone());
    let stats = Arc::clone(&shared.stats);
    jobs.spawn(repeat(JobName::Retention, PERIOD, stats, stopping.clone(), move || {
        let (shared, stop) = (shared.clone(), stop.clone());
        async move {
            let opened = &shared.opened;
            let removed = retain(&*opened.store, shared.retention, opened.clock.now(), &stop).await?;
            shared.stats.retired_rows.fetch_add(removed, Relaxed);
            Ok(())
        }
    }));
}

/// Removes all that is too old at `now`; returns how many rows. What is not finished before the end of this process goes on
/// at the next run.
async fn retain(
    store: &dyn Store,
    retention: Retention,
    now: Timestamp,
    stopping: &watch::Receiver<bool>,
) -> anyhow::Result<u64> {
    let (cutoffs, mut after, mut all) = (retention.cutoffs(now), KeyNumber(0), 0);
    while !*stopping.borrow() {
        let command = Command::Privacy(PrivacyCommand::Retain { cutoffs, after });
        let committed = store.execute(Context { now, ..system_context() }, command).await;
        match committed.context("what is old was not removed")?.outcome {
            Outcome::Privacy(PrivacyOutcome::Retained { removed, next }) => {
                all += removed;
                let Some(next) = next else { break };
                after = next;
            }
            _ => anyhow::bail!("the store answered a command with the outcome of another one"),
        }
        tokio::time::sleep(REST).await;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use keywright_store_sqlite::SqliteStore;
    use keywright_testkit::{Installation, Samples};

    use super::*;

    const DAY_SECONDS: i64 = 86_400;

    #[tokio::test]
    async fn what_is_old_goes_when_its_time_has_come() {
        let store = Arc::new(SqliteStore::open_in_memory(keywright_testkit::vault()).unwrap());
        Installation::set_up(Arc::clone(&store)).await;
        let retention =
            Retention { audit_personal_days: 30, access_days: 30, usage_minute_days: 0, usage_hour_days: 0 };
        let (stop, stopping) = watch::channel(false);
        let is_kept =
            async || store.audit_after(0, 10).await.unwrap().iter().all(|entry| entry.personal.is_some());
        let almost = Samples::NOW.plus_seconds(30 * DAY_SECONDS);
        assert_eq!(retain(&*store, retention, almost, &stopping).await.unwrap(), 0);
        assert!(is_kept().await);
        let then = almost.plus_seconds(DAY_SECONDS);
        stop.send_replace(true);
        assert_eq!(
            retain(&*store, retention, then, &stopping).await.unwrap(),
            0,
            "not while the process ends"
        );
        stop.send_replace(false);
        assert!(
            retain(&*store, retention, then, &stopping).await.unwrap() >= 2,
            "the entry's data, the day's key"
        );
        assert!(!is_kept().await);
        assert_eq!(retain(&*store, retention, then, &stopping).await.unwrap(), 0);
    }
}
