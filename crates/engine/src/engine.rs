//! The engine: its parts, its life, and the questions that are not verifications.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use keywright_domain::{
    command::Redigest,
    ids::{KeyId, WorkspaceId},
    key::{KeyNumber, SecretDigest},
    lease::LeaseTerm,
    permission::{Catalogue, PermissionSet, UnknownPermission},
    permit::Actor,
    principal::{Creator, MembershipNumber, Principal},
    query::LastUsed,
    time::{Clock, Timestamp},
    usage::AgentClass,
    verdict::Code,
    workspace::{ExpiredBy, WorkspaceNumber},
};
use keywright_keyformat::{IssuerTag, KeyKind, Locator, Malformed, parse};
use parking_lot::Mutex;

use crate::{
    KeyDetails, KeyHit, Located, Moment, PepperSet, Presumed, Spool, Trust, Unavailable, VerifyRequest,
    apply::{membership_principal, rebuild_index},
    cold::ColdBytes,
    index::LocatorHash,
    lease::Leases,
    pending::Pending,
    record::{self, Reading},
    redigest::Redigests,
    share::Sharing,
    state::{OTHER_LAST_USED, OTHER_ORDINAL, Phase, Roots, State, Writer},
};

/// What an engine is made of.
pub struct EngineOptions {
    /// The peppers.
    pub peppers: PepperSet,
    /// The tag inside the installation's keys, if it has one.
    pub issuer_tag: Option<IssuerTag>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where usage is counted.
    pub spool: Arc<Spool>,
}

/// The verification data plane: see the [crate](crate).
pub struct Engine {
    pub(crate) state: State,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) leases: Leases,
    pub(crate) issuer_tag: Option<IssuerTag>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) pending: Pending,
    pub(crate) redigests: Redigests,
    pub(crate) missing_peppers: AtomicU64,
    pub(crate) aligned_offset_ms: i64,
    pub(crate) sharing: Option<Box<Sharing>>,
}

/// The state of an engine in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineGauges {
    /// Keys in memory.
    pub keys: u64,
    /// Entries of the locator index: secrets, retired ones included.
    pub secrets: u64,
    /// Bytes of the locator index.
    pub index_bytes: u64,
    /// Bytes of metadata, networks and secrets beside the primary.
    pub cold_bytes: u64,
    /// Last change that is applied.
    pub applied_sequence: u64,
    /// Verifications that failed because a digest's pepper is not known.
    pub missing_peppers: u64,
}

/// Who makes a management call.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The actor, for a permit.
    pub actor: Actor,
    /// The key that was used, if it was one.
    pub key: Option<KeyHit>,
}

/// Why a credential is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: Code,
    /// What is wrong with the text, for [`Code::MalformedKey`].
    pub malformed: Option<Malformed>,
    /// The key, whenever the secret itself was right.
    pub key: Option<KeyHit>,
    /// What ended the key's life, for [`Code::ExpiredKey`].
    pub expired_by: Option<ExpiredBy>,
    /// Why nothing can be said, for [`Code::Unavailable`].
    pub unavailable: Option<Unavailable>,
}

impl Engine {
    /// An engine that knows no key and answers nothing: load it, then open its lease.
    pub fn new(options: EngineOptions) -> Self {
        let now = Moment::read(&*options.clock);
        let boot_ms = i64::try_from(now.boot_ns / 1_000_000).unwrap_or(i64::MAX);
        let state = State::new(options.peppers);
        state.credits.adopt(options.spool.left_slices());
        Self {
            state,
            writer: Mutex::new(Writer::new()),
            leases: Leases::default(),
            issuer_tag: options.issuer_tag,
            clock: options.clock,
            spool: options.spool,
            pending: Pending::default(),
            redigests: Redigests::default(),
            missing_peppers: AtomicU64::new(0),
            aligned_offset_ms: now.wall.unix_ms().saturating_sub(boot_ms),
            sharing: None,
        }
    }

    // --- life -----------------------------------------------------------------------------------------------------

    /// Makes room for `keys` keys, so that loading them does not grow tables step by step.
    pub fn reserve(&self, keys: usize) {
        let mut writer = self.writer.lock();
        let entries = writer.load.live + keys;
        if entries * 5 > self.state.roots.load().index.capacity() * 4 {
            rebuild_index(&self.state, &mut writer, entries);
        }
    }

    /// Whether the engine may answer from memory now, under the standard lease.
    pub fn is_ready(&self) -> bool {
        let vouched = self.leases.read();
        let lease = vouched.end(LeaseTerm::Standard);
        self.leases.vouch(&vouched, lease, Trust::Lease, || self.clock.boot_ns())
    }

