//! The security event log: what happened, as a stream for the systems of a security team.
//!
//! Events are made of the audit trail, entry by entry and in order: each sink has a cursor of its own that moves when the sink has
//! taken an entry, so a sink that is down misses nothing. Refused calls are in no audit trail; those that are too many are told
//! as they are counted, and wait in memory while a sink is down.

mod cursor;
mod event;
mod format;
mod kind;
mod notices;
mod ocsf;
mod outlet;
mod sink;
mod watch;

use std::{collections::BTreeMap, net::IpAddr, path::Path, sync::Arc};

use keywright_api::sign_in_failures::SignInFailure;
use keywright_domain::{
    audit::AuditTarget, entropy::Entropy, key::KeyNumber, time::Timestamp, usage::UsageRow, verdict::Code,
};
use parking_lot::Mutex;

pub(crate) use cursor::Cursor;
#[cfg(test)]
pub(crate) use cursor::Position;
pub(crate) use format::Format;
pub(crate) use outlet::{Outlet, Progress};

use self::{
    event::{Addresses, Event},
    watch::{Excess, Found, Thresholds, Watch},
};
use crate::{config::security::SecuritySettings, failure::Failure};

/// The security event log of this process.
pub(crate) struct SecurityEvents {
    outlets: Vec<Arc<Outlet>>,
    watch: Mutex<Watch>,
    addresses: Addresses,
}

impl SecurityEvents {
    /// The log that the settings describe; `None` where no sink is configured.
    pub(crate) fn open(settings: &SecuritySettings, data_dir: &Path) -> Result<Option<Arc<Self>>, Failure> {
        if settings.sinks.is_empty() {
            return Ok(None);
        }
        let addresses = if settings.addresses { Addresses::AsKept } else { Addresses::Never };
        let outlets = settings
            .sinks
            .iter()
            .map(|sink| Ok(Arc::new(Outlet::open(sink, addresses, data_dir)?)))
            .collect::<Result<_, Failure>>()?;
        let thresholds = Thresholds {
            refused: settings.refused_per_minute.get().into(),
            limited: settings.limited_per_minute.get().into(),
        };
        Ok(Some(Arc::new(Self { outlets, watch: Mutex::new(Watch::new(thresholds)), addresses })))
    }

    /// The sinks.
    pub(crate) fn outlets(&self) -> &[Arc<Outlet>] {
        &self.outlets
    }

    /// Usage is written down: tells of what was refused too often. `id_of` knows the ids of keys.
    pub(crate) fn note_usage(
        &self,
        rows: &[UsageRow],
        id_of: impl Fn(KeyNumber) -> Option<String>,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) {
        for found in self.watch.lock().note(rows) {
            if let Some(id) = found.key.and_then(&id_of) {
                self.tell(&found, AuditTarget { kind: "key".to_owned(), id }, now, entropy);
            }
        }
    }

    /// Verdicts on credentials that are nobody's, since the start of the process.
    pub(crate) fn note_unknown(&self, count_of: impl Fn(Code) -> u64, now: Timestamp, entropy: &dyn Entropy) {
        let nobodys = [Code::MalformedKey, Code::InvalidKey];
        let totals: BTreeMap<_, _> =
            nobodys.into_iter().map(|code| (code.as_str().to_owned(), count_of(code))).collect();
        let found = self.watch.lock().note_unknown(now.unix_seconds().div_euclid(60), &totals);
        if let Some(found) = found {
            let target = AuditTarget { kind: "installation".to_owned(), id: "installation".to_owned() };
            self.tell(&found, target, now, entropy);
        }
    }

    /// Addresses that tried so many unknown credentials that they are refused for a while.
    pub(crate) fn note_blocked(&self, blocked: &[IpAddr], now: Timestamp, entropy: &dyn Entropy) {
        for address in blocked {
            let shown = self.addresses.of(Some(*address));
            let id = shown.map_or_else(|| "withheld".to_owned(), |address| address.to_string());
            let target = AuditTarget { kind: "address".to_owned(), id };
            let mut event = Event::refused(now, "credentials.address_blocked", target, entropy);
            event.address = shown;
            self.hand_out(&event);
        }
    }

    /// Attempts to sign in that failed.
    pub(crate) fn note_sign_ins(&self, failures: &[SignInFailure], entropy: &dyn Entropy) {
        for failure in failures {
            let id = failure.user.map_or_else(|| "unknown".to_owned(), |user| user.to_string());
            let target = AuditTarget { kind: "user".to_owned(), id };
            let mut event = Event::refused(failure.at, "sign_in.failed", target, entropy);
            event.address = self.addresses.of(failure.address);
            self.hand_out(&event);
        }
    }

    fn tell(&self, found: &Found, target: AuditTarget, now: Timestamp, entropy: &dyn Entropy) {
        let mut event = Event::refused(now, found.excess.action(), target, entropy);
        event.counts.clone_from(&found.counts);
        event.address = self.addresses.of(found.addresses.first().copied());
        if found.excess == Excess::Limited {
            // Whose key it is does not matter, and the key is good.
            event.address = None;
        }
        self.hand_out(&event);
    }

    fn hand_out(&self, event: &Event) {
        for outlet in &self.outlets {
            outlet.notices().push(event.clone());
        }
    }
}

#[cfg(test)]
mod tests;
