//! The verification itself.
//!
//! Memory latency decides how long it takes, so each step asks for the memory of the next before it computes: the
//! index line is on its way while the clock is read and the text is checked, the record's lines and the usage entry
//! while the digest is computed.

use std::sync::{
    Arc,
    atomic::Ordering::{Acquire, Relaxed},
};

use arc_swap::Guard;
use ipnet::IpNet;
use keywright_domain::{
    caps,
    ids::KeyId,
    key::{KeyNumber, SecretDigest},
    lease::LeaseTerm,
    permission::PermissionSet,
    time::Timestamp,
    usage::AgentClass,
    verdict::{Ask, Code, KeyFacts, decide},
    workspace::WorkspaceNumber,
};
use keywright_keyformat::{BODY_LENGTH, KeyKind, Locator, ParsedKey, parse};
use subtle::ConstantTimeEq;

use crate::{
    Engine, KeyHit, Moment, Spool, Trust, Unavailable, UsageEvent, Verdict, VerifyRequest,
    apply::limit_sets_of,
    arena::BlobRef,
    cold::{ColdBytes, PREFIX_BYTES_MAX, START_BYTES_MAX},
    credit::Hold,
    index::LocatorHash,
    lease::Vouched,
    life::PolicyEnds,
    record::{self, Facts, Reading, Record},
    spool::Place,
    state::{
        OFF, OTHER_LAST_USED, OTHER_ORDINAL, PRESENT, QUIET, Roots, Standing, State, WORKSPACE_LIFE, load_set,
    },
};

/// What the stored secret is, beside its digest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundSecret {
    pub(crate) ordinal: u16,
    pub(crate) retired: bool,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) is_primary: bool,
}

/// A key that has the presented locator.
pub(crate) struct Found<'state> {
    pub(crate) number: u32,
    pub(crate) record: &'state Record,
    pub(crate) reading: Reading,
    pub(crate) secret: FoundSecret,
    /// The digest of a secret beside the primary, whose digest is in the reading.
    other_digest: Option<SecretDigest>,
}

/// What is known before the text is judged.
struct Ahead {
    vouched: Vouched,
    roots: Guard<Arc<Roots>>,
    hash: LocatorHash,
}

/// Whether a judgement holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    Done,
    /// The key was changed meanwhile and has to be looked up again.
    Changed,
    /// The lease of the key's workspace is not held.
    NoLease,
    /// A share of a limit, or of a balance, has to be drawn first.
    NoShare,
}

/// What a lookup comes to.
pub(crate) enum Lookup<'state> {
    Found(Found<'state>),
    /// No such locator, or the secret part is wrong.
    Unknown,
    /// The digest was made under a pepper that this process does not have.
    PepperMissing,
}

/// What the key's surroundings say.
pub(crate) struct Surroundings {
    pub(crate) creator_permissions: PermissionSet,
    pub(crate) creator_ended: bool,
    pub(crate) workspace_permissions: PermissionSet,
    pub(crate) standing: Standing,
    pub(crate) plan_limits: [u32; 2],
    /// How long keys live; see [`crate::life`].
    pub(crate) life: u64,
}

impl Engine {
    /// Verifies a presented key, now.
    pub fn verify(&self, request: &VerifyRequest<'_>) -> Verdict {
        let ahead = self.look_ahead(request.text);
        self.verify_ahead(request, Moment::read(&*self.clock), &ahead)
    }

    /// Verifies a presented key at a given moment.
    ///
    /// In this order: parse and checksum, digest and record, the lease of the key's workspace, the decision of
    /// [`keywright_domain::verdict::decide`], limits, count, lease again. A key that is not known is answered under the
    /// standard lease.
    pub fn verify_at(&self, request: &VerifyRequest<'_>, now: Moment) -> Verdict {
        self.verify_ahead(request, now, &self.look_ahead(request.text))
    }

    /// Asks for the index line of what may be a key, before anything is known about it.
    #[inline]
    fn look_ahead(&self, text: &[u8]) -> Ahead {
        // Leases are read before the record: a record read later reflects at least what they vouch for. Which of them
        // applies, the record's workspace tells.
        let vouched = self.leases.read();
        let roots = self.state.roots.load();
        let locator = text.split_last_chunk::<BODY_LENGTH>().and_then(|(_, body)| body.first_chunk());
        let hash = LocatorHash::of_bytes(locator.unwrap_or(&[0; 12]));
        roots.index.prefetch(hash);
        Ahead { vouched, roots, hash }
    }

