//! Switches off keys that nobody has used for as long as their workspace's policy says, where it says so.
//!
//! Another node may have counted a use that is not in the database yet. So a key is only noted the first time that it is
//! found idle, and switched off when it is still found idle several flushes later. The store looks at its last use once
//! more in the transaction, and this node at what it has counted itself.

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use keywright_domain::{
    caps,
    command::{Command, Context},
    ids::KeyId,
    key::{ApiKey, KeyChange, KeyNumber},
    permit::{Action, Actor, authorize},
    query::{KeyFilter, KeyQuery},
    store::Store,
    time::Timestamp,
    workspace::{IdleAction, Slug, Workspace},
};
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::installation::system_context;

/// How often idle keys are looked for.
const PERIOD: Duration = Duration::from_secs(60);
/// How long a key must have been known as idle before it is switched off: many times the time after which usage is written
/// down.
const NOTICE: Duration = Duration::from_secs(150);
/// Keys that are noted at most; more are looked at when these are dealt with.
const NOTED_MAX: usize = 10_000;
/// Keys of one workspace that one run looks at.
const KEYS_PER_RUN: usize = 1_000;

/// Keys that were found idle, and when first, in nanoseconds on the boot clock.
type Noted = HashMap<KeyId, u64>;

/// One look at all workspaces.
struct Look<'a> {
    store: &'a dyn Store,
    /// The last use of a key that this node has counted, written down or not.
    used_here: &'a (dyn Fn(KeyNumber) -> Option<Timestamp> + Sync),
    now: Timestamp,
    boot_ns: u64,
}

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let opened = Arc::clone(&shared.opened);
    let noted = Arc::new(Mutex::new(Noted::new()));
    let stats = Arc::clone(&shared.stats);
    jobs.spawn(repeat(JobName::IdleKeys, PERIOD, stats, stopping.clone(), move || {
        let (opened, noted) = (Arc::clone(&opened), Arc::clone(&noted));
        async move {
            let engine = Arc::clone(&opened.engine);
            let used_here = move |key| engine.last_used(key).iter().map(|used| used.at).max();
            let (now, boot_ns) = opened.clock.both();
            let look = Look { store: &*opened.store, used_here: &used_here, now, boot_ns };
            let before = std::mem::take(&mut *noted.lock());
            let seen = look.at_all(&before).await?;
            *noted.lock() = seen;
            Ok(())
        }
    }));
}

impl Look<'_> {
    /// Switches off what was idle before and still is; returns what is noted from now on. A key that is not found idle this
    /// time begins anew.
    async fn at_all(&self, noted: &Noted) -> anyhow::Result<Noted> {
        let (mut seen, mut after): (Noted, Option<Slug>) = (Noted::new(), None);
        loop {
            let page = self.store.workspaces(after, caps::PAGE_MAX).await.context("no list of workspaces")?;
            for workspace in page.items.iter().filter(|workspace| asks(workspace)) {
                self.at(workspace, noted, &mut seen).await?;
            }
            after = page.items.last().map(|workspace| workspace.slug.clone());
            if !page.has_more || after.is_none() {
                return Ok(seen);
            }
        }
    }

    async fn at(&self, workspace: &Workspace, noted: &Noted, seen: &mut Noted) -> anyhow::Result<()> {
        let notice_ns = u64::try_from(NOTICE.as_nanos()).expect("a few minutes");
        for key in self.idle_keys(workspace).await? {
            let first_ns = noted.get(&key.id).copied().unwrap_or(self.boot_ns);
            if self.boot_ns.saturating_sub(first_ns) >= notice_ns {
                self.disable(workspace, &key).await?;
            } else if seen.len() < NOTED_MAX {
                seen.insert(key.id, first_ns);
            }
        }
        Ok(())
    }

    async fn idle_keys(&self, workspace: &Workspace) -> anyhow::Result<Vec<ApiKey>> {
        let filter = KeyFilter { idle: Some(true), ..KeyFilter::default() };
        let (now, limit) = (self.now, caps::PAGE_MAX);
        let mut query = KeyQuery { workspace: workspace.id, filter, now, after: None, limit };
        let mut found = Vec::new();
        while found.len() < KEYS_PER_RUN {
            let page = self.store.keys(query.clone()).await.context("no list of idle keys")?;
            query.after = page.items.last().map(|key| key.id);
            let still = |key: &ApiKey| key.is_idle(workspace, (self.used_here)(key.number), now);
            found.extend(page.items.into_iter().filter(still));
            if !page.has_more {
                break;
            }
        }
        Ok(found)
    }

    async fn disable(&self, workspace: &Workspace, key: &ApiKey) -> anyhow::Result<()> {
        let Some(unused_since) = workspace.idle_before(self.now) else { return Ok(()) };
        // Asked last, so that a use of this very moment counts.
        if (self.used_here)(key.number).is_some_and(|at| at > unused_since) {
            return Ok(());
        }
        let permit = authorize(Actor::System, Action::WriteKeys, Some(workspace.id))
            .expect("the installation itself may do everything");
        let context = Context { permit, now: self.now, ..system_context() };
        let change = KeyChange::DisableIdle { unused_since, last_used: None };
        let command = Command::ChangeKey { key: key.id, change };
        let committed = self.store.execute(context, command).await;
        let committed = committed.with_context(|| format!("the idle key {} was not switched off", key.id))?;
        if committed.restricting {
            tracing::info!(key = %key.id, workspace = %workspace.id, "an idle key was switched off");
        }
        Ok(())
    }
}