    /// Replaces the peppers, for a rotation: new digests use the new set's current version.
    pub fn set_peppers(&self, peppers: PepperSet) {
        let _writer = self.writer.lock();
        let roots = self.state.roots.load();
        self.state.roots.store(Arc::new(Roots { index: Arc::clone(&roots.index), peppers }));
    }

    /// The digest under which a new secret is stored.
    pub fn digest(&self, text: &[u8]) -> SecretDigest {
        self.state.roots.load().peppers.digest(text)
    }

    /// The digest of a text under the pepper of this version, if this installation has it.
    pub fn digest_under(&self, version: u16, text: &[u8]) -> Option<[u8; 32]> {
        self.state.roots.load().peppers.digest_under(version, text)
    }

    /// Takes the digests that can be stored under the current pepper because their secrets were presented. Bounded;
    /// call it every few seconds and hand them to the store.
    pub fn take_redigests(&self) -> Vec<Redigest> {
        self.redigests.take()
    }

    /// Where usage is counted.
    pub fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// The state in numbers.
    pub fn gauges(&self) -> EngineGauges {
        let writer = self.writer.lock();
        let applied_sequence = if let Phase::Following(sequence) = writer.phase { sequence } else { 0 };
        EngineGauges {
            keys: writer.keys as u64,
            secrets: writer.load.live as u64,
            index_bytes: self.state.roots.load().index.capacity() as u64 * 8,
            cold_bytes: writer.allocator.live_bytes() as u64,
            applied_sequence,
            missing_peppers: self.missing_peppers.load(Relaxed),
        }
    }

    // --- callers --------------------------------------------------------------------------------------------------

    /// Recognizes who makes a management call: an operator credential, or a key. The call is counted for the key but
    /// spends nothing of its limits. Of `request`, `text`, `client`, `route`, `agent` and `trust` matter.
    ///
    /// # Errors
    /// [`Refusal`] with the code.
    pub fn authenticate(&self, request: &VerifyRequest<'_>, now: Moment) -> Result<Caller, Refusal> {
        let is_operator = request.text.starts_with(KeyKind::Operator.prefix().as_bytes());
        if is_operator {
            return self.authenticate_operator(request, now);
        }
        let verdict = self.verify_at(&VerifyRequest { cost: 0, ..*request }, now);
        let refusal = |code, unavailable| Refusal {
            code,
            malformed: verdict.malformed,
            key: verdict.key,
            expired_by: verdict.expired_by,
            unavailable,
        };
        if !verdict.is_valid() {
            return Err(refusal(verdict.code, verdict.unavailable));
        }
        let incomplete = refusal(Code::Unavailable, Some(Unavailable::Incomplete));
        let key = verdict.key.ok_or(incomplete)?;
        let details = self.details(&key, &mut Vec::new()).map(|details| (details.workspace, details.creator));
        let (workspace, creator) = details.ok_or(incomplete)?;
        let actor = Actor::Key { key: key.id, workspace, creator, permissions: key.permissions };
        Ok(Caller { actor, key: Some(key) })
    }

    fn authenticate_operator(&self, request: &VerifyRequest<'_>, now: Moment) -> Result<Caller, Refusal> {
        let vouched = self.leases.read();
        let recognized = self.recognize_operator(request.text, now);
        let lease = vouched.end(LeaseTerm::Standard);
        let is_malformed = matches!(&recognized, Err(refusal) if refusal.malformed.is_some());
        if is_malformed || self.leases.vouch(&vouched, lease, request.trust, || self.clock.boot_ns()) {
            return recognized;
        }
        Err(Refusal::without_key(Code::Unavailable, Some(Unavailable::Stale)))
    }

    fn recognize_operator(&self, text: &[u8], now: Moment) -> Result<Caller, Refusal> {
        let parsed = parse(text, self.issuer_tag.as_ref()).map_err(|malformed| Refusal {
            malformed: Some(malformed),
            ..Refusal::without_key(Code::MalformedKey, None)
        })?;
        let operators = self.state.operators.load();
        let unknown = Refusal::without_key(Code::InvalidKey, None);
        let operator = operators.get(&parsed.locator()).ok_or(unknown)?;
        let roots = self.state.roots.load();
        let pepper_missing = Refusal::without_key(Code::Unavailable, Some(Unavailable::PepperMissing));
        let digest = roots.peppers.digest_under(operator.digest.pepper, text).ok_or(pepper_missing)?;
        if !operator.digest.matches(&digest) {
            return Err(unknown);
        }
        if operator.expires_at.is_some_and(|end| now.wall >= end) {
            return Err(Refusal::without_key(Code::RevokedKey, None));
        }
        Ok(Caller { actor: Actor::Operator(operator.id), key: None })
    }

