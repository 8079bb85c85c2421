//! What would be answered for a secret that is not known here: for the audit of revocations, which knows no secret.

use keywright_domain::{
    permission::PermissionSet,
    verdict::{Ask, decide},
};
use keywright_keyformat::Locator;

use crate::{Engine, Moment, Trust, index::LocatorHash, verify::WithEnds as _};

/// What a node would answer, if the secret with the locator were presented now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WouldAccept {
    /// Whether it would be accepted, from memory, by the lease that is held now.
    pub accepts: bool,
    /// How far the log is applied.
    pub as_of: u64,
}

impl Engine {
    /// Whether the secret with this locator would be accepted now, from an address and for a purpose that are allowed.
    /// In the order of a verification: leases, record, decision. Nothing is spent, nothing counted.
    pub fn would_accept_locator(&self, locator: &Locator, now: Moment) -> WouldAccept {
        let vouched = self.leases.read();
        let roots = self.state.roots.load();
        let ask = Ask {
            now: now.wall,
            mode: None,
            workspace_matches: true,
            client: None,
            permissions: PermissionSet::EMPTY,
        };
        let accepts = roots.index.candidates(LocatorHash::of(locator)).any(|number| {
            let Some(found) = self.candidate_by_locator(number, locator) else { return false };
            let Some(around) = self.state.surroundings(&found.reading.facts) else { return false };
            let lease = vouched.end(around.standing.lease());
            // Changed at this moment: whoever asks, asks again.
            let Some(ends) = self.state.policy_ends(&found, around.life) else { return false };
            decide(&found.key_facts(&self.state, &around).with_ends(ends), &ask).is_ok()
                && self.leases.vouch(&vouched, lease, Trust::Lease, || self.clock.boot_ns())
        });
        WouldAccept { accepts, as_of: vouched.as_of }
    }
}
