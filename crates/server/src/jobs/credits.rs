//! Tells the store what was spent of slices of balances, and has what is due carried out: refills, reservations that
//! expired.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use keywright_domain::{
    command::{Command, Outcome},
    credit::CreditCommand,
};
use tokio::{sync::watch, task::JoinSet};

use super::{JobName, Shared, repeat};
use crate::installation::system_context;

/// A slice that nobody took from for so long goes back.
const SLICES_PERIOD: Duration = Duration::from_millis(500);
/// How late a refill may be, and the end of a reservation.
const SWEEP_PERIOD: Duration = Duration::from_secs(2);

pub(super) fn start(jobs: &mut JoinSet<()>, shared: &Shared, stopping: &watch::Receiver<bool>) {
    let stats = Arc::clone(&shared.stats);
    let (slices, sweeps) = (shared.clone(), shared.clone());
    jobs.spawn(repeat(
        JobName::CreditSlices,
        SLICES_PERIOD,
        Arc::clone(&stats),
        stopping.clone(),
        move || {
            let shared = slices.clone();
            async move {
                let told = shared.credits.maintain(&shared.opened.engine).await;
                told.context("what was spent of balances was not told to the database")
            }
        },
    ));
    jobs.spawn(repeat(JobName::CreditSweep, SWEEP_PERIOD, stats, stopping.clone(), move || {
        sweep(sweeps.clone())
    }));
}

/// Carries out what is due, in as many transactions as it takes. Of several nodes, whoever comes second finds nothing.
async fn sweep(shared: Shared) -> anyhow::Result<()> {
    let store = &shared.opened.store;
    while store.credits_due(system_context().now).await? {
        let sweep = Command::Credit(CreditCommand::Sweep);
        let swept = store.execute(system_context(), sweep).await.context("credits that are due")?;
        if matches!(swept.outcome, Outcome::Swept(0)) {
            break;
        }
        shared.opened.engine.forget_credit_refusals();
    }
    Ok(())
}
