//! Delivers security events to their sinks, each at its own pace.

use std::{sync::Arc, time::Duration};

use keywright_domain::time::Clock as _;
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::{
    security::{Progress, SecurityEvents},
    system::{SystemClock, SystemEntropy},
};

/// How often it is looked for new events.
const PERIOD: Duration = Duration::from_secs(1);

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let Some(security) = &shared.security else { return };
    for outlet in security.outlets() {
        let (shared, outlet, stop) = (shared.clone(), Arc::clone(outlet), stopping.clone());
        let stats = Arc::clone(&shared.stats);
        jobs.spawn(repeat(JobName::SecurityEvents, PERIOD, stats, stopping.clone(), move || {
            let (shared, outlet, stop) = (shared.clone(), Arc::clone(&outlet), stop.clone());
            async move {
                while outlet.run(&*shared.opened.store).await? == Progress::More && !*stop.borrow() {}
                Ok(())
            }
        }));
    }
    let (shared, security) = (shared.clone(), Arc::clone(security));
    let stats = Arc::clone(&shared.stats);
    jobs.spawn(repeat(JobName::RefusedCalls, PERIOD, stats, stopping.clone(), move || {
        note_refused(&shared, &security);
        std::future::ready(Ok(()))
    }));
}

/// What the counters say of credentials that are nobody's.
fn note_refused(shared: &Shared, security: &SecurityEvents) {
    let now = SystemClock.now();
    let count_of = |code| shared.requests.verdicts(code) + shared.router_verdicts.of(code);
    security.note_unknown(count_of, now, &SystemEntropy);
    security.note_sign_ins(&shared.sign_in_failures.take(), &SystemEntropy);
    security.note_blocked(&shared.throttle.take_blocked(), now, &SystemEntropy);
}
