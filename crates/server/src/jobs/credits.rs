//! Tells the store what was spent of slices of balances, and has what is due carried out: refills, reservations that
//! expired.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use keywright_domain::{
    command::{Command, Outcome},
    credit::CreditCommand,
    time::Timestamp,
};
use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Pace, Shared, repeat};
use crate::installation::system_context;

/// A slice that nobody took from for so long goes back.
const SLICES_PERIOD: Duration = Duration::from_millis(500);
/// How late a refill may be, and the end of a reservation.
const SWEEP_PERIOD: Duration = Duration::from_secs(2);
/// How often the database is asked what is due where nothing is known to be: after the end of the node that made it so.
const LOOK_SECONDS: i64 = 30;

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let stats = Arc::clone(&shared.stats);
    let (slices, sweeps) = (shared.clone(), shared.clone());
    let (busy, is_busy) = watch::channel(true);
    let call = Some(Arc::clone(shared.credits.drawn()));
    let pace = Pace::WhileBusy { is_busy, every: SLICES_PERIOD, call };
    jobs.spawn(repeat(JobName::CreditSlices, pace, Arc::clone(&stats), stopping.clone(), move || {
        let (shared, busy) = (slices.clone(), busy.clone());
        async move {
            let told = shared.credits.maintain(&shared.opened.engine).await;
            let has_work = told.is_err() || shared.opened.engine.holds_credits();
            busy.send_if_modified(|busy| std::mem::replace(busy, has_work) != has_work);
            told.context("what was spent of balances was not told to the database")
        }
    }));
    let due = Arc::new(Mutex::new(Due::default()));
    jobs.spawn(repeat(JobName::CreditSweep, SWEEP_PERIOD, stats, stopping.clone(), move || {
        sweep(sweeps.clone(), Arc::clone(&due))
    }));
}

/// What is known of when the database has to be asked again.
#[derive(Default)]
struct Due {
    /// When something is due, as the database said.
    next: Option<Timestamp>,
    /// When it is asked in any case.
    look_at: Option<Timestamp>,
}

impl Due {
    fn is_now(&self, now: Timestamp) -> bool {
        let has_come = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        self.look_at.is_none() || has_come(self.look_at) || has_come(self.next)
    }
}

/// Carries out what is due, in as many transactions as it takes. Of several nodes, whoever comes second finds nothing.
///
/// The database is asked when something should be due, after a change of this node, and else only now and then: what
/// another node has changed, that node looks after as long as it runs.
async fn sweep(shared: Shared, due: Arc<Mutex<Due>>) -> anyhow::Result<()> {
    let now = system_context().now;
    let is_changed = shared.credits.take_changed();
    if !is_changed && !due.lock().is_now(now) {
        return Ok(());
    }
    // Until all went well, the next turn asks again.
    *due.lock() = Due::default();
    let next = sweep_all(&shared).await?;
    *due.lock() = Due { next, look_at: Some(now.plus_seconds(LOOK_SECONDS)) };
    Ok(())
}

/// Carries out all that is due; says when the next is.
async fn sweep_all(shared: &Shared) -> anyhow::Result<Option<Timestamp>> {
    let store = &shared.opened.store;
    loop {
        let next = store.credits_due().await?;
        if next.is_none_or(|next| next > system_context().now) {
            return Ok(next);
        }
        let sweep = Command::Credit(CreditCommand::Sweep);
        let swept = store.execute(system_context(), sweep).await.context("credits that are due")?;
        if matches!(swept.outcome, Outcome::Swept(0)) {
            return Ok(next);
        }
        shared.opened.engine.forget_credit_refusals();
    }
}
