//! Why a verdict is what it is: every check, in order.

use keywright_domain::verdict::{Ask, Check, Code, KeyFacts};
use keywright_keyformat::parse;

use crate::{
    Engine, Moment, Verdict, VerifyRequest,
    cold::ColdBytes,
    index::LocatorHash,
    life, record,
    verify::{Found, Lookup, WithEnds as _},
};

/// A check of a verification, in order of [`Engine::explain`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExplainedCheck {
    /// Is the text a key, with the right checksum?
    Format,
    /// Is there such a key, and is the secret right?
    Secret,
    /// A check on the key.
    Key(Check),
    /// Is there enough left in all limit windows?
    Limits,
}

impl ExplainedCheck {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Secret => "secret",
            Self::Key(check) => check.as_str(),
            Self::Limits => "limits",
        }
    }
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// Passed.
    Passed,
    /// Refuses with this code. The first refusal decides.
    Refused(Code),
    /// Not made, because an earlier check left nothing to look at.
    NotMade,
}

impl Engine {
    /// Lists every check that led to `verdict`, which this request got at `now`. Spends and counts nothing. Checks on
    /// the key are all made, also those after the one that decided.
    pub fn explain(
        &self,
        request: &VerifyRequest<'_>,
        now: Moment,
        verdict: &Verdict,
    ) -> Vec<(ExplainedCheck, CheckOutcome)> {
        let mut checks = Vec::with_capacity(3 + Check::ALL.len());
        let parsed = parse(request.text, self.issuer_tag.as_ref()).ok();
        let outcome =
            |passed: bool, code| if passed { CheckOutcome::Passed } else { CheckOutcome::Refused(code) };
        checks.push((ExplainedCheck::Format, outcome(parsed.is_some(), Code::MalformedKey)));
        let roots = self.state.roots.load();
        let found = parsed.and_then(|parsed| {
            match self.lookup(&roots, &parsed, LocatorHash::of(&parsed.locator())) {
                Lookup::Found(found) => Some(found),
                Lookup::Unknown | Lookup::PepperMissing => None,
            }
        });
        let secret = if parsed.is_none() {
            CheckOutcome::NotMade
        } else {
            outcome(
                found.is_some(),
                if verdict.code == Code::Unavailable { verdict.code } else { Code::InvalidKey },
            )
        };
        checks.push((ExplainedCheck::Secret, secret));
        for check in Check::ALL {
            let outcome = found
                .as_ref()
                .map_or(CheckOutcome::NotMade, |found| self.explain_check(check, found, request, now));
            checks.push((ExplainedCheck::Key(check), outcome));
        }
        let limits = match verdict.code {
            Code::Valid => CheckOutcome::Passed,
            Code::RateLimited | Code::QuotaExceeded => CheckOutcome::Refused(verdict.code),
            _ => CheckOutcome::NotMade,
        };
        checks.push((ExplainedCheck::Limits, limits));
        checks
    }

    fn explain_check(
        &self,
        check: Check,
        found: &Found<'_>,
        request: &VerifyRequest<'_>,
        now: Moment,
    ) -> CheckOutcome {
        let facts = &found.reading.facts;
        let Some(around) = self.state.surroundings(facts) else { return CheckOutcome::NotMade };
        let mut bytes = Vec::new();
        self.state.arena.read_into(facts.blob, &mut bytes);
        if !record::still_holds(found.record, &found.reading) {
            return CheckOutcome::NotMade;
        }
        let cold = ColdBytes::new(&bytes);
        let networks: Vec<_> = cold.networks().collect();
        let Some(workspace_networks) = self.state.workspace_networks(around.standing) else {
            return CheckOutcome::NotMade;
        };
        let ask = Ask {
            now: now.wall,
            mode: request.mode,
            workspace_matches: request
                .workspace
                .is_none_or(|slug| self.state.has_slug(facts.workspace, slug)),
            client: request.client,
            permissions: request.permissions,
        };
        let ends = life::ends(facts, cold.dates(), around.life);
        let key_facts = found.key_facts(&self.state, &around).with_ends(ends);
        let key_facts = KeyFacts { networks: &networks, workspace_networks, ..key_facts };
        match check.run(&key_facts, &ask) {
            Ok(()) => CheckOutcome::Passed,
            Err(code) => CheckOutcome::Refused(code),
        }
    }
}