/// Whether the workspace wants idle keys to be switched off.
fn asks(workspace: &Workspace) -> bool {
    workspace.policy.idle_action == IdleAction::Disable
        && workspace.policy.idle_days.is_some()
        && !workspace.is_off()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

    use keywright_domain::{
        key::KeyStatus,
        workspace::{WorkspacePatch, WorkspacePolicy},
    };
    use keywright_store_sqlite::SqliteStore;
    use keywright_testkit::{Installation, Samples};

    use super::*;

    const DAY_SECONDS: i64 = 86_400;
    const NOTICE_NS: u64 = 150_000_000_000;

    async fn installation() -> Installation<SqliteStore> {
        let installation =
            Installation::set_up(Arc::new(SqliteStore::open_in_memory(keywright_testkit::vault()).unwrap()))
                .await;
        let policy = WorkspacePolicy {
            idle_days: Some(30),
            idle_action: IdleAction::Disable,
            ..WorkspacePolicy::default()
        };
        let patch = WorkspacePatch { policy: Some(policy), ..WorkspacePatch::default() };
        installation.patch_workspace(patch).await.unwrap();
        installation
    }

    async fn status(installation: &Installation<SqliteStore>, key: &ApiKey, now: Timestamp) -> KeyStatus {
        installation.store.key(key.workspace, key.id).await.unwrap().unwrap().status(now)
    }

    #[tokio::test]
    async fn a_key_is_noted_first_and_switched_off_later() {
        let installation = installation().await;
        let key = installation.create_key("forgotten").await;
        let now = Samples::NOW.plus_seconds(31 * DAY_SECONDS);
        let unused = |_| None;
        let look = |boot_ns, now| Look { store: &*installation.store, used_here: &unused, now, boot_ns };
        let early = look(5, Samples::NOW.plus_seconds(29 * DAY_SECONDS)).at_all(&Noted::new()).await.unwrap();
        assert!(early.is_empty());
        let noted = look(5, now).at_all(&Noted::new()).await.unwrap();
        assert_eq!(noted, Noted::from([(key.id, 5)]));
        let again = look(4 + NOTICE_NS, now).at_all(&noted).await.unwrap();
        assert_eq!((again, status(&installation, &key, now).await), (noted.clone(), KeyStatus::Active));
        let after = look(5 + NOTICE_NS, now).at_all(&noted).await.unwrap();
        assert_eq!((after, status(&installation, &key, now).await), (Noted::new(), KeyStatus::Disabled));
    }

    #[tokio::test]
    async fn a_key_that_was_used_a_moment_ago_stays_on() {
        let installation = installation().await;
        let key = installation.create_key("busy").await;
        let now = Samples::NOW.plus_seconds(31 * DAY_SECONDS);
        let noted = Noted::from([(key.id, 0)]);
        let used = |_| Some(now);
        let look = Look { store: &*installation.store, used_here: &used, now, boot_ns: NOTICE_NS };
        assert_eq!(look.at_all(&noted).await.unwrap(), Noted::new(), "it begins anew");
        assert_eq!(status(&installation, &key, now).await, KeyStatus::Active);
        // Between the list and the command.
        let asked = AtomicI64::new(0);
        let used_late = |_| (asked.fetch_add(1, SeqCst) > 0).then_some(now);
        let look = Look { used_here: &used_late, ..look };
        look.at_all(&noted).await.unwrap();
        assert_eq!((status(&installation, &key, now).await, asked.load(SeqCst)), (KeyStatus::Active, 2));
    }

    #[tokio::test]
    async fn without_the_policy_nothing_is_switched_off() {
        let installation = installation().await;
        let key = installation.create_key("forgotten").await;
        let now = Samples::NOW.plus_seconds(31 * DAY_SECONDS);
        let flags = WorkspacePolicy { idle_days: Some(30), ..WorkspacePolicy::default() };
        let patch = WorkspacePatch { policy: Some(flags), ..WorkspacePatch::default() };
        installation.patch_workspace(patch).await.unwrap();
        let unused = |_| None;
        let look = Look { store: &*installation.store, used_here: &unused, now, boot_ns: NOTICE_NS };
        assert!(look.at_all(&Noted::from([(key.id, 0)])).await.unwrap().is_empty());
        assert_eq!(status(&installation, &key, now).await, KeyStatus::Active);
    }
}