    // --- questions ------------------------------------------------------------------------------------------------

    /// What answers say about a key beyond the verdict. Texts are read into `buffer`, which is cleared first. `None`
    /// when the key was removed meanwhile.
    pub fn details<'a>(&'a self, key: &KeyHit, buffer: &'a mut Vec<u8>) -> Option<KeyDetails<'a>> {
        let record = self.state.records.get(key.number.0)?;
        let reading = loop {
            let reading = record::read(record)?;
            buffer.clear();
            self.state.arena.read_into(reading.facts.blob, buffer);
            if record::still_holds(record, &reading) {
                break reading;
            }
        };
        let facts = reading.facts;
        if facts.id != key.id.to_bytes() {
            return None;
        }
        let name = self.state.workspace_name(facts.workspace)?;
        let cold = ColdBytes::new(buffer);
        let principal =
            cold.creator().or_else(|| membership_principal(&self.state, facts.membership)).unwrap_or(
                // Unreachable while memberships are loaded before keys; an operator without identity may do nothing.
                Principal::Operator(keywright_domain::ids::OperatorId::from_bytes([0; 16])),
            );
        Some(KeyDetails {
            workspace: name.id,
            workspace_slug: &name.slug,
            creator: Creator { principal, membership: MembershipNumber(facts.membership) },
            external_id: cold.external_id(),
            metadata: cold.metadata(),
        })
    }

    /// The key that has a secret with this locator.
    pub fn locate(&self, locator: &Locator) -> Option<Located> {
        let roots = self.state.roots.load();
        roots.index.candidates(LocatorHash::of(locator)).find_map(|number| self.located(number, locator))
    }

    fn located(&self, number: u32, locator: &Locator) -> Option<Located> {
        let (reading, ordinals) = self.read_secrets(number)?;
        let ordinal = ordinals.into_iter().find(|(known, _)| known == locator)?.1;
        let workspace = self.state.workspace_name(reading.facts.workspace)?;
        Some(Located {
            number: KeyNumber(number),
            id: KeyId::from_bytes(reading.facts.id),
            workspace_number: WorkspaceNumber(reading.facts.workspace),
            workspace: workspace.id,
            secret_ordinal: ordinal,
        })
    }

