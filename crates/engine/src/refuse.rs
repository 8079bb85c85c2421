//! Refusals, and when one is not yet to be said; see [`crate::pending`].

use keywright_domain::{
    ids::KeyId,
    key::KeyNumber,
    verdict::{Ask, Code, KeyFacts, decide},
    workspace::WorkspaceNumber,
};
use keywright_keyformat::ParsedKey;

use crate::{
    Engine, KeyHit, LeaseEnd, Moment, Verdict, VerifyRequest,
    cold::ColdBytes,
    life,
    pending::{Recent, Restriction, may_be_recent},
    verify::{Surroundings, WithEnds as _, is_same},
};

impl Engine {
    /// Refuses a key whose secret was right.
    #[inline]
    pub(crate) fn refuse(
        &self,
        code: Code,
        around: &Surroundings,
        parsed: &ParsedKey<'_>,
        ask: &Ask,
        verdict: &mut Verdict,
    ) {
        verdict.code = code;
        if self.pending.is_any() && around.standing.is_atomic() && may_be_recent(code) {
            let wait = around.standing.wait();
            let is_recent = match self.recent(parsed, Some(wait), verdict.lease) {
                Recent::Nothing => false,
                Recent::Load => matches!(code, Code::RevokedKey | Code::DisabledKey),
                Recent::Changes(changes) => {
                    changes.iter().any(|change| self.would_accept(change, parsed, ask).is_some())
                }
            };
            if is_recent {
                verdict.code = Code::Revoking;
            }
        }
    }

    /// Refuses a key that is not in memory. It may have been deleted just now.
    #[inline]
    pub(crate) fn refuse_unknown(
        &self,
        parsed: &ParsedKey<'_>,
        request: &VerifyRequest<'_>,
        now: Moment,
        verdict: &mut Verdict,
    ) {
        verdict.code = Code::InvalidKey;
        verdict.unavailable = None;
        if self.pending.is_any() {
            self.refuse_deleted(parsed, request, now, verdict);
        }
    }

    #[cold]
    fn refuse_deleted(
        &self,
        parsed: &ParsedKey<'_>,
        request: &VerifyRequest<'_>,
        now: Moment,
        verdict: &mut Verdict,
    ) {
        let Recent::Changes(changes) = self.recent(parsed, None, verdict.lease) else { return };
        let accepted = changes.iter().find_map(|change| {
            let workspace = change.before.facts.workspace;
            let ask = Ask {
                now: now.wall,
                mode: request.mode,
                workspace_matches: request.workspace.is_none_or(|slug| self.state.has_slug(workspace, slug)),
                client: request.client,
                permissions: request.permissions,
            };
            self.would_accept(change, parsed, &ask)
        });
        if let Some(hit) = accepted {
            verdict.code = Code::Revoking;
            verdict.key = Some(hit);
        }
    }

    #[cold]
    fn recent(
        &self,
        parsed: &ParsedKey<'_>,
        wait: Option<keywright_domain::lease::LeaseTerm>,
        lease: LeaseEnd,
    ) -> Recent {
        if lease == LeaseEnd::NEVER {
            // There is no other node.
            return Recent::Nothing;
        }
        self.pending.recent(&parsed.locator(), wait, self.leases.stable(), self.clock.boot_ns())
    }

    /// Whether the key was good for this before the change, and what it was then.
    fn would_accept(&self, change: &Restriction, parsed: &ParsedKey<'_>, ask: &Ask) -> Option<KeyHit> {
        let before = &change.before;
        let (secret, pepper, digest) = before.secret(&parsed.locator())?;
        let presented = self.state.roots.load().peppers.digest_under(pepper, parsed.text())?;
        if !is_same(&digest, &presented) {
            return None;
        }
        let around = self.state.surroundings(&before.facts)?;
        let cold = ColdBytes::new(&before.cold);
        let networks: Vec<_> = cold.networks().collect();
        let workspace_networks = self.state.workspace_networks(around.standing)?;
        let facts = around.key_facts(&self.state, &before.facts, &secret);
        let facts = facts.with_ends(life::ends(&before.facts, cold.dates(), around.life));
        let facts = KeyFacts { networks: &networks, workspace_networks, ..facts };
        decide(&facts, ask).ok()?;
        Some(KeyHit {
            number: KeyNumber(before.number),
            id: KeyId::from_bytes(before.facts.id),
            workspace: WorkspaceNumber(before.facts.workspace),
            environment: before.facts.environment,
            permissions: facts.effective_permissions(),
            secret_ordinal: secret.ordinal,
        })
    }
}