    #[inline]
    fn verify_ahead(&self, request: &VerifyRequest<'_>, now: Moment, ahead: &Ahead) -> Verdict {
        let parsed = match parse(request.text, self.issuer_tag.as_ref()) {
            Ok(parsed) if parsed.kind() != KeyKind::Operator => parsed,
            Ok(_) => return Verdict::refused(Code::InvalidKey),
            Err(malformed) => return Verdict::malformed(malformed),
        };
        let place = self.spool.place(ahead.hash.bits(), now.wall, request.client, request.route);
        let standard = ahead.vouched.end(LeaseTerm::Standard);
        let mut verdict = Verdict::unavailable(Unavailable::Incomplete, ahead.vouched.as_of, standard);
        let mut hold = None;
        loop {
            match self.lookup(&ahead.roots, &parsed, ahead.hash) {
                Lookup::Unknown => {
                    self.refuse_unknown(&parsed, request, now, &mut verdict);
                    break;
                }
                Lookup::PepperMissing => {
                    verdict.unavailable = Some(Unavailable::PepperMissing);
                    break;
                }
                Lookup::Found(found) => {
                    Spool::approach(&place);
                    let moment = (now, &ahead.vouched);
                    match self.judge(&found, &parsed, request, moment, &mut verdict, &mut hold) {
                        Judged::Changed => continue,
                        Judged::NoLease | Judged::NoShare => break,
                        Judged::Done => {}
                    }
                    self.count(&place, ahead.hash, &found, verdict.code, request, now);
                    break;
                }
            }
        }
        let holds = self.leases.vouch(&ahead.vouched, verdict.lease, request.trust, || self.clock.boot_ns());
        if let (Some(hold), Some(key)) = (hold, verdict.key) {
            self.end_hold(key.number.0, hold, holds && verdict.code == Code::Valid, &mut verdict);
        }
        if holds {
            verdict
        } else {
            Verdict::unavailable(Unavailable::Stale, ahead.vouched.as_of, verdict.lease)
        }
    }