    /// Whose key `text` would be, by its locator alone: for those who prepare an answer. Nothing is verified and nothing
    /// counted, so nothing may be told or given to whoever presents it.
    pub fn presume(&self, text: &[u8]) -> Option<Presumed<'_>> {
        let parsed = parse(text, self.issuer_tag.as_ref()).ok()?;
        let locator = parsed.locator();
        let roots = self.state.roots.load();
        let mut candidates = roots.index.candidates(LocatorHash::of(&locator));
        candidates.find_map(|number| self.presumed(number, &locator))
    }

    fn presumed(&self, number: u32, locator: &Locator) -> Option<Presumed<'_>> {
        let record = self.state.records.get(number)?;
        let (facts, is_it, principal) = loop {
            let reading = record::read(record)?;
            let facts = reading.facts;
            let (is_it, principal) = if facts.is_primary(locator) {
                (true, self.state.with_cold_start(facts.blob, |cold| cold.creator()))
            } else {
                self.state.with_cold_prefix(facts.blob, |cold| {
                    let mut others = cold.others();
                    (others.any(|other| other.locator == *locator), cold.creator())
                })
            };
            if record::still_holds(record, &reading) {
                break (facts, is_it, principal);
            }
        };
        let workspace = self.state.workspace_name(facts.workspace).filter(|_| is_it)?;
        let principal = principal.or_else(|| membership_principal(&self.state, facts.membership))?;
        Some(Presumed {
            id: KeyId::from_bytes(facts.id),
            workspace_number: WorkspaceNumber(facts.workspace),
            workspace: workspace.id,
            workspace_slug: &workspace.slug,
            creator: Creator { principal, membership: MembershipNumber(facts.membership) },
        })
    }

    /// A consistent reading of a record with the locators and ordinals of all its secrets, the primary first.
    fn read_secrets(&self, number: u32) -> Option<(Reading, Vec<(Locator, u16)>)> {
        let record = self.state.records.get(number)?;
        loop {
            let reading = record::read(record)?;
            let primary = reading.facts.primary_locator().map(|locator| (locator, reading.facts.ordinal));
            let mut secrets: Vec<(Locator, u16)> = primary.into_iter().collect();
            if reading.facts.has_other_secrets {
                self.state.with_cold_prefix(reading.facts.blob, |cold| {
                    secrets.extend(cold.others().map(|other| (other.locator, other.ordinal)));
                });
            }
            if record::still_holds(record, &reading) {
                return Some((reading, secrets));
            }
        }
    }

    /// The id of the key with this number.
    pub fn key_id(&self, number: KeyNumber) -> Option<KeyId> {
        let record = self.state.records.get(number.0)?;
        record::read(record).map(|reading| KeyId::from_bytes(reading.facts.id))
    }

    /// When the secrets of a key were last used in an accepted call since this process started, latest first. The
    /// address is in the access ledger only.
    pub fn last_used(&self, number: KeyNumber) -> Vec<LastUsed> {
        let Some(record) = self.state.records.get(number.0) else { return Vec::new() };
        let Some(reading) = record::read(record) else { return Vec::new() };
        let use_of = |word: u64, secret_ordinal: u16| LastUsed {
            at: Timestamp::from_unix_ms(i64::try_from(word >> 16).unwrap_or(i64::MAX)),
            address: None,
            agent: AgentClass::from_u8(word.to_le_bytes()[0]).unwrap_or_default(),
            secret_ordinal,
        };
        let mut uses = Vec::new();
        let primary = record::last_used(record).load(Relaxed);
        if primary != 0 {
            uses.push(use_of(primary, reading.facts.ordinal));
        }
        if let Some(row) =
            self.state.counters.get(reading.facts.counters).filter(|_| reading.facts.counters != 0)
        {
            let (word, ordinal) = (row[OTHER_LAST_USED].load(Relaxed), row[OTHER_ORDINAL].load(Relaxed));
            if word != 0 {
                uses.push(use_of(word, u16::try_from(ordinal).unwrap_or(u16::MAX)));
            }
        }
        uses.sort_by_key(|last| std::cmp::Reverse(last.at));
        uses
    }

    /// The workspace of this name.
    pub fn workspace_by_slug(&self, slug: &str) -> Option<(WorkspaceNumber, WorkspaceId)> {
        let number = *self.state.slugs.read().get(slug)?;
        Some((WorkspaceNumber(number), self.state.workspace_name(number)?.id))
    }

    /// The workspace of this name, unless it is suspended or deleted.
    pub fn working_workspace(&self, slug: &str) -> Option<WorkspaceId> {
        let (number, id) = self.workspace_by_slug(slug)?;
        (!self.state.standing(number.0).is_suspended()).then_some(id)
    }

    /// Whether a membership is known, and neither ended nor switched off.
    pub fn is_membership_active(&self, number: MembershipNumber) -> bool {
        self.state.is_membership_active(number.0)
    }

    /// What a member may do now; nothing when the membership is unknown or has ended.
    pub fn membership_permissions(&self, number: MembershipNumber) -> PermissionSet {
        self.state.membership_permissions(number.0)
    }

    /// Whether a workspace is, or was once, called `slug`.
    pub fn is_called(&self, number: WorkspaceNumber, slug: &str) -> bool {
        self.state.has_slug(number.0, slug)
    }

    /// The slug of a workspace.
    pub fn workspace_slug(&self, number: WorkspaceNumber) -> Option<&str> {
        self.state.workspace_name(number.0).map(|name| &*name.slug)
    }

    /// The permission catalogue as it is now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.state.catalogue.load().catalogue)
    }

    /// The set of the named permissions, without an allocation.
    ///
    /// # Errors
    /// [`UnknownPermission`] with the first name that the catalogue does not have.
    pub fn resolve<'name>(
        &self,
        names: impl IntoIterator<Item = &'name str>,
    ) -> Result<PermissionSet, UnknownPermission> {
        let catalogue = self.state.catalogue.load();
        names.into_iter().try_fold(PermissionSet::EMPTY, |set, name| {
            let bit = catalogue.bits.get(name).ok_or_else(|| UnknownPermission(name.to_owned()))?;
            Ok(set.with(*bit))
        })
    }
}

impl Refusal {
    const fn without_key(code: Code, unavailable: Option<Unavailable>) -> Self {
        Self { code, malformed: None, key: None, expired_by: None, unavailable }
    }
}
