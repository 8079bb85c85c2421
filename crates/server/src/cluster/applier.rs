//! The way of changes into memory: the node's own as they are committed, the others' as they are announced or
//! fetched.

use std::sync::Arc;

use keywright_domain::{
    change::{ChangeSink, NumberedChange},
    control::Announcement,
};
use keywright_engine::{ApplyError, Engine};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};

use super::{audit::Auditor, driver::Event};

/// Most changes of one commit that are waited for before somebody asks.
const EXPECTED_MAX: usize = 64;

/// Applies changes in the order of the log, whoever brings them.
pub(super) struct Applier {
    engine: Arc<Engine>,
    events: mpsc::UnboundedSender<Event>,
    applied: watch::Sender<u64>,
    auditor: Arc<Auditor>,
    /// Held while changes are applied and until that is told, so that what is told never goes back.
    order: Mutex<()>,
}

impl Applier {
    pub(super) fn new(
        engine: Arc<Engine>,
        events: mpsc::UnboundedSender<Event>,
        auditor: Arc<Auditor>,
    ) -> Self {
        Self { engine, events, applied: watch::Sender::new(0), auditor, order: Mutex::default() }
    }

    /// How far the log is applied; 0 while the state is not whole.
    pub(super) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    /// Applies what was fetched; says how far the log is applied then.
    pub(super) fn apply(&self, changes: &[NumberedChange]) -> Result<u64, ApplyError> {
        let _order = self.order.lock();
        let result = self.engine.apply_from(changes);
        self.applied.send_replace(self.engine.applied());
        result
    }

    /// Applies what was announced, as far as it is told and follows on what is applied. The rest is to be fetched.
    pub(super) fn hear(&self, announcement: &Announcement) -> Event {
        let Announcement { sequence, revoked } = announcement;
        let announced = Event::Announced { sequence: *sequence };
        if revoked.is_empty() {
            return announced;
        }
        let _order = self.order.lock();
        let before = self.engine.applied();
        match self.engine.revoke_from(announcement.first(), revoked) {
            Ok(applied) if applied > before => {
                self.applied.send_replace(applied);
                Event::Told { applied }
            }
            // It is applied already, such as a commit of this node, or something before it is missing.
            _ => announced,
        }
    }

    /// The state in memory was loaded, or is going to be.
    pub(super) fn tell(&self) {
        let _order = self.order.lock();
        self.applied.send_replace(self.engine.applied());
    }
}

impl ChangeSink for Applier {
    fn committed(&self, changes: &[NumberedChange]) {
        let Some(last) = changes.last() else { return };
        self.auditor.note(changes);
        // Of many, callers wait for the last ones.
        let last_ones = &changes[changes.len().saturating_sub(EXPECTED_MAX)..];
        let restricting = last_ones.iter().filter(|change| change.restricting);
        let restricting: Vec<_> = restricting.map(|change| change.sequence).collect();
        if !restricting.is_empty() {
            drop(self.events.send(Event::Committed(restricting)));
        }
        let event = match self.apply(changes) {
            Ok(applied) => Event::Advanced { applied },
            // Another node committed in between: to be fetched. Or the state is being loaded, and will have it.
            Err(ApplyError::Gap { .. } | ApplyError::NotFollowing) => {
                Event::Announced { sequence: last.sequence }
            }
            Err(error) => {
                tracing::error!(%error, "a change cannot be applied; the keys are loaded again");
                Event::Broken
            }
        };
        // The node has ended otherwise, and answers nothing any more.
        drop(self.events.send(event));
    }
}
