//! Takes over new certificates.

use std::{sync::Arc, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
};

use crate::runtime::tls::{Reload, TlsFiles};

const PERIOD: Duration = Duration::from_secs(5);

pub(super) fn start(jobs: &mut JoinSet<()>, tls: &Arc<TlsFiles>, stopping: &watch::Receiver<bool>) {
    let tls = Arc::clone(tls);
    let mut stopping = stopping.clone();
    jobs.spawn(async move {
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                tracing::error!(%error, "certificates are not reloaded: SIGHUP cannot be received");
                return;
            }
        };
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(PERIOD) => {}
                _ = hangup.recv() => {}
            }
            match tls.reload() {
                Reload::Unchanged => {}
                Reload::Replaced => tracing::info!("a new certificate is in use"),
                Reload::Kept(failure) => {
                    tracing::error!(error = %failure, "the new certificate cannot be used; the old one stays in use");
                }
            }
        }
    });
}