    /// Finds the key and checks the secret.
    #[inline]
    pub(crate) fn lookup(&self, roots: &Roots, parsed: &ParsedKey<'_>, hash: LocatorHash) -> Lookup<'_> {
        let mut candidates = roots.index.candidates(hash);
        let Some(first) = candidates.next() else { return Lookup::Unknown };
        self.state.records.prefetch(first);
        let digest = roots.peppers.outer(&roots.peppers.inner(parsed.text()));
        for number in std::iter::once(first).chain(candidates) {
            let Some(found) = self.candidate(number, parsed) else { continue };
            let is_current_and_same = found.other_digest.is_none()
                && found.reading.facts.pepper == roots.peppers.current_version()
                && is_same(&found.reading.facts.digest, &digest);
            return if is_current_and_same {
                Lookup::Found(found)
            } else {
                self.compare(roots, parsed, &digest, found)
            };
        }
        Lookup::Unknown
    }

    /// Compares with what is not the primary's digest under the current pepper; or it was that, and differed.
    #[cold]
    #[inline(never)]
    fn compare<'a>(
        &self,
        roots: &Roots,
        parsed: &ParsedKey<'_>,
        digest: &[u8; 32],
        found: Found<'a>,
    ) -> Lookup<'a> {
        let facts = &found.reading.facts;
        let stored = found.other_digest.unwrap_or(SecretDigest { pepper: facts.pepper, bytes: facts.digest });
        let current = roots.peppers.current_version();
        if stored.pepper == current {
            return if is_same(&stored.bytes, digest) { Lookup::Found(found) } else { Lookup::Unknown };
        }
        let Some(older) = roots.peppers.digest_under(stored.pepper, parsed.text()) else {
            self.missing_peppers.fetch_add(1, Relaxed);
            return Lookup::PepperMissing;
        };
        if !is_same(&stored.bytes, &older) {
            return Lookup::Unknown;
        }
        let new = SecretDigest { pepper: current, bytes: *digest };
        self.redigests.offer(facts.id, found.secret.ordinal, stored, new);
        Lookup::Found(found)
    }

    /// The record of a candidate row, if one of its secrets has the presented locator.
    #[inline]
    fn candidate(&self, number: u32, parsed: &ParsedKey<'_>) -> Option<Found<'_>> {
        let record = self.state.records.get(number)?;
        let reading = record::read(record)?;
        if !reading.facts.is_primary(&parsed.locator()) {
            return self.candidate_with_others(number, record, &parsed.locator());
        }
        let secret = FoundSecret::primary(reading.facts.ordinal);
        Some(Found { number, record, reading, secret, other_digest: None })
    }

    /// The record of a candidate row, if one of its secrets has this locator.
    pub(crate) fn candidate_by_locator(&self, number: u32, locator: &Locator) -> Option<Found<'_>> {
        self.candidate_with_others(number, self.state.records.get(number)?, locator)
    }

    /// Looks among the secrets beside the primary, too.
    #[cold]
    #[inline(never)]
    fn candidate_with_others<'a>(
        &self,
        number: u32,
        record: &'a Record,
        locator: &Locator,
    ) -> Option<Found<'a>> {
        loop {
            let reading = record::read(record)?;
            let facts = &reading.facts;
            if facts.is_primary(locator) {
                let secret = FoundSecret::primary(facts.ordinal);
                return Some(Found { number, record, reading, secret, other_digest: None });
            }
            if !facts.has_other_secrets {
                return None;
            }
            let found = self
                .state
                .with_cold_prefix(facts.blob, |cold| cold.others().find(|other| other.locator == *locator));
            if record::still_holds(record, &reading) {
                let other = found?;
                let secret = FoundSecret {
                    ordinal: other.ordinal,
                    retired: other.retired,
                    expires_at: other.expires_at,
                    is_primary: false,
                };
                return Some(Found { number, record, reading, secret, other_digest: Some(other.digest) });
            }
        }
    }

    /// The decision, and then the limits.
    #[inline]
    fn judge(
        &self,
        found: &Found<'_>,
        parsed: &ParsedKey<'_>,
        request: &VerifyRequest<'_>,
        (now, vouched): (Moment, &Vouched),
        verdict: &mut Verdict,
        hold: &mut Option<Hold>,
    ) -> Judged {
        let facts = &found.reading.facts;
        let Some(around) = self.state.surroundings(facts) else { return Judged::Done };
        verdict.lease = vouched.end(around.standing.lease());
        if !verdict.lease.holds_at(now.boot_ns) && request.trust == Trust::Lease {
            return Judged::NoLease;
        }
        let ask = Ask {
            now: now.wall,
            mode: request.mode,
            workspace_matches: request
                .workspace
                .is_none_or(|slug| self.state.has_slug(facts.workspace, slug)),
            client: request.client,
            permissions: request.permissions,
        };
        let Some(ends) = self.state.policy_ends(found, around.life) else { return Judged::Changed };
        let Some(workspace_networks) = self.state.workspace_networks(around.standing) else {
            return Judged::Done;
        };
        let key_facts =
            KeyFacts { workspace_networks, ..found.key_facts(&self.state, &around).with_ends(ends) };
        verdict.key = Some(KeyHit {
            number: KeyNumber(found.number),
            id: KeyId::from_bytes(facts.id),
            workspace: WorkspaceNumber(facts.workspace),
            environment: facts.environment,
            permissions: key_facts.effective_permissions(),
            secret_ordinal: found.secret.ordinal,
        });
        let decided = if facts.has_networks {
            match self.state.decide_with_networks(found, key_facts, &ask) {
                Some(decided) => decided,
                None => return Judged::Changed,
            }
        } else {
            decide(&key_facts, &ask)
        };
        match decided {
            Ok(()) => {
                if request.credits > 0 {
                    *hold = self.take_credits(found.number, request, now, verdict);
                    if hold.is_none() {
                        return if verdict.needs_credits() { Judged::NoShare } else { Judged::Done };
                    }
                }
                self.spend(found, &around, request, now, verdict);
                if verdict.needs_share() {
                    return Judged::NoShare;
                }
            }
            Err(code) => {
                self.refuse(code, &around, parsed, &ask, verdict);
                if verdict.code == Code::ExpiredKey {
                    verdict.expired_by = key_facts.expired_by(now.wall);
                }
            }
        }
        Judged::Done
    }

    /// Counts the verification, before it is answered.
    #[inline]
    fn count(
        &self,
        place: &Place,
        hash: LocatorHash,
        found: &Found<'_>,
        code: Code,
        request: &VerifyRequest<'_>,
        now: Moment,
    ) {
        if self.state.is_quiet(found.reading.facts.membership) {
            return self.count_quietly(hash, found, code, request, now);
        }
        self.count_at(place, hash, found, code, request, now);
    }

    #[inline]
    fn count_at(
        &self,
        place: &Place,
        hash: LocatorHash,
        found: &Found<'_>,
        code: Code,
        request: &VerifyRequest<'_>,
        now: Moment,
    ) {
        let is_valid = code == Code::Valid;
        let event = UsageEvent {
            key: KeyNumber(found.number),
            secret_ordinal: found.secret.ordinal,
            address: request.client,
            route: request.route,
            code,
            agent: request.agent,
            at: now.wall,
        };
        self.spool.record_at(place, hash.bits(), &event, if is_valid { request.cost } else { 0 });
        if is_valid {
            self.state.touch(found, request, now.wall);
        }
    }

    /// Counts the verification of a key whose creator opted out of collection: without where from and with what.
    #[cold]
    fn count_quietly(
        &self,
        hash: LocatorHash,
        found: &Found<'_>,
        code: Code,
        request: &VerifyRequest<'_>,
        now: Moment,
    ) {
        let request = VerifyRequest { client: None, agent: AgentClass::Unknown, ..*request };
        let place = self.spool.place(hash.bits(), now.wall, None, request.route);
        self.count_at(&place, hash, found, code, &request, now);
    }
}

