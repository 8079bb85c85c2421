//! Shares of limits: a thread of their own draws them, so that no limit waits behind a commit or a change of the log.

use std::sync::Arc;

use keywright_api::shares::Shares;
use keywright_domain::{pool::LimitPool, time::Clock};
use keywright_engine::Engine;
use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};

use super::STOP;
use crate::failure::{Exit, Failure};

/// What draws the shares of this node's limits.
pub(crate) struct Limits {
    shares: Arc<Shares>,
    running: Mutex<Option<Running>>,
}

struct Running {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

impl Limits {
    /// Draws from `pool` for `engine` from now on.
    pub(crate) fn start(
        engine: &Arc<Engine>,
        pool: Arc<dyn LimitPool>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Failure> {
        let shares = Arc::new(Shares::new(Arc::clone(engine), pool, clock));
        let (stop, stopped) = oneshot::channel();
        let (end, ended) = oneshot::channel::<()>();
        let drawing = Arc::clone(&shares);
        let thread = std::thread::Builder::new().name("limits".to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(drawing.run(async move { drop(stopped.await) })),
                Err(error) => tracing::error!(%error, "limits are not shared; restart the process"),
            }
            drop(end);
        });
        thread.map_err(|error| Failure::new(Exit::System, format!("cannot start a thread: {error}")))?;
        Ok(Self { shares, running: Mutex::new(Some(Running { stop, ended })) })
    }

    /// For those whose calls wait for a share.
    pub(crate) fn shares(&self) -> Arc<Shares> {
        Arc::clone(&self.shares)
    }

    /// Gives back what was drawn and not spent, and ends the thread.
    pub(crate) async fn stop(&self) {
        let running = self.running.lock().take();
        if let Some(Running { stop, ended }) = running {
            let _ended_already = stop.send(());
            drop(timeout(STOP, ended).await);
        }
    }
}