impl FoundSecret {
    /// The secret in the record itself, which neither ends nor is retired.
    pub(crate) fn primary(ordinal: u16) -> Self {
        Self { ordinal, retired: false, expires_at: None, is_primary: true }
    }
}

impl Found<'_> {
    pub(crate) fn key_facts(&self, state: &State, around: &Surroundings) -> KeyFacts<'static> {
        around.key_facts(state, &self.reading.facts, &self.secret)
    }
}

impl Surroundings {
    /// What is known of a key in these surroundings, but for the networks and for what a policy says about its life.
    #[inline]
    pub(crate) fn key_facts(&self, state: &State, facts: &Facts, secret: &FoundSecret) -> KeyFacts<'static> {
        let around = self;
        KeyFacts {
            revoked: facts.revoked,
            secret_retired: secret.retired,
            disabled: facts.disabled || around.creator_ended,
            expires_at: facts.expires_at,
            life_ends_at: None,
            rotation_overdue_at: None,
            secret_expires_at: secret.expires_at,
            mode: facts.environment.mode(),
            workspace_suspended: around.standing.is_suspended(),
            permissions: state.permission_set(facts.permissions),
            creator_permissions: around.creator_permissions,
            workspace_permissions: around.workspace_permissions,
            networks: &[],
            workspace_networks: &[],
        }
    }
}

/// Facts with the ends that the workspace's policy sets.
pub(crate) trait WithEnds {
    fn with_ends(self, ends: PolicyEnds) -> Self;
}

impl WithEnds for KeyFacts<'_> {
    #[inline]
    fn with_ends(self, ends: PolicyEnds) -> Self {
        let PolicyEnds { life_ends_at, rotation_overdue_at } = ends;
        Self { life_ends_at, rotation_overdue_at, ..self }
    }
}

impl State {
    /// What the key's workspace and creator say; `None` when one of them is not in memory.
    #[inline]
    pub(crate) fn surroundings(&self, facts: &Facts) -> Option<Surroundings> {
        let workspace = self.workspaces.get(facts.workspace)?;
        let membership = self.memberships.get(facts.membership)?;
        let (workspace_flags, membership_flags) = (workspace[0].load(Acquire), membership[0].load(Acquire));
        if workspace_flags & membership_flags & PRESENT == 0 {
            return None;
        }
        Some(Surroundings {
            creator_permissions: load_set(&membership[1..5]),
            creator_ended: membership_flags & OFF != 0,
            workspace_permissions: load_set(&workspace[1..5]),
            standing: Standing::of_flags(workspace_flags),
            plan_limits: limit_sets_of(workspace[5].load(Acquire)),
            life: workspace[WORKSPACE_LIFE].load(Acquire),
        })
    }

    /// Whether the member opted out of collection.
    #[inline]
    pub(crate) fn is_quiet(&self, membership: u32) -> bool {
        self.memberships.get(membership).is_some_and(|row| row[0].load(Relaxed) & QUIET != 0)
    }

    pub(crate) fn is_membership_active(&self, number: u32) -> bool {
        let flags = self.memberships.get(number).map_or(0, |row| row[0].load(Acquire));
        flags & (PRESENT | OFF) == PRESENT
    }

    /// What a member may do now; nothing when the membership is unknown or off.
    pub(crate) fn membership_permissions(&self, number: u32) -> PermissionSet {
        let Some(row) = self.memberships.get(number) else { return PermissionSet::EMPTY };
        let flags = row[0].load(Acquire);
        if flags & PRESENT == 0 || flags & OFF != 0 { PermissionSet::EMPTY } else { load_set(&row[1..5]) }
    }

    pub(crate) fn has_slug(&self, workspace: u32, slug: &str) -> bool {
        let row = self.workspaces.get(workspace);
        row.and_then(|row| self.name_in(row)).is_some_and(|name| name.is_called(slug))
    }

    /// Hands the first part of a blob, where secrets and networks are, to `read`. No allocation: this is on the path
    /// of keys with networks and of secrets beside the primary.
    pub(crate) fn with_cold_prefix<T>(&self, blob: BlobRef, read: impl FnOnce(ColdBytes<'_>) -> T) -> T {
        self.with_cold::<PREFIX_BYTES_MAX, T>(blob, read)
    }

    /// Hands the beginning of a blob, where creator and dates are, to `read`.
    pub(crate) fn with_cold_start<T>(&self, blob: BlobRef, read: impl FnOnce(ColdBytes<'_>) -> T) -> T {
        self.with_cold::<START_BYTES_MAX, T>(blob, read)
    }

    fn with_cold<const BYTES: usize, T>(&self, blob: BlobRef, read: impl FnOnce(ColdBytes<'_>) -> T) -> T {
        let mut bytes = [0; BYTES];
        let length = blob.length_bytes().min(BYTES);
        for (piece, word) in bytes.chunks_mut(8).zip(self.arena.words_of(blob)) {
            piece.copy_from_slice(&word.load(Relaxed).to_le_bytes()[..piece.len()]);
        }
        read(ColdBytes::new(&bytes[..length]))
    }

    /// The decision for a key with networks, which lie in the cold part. `None` when the key was changed meanwhile.
    #[inline(never)]
    pub(crate) fn decide_with_networks(
        &self,
        found: &Found<'_>,
        facts: KeyFacts<'_>,
        ask: &Ask,
    ) -> Option<Result<(), Code>> {
        self.with_cold_prefix(found.reading.facts.blob, |cold| {
            let mut networks = [IpNet::default(); caps::NETWORKS_MAX];
            let mut count = 0;
            for (place, network) in networks.iter_mut().zip(cold.networks()) {
                *place = network;
                count += 1;
            }
            if !record::still_holds(found.record, &found.reading) {
                return None;
            }
            if count == 0 {
                // Networks that cannot be read are a defect, and an empty list would mean any network.
                return Some(Err(Code::Unavailable));
            }
            Some(decide(&KeyFacts { networks: &networks[..count], ..facts }, ask))
        })
    }

    /// Notes the use of a secret.
    #[inline]
    fn touch(&self, found: &Found<'_>, request: &VerifyRequest<'_>, at: Timestamp) {
        let word = if found.secret.is_primary {
            record::last_used(found.record)
        } else {
            let row =
                self.counters.get(found.reading.facts.counters).filter(|_| found.reading.facts.counters != 0);
            let Some(row) = row else { return };
            if row[OTHER_ORDINAL].load(Relaxed) != u64::from(found.secret.ordinal) {
                return;
            }
            &row[OTHER_LAST_USED]
        };
        let used = pack_use(at, request.agent as u8);
        if word.load(Relaxed) < used {
            // Of two calls in the same instant, the one that is a millisecond older may have the last word.
            word.store(used, Relaxed);
        }
    }
}

/// Compares digests in constant time, a word at a time.
#[inline]
pub(crate) fn is_same(stored: &[u8; 32], presented: &[u8; 32]) -> bool {
    let (stored, presented) = (stored.as_chunks::<8>().0, presented.as_chunks::<8>().0);
    let difference = stored
        .iter()
        .zip(presented)
        .fold(0, |difference, (a, b)| difference | (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)));
    difference.ct_eq(&0).into()
}

/// A use in one word that grows with time: milliseconds, then the agent class.
pub(crate) fn pack_use(at: Timestamp, agent: u8) -> u64 {
    u64::try_from(at.unix_ms()).unwrap_or(0) << 16 | u64::from(agent)
}
