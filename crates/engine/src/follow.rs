//! Following the log: applying changes in order, and what a restricting one leaves behind.

use std::collections::VecDeque;

use keywright_domain::{
    change::{Change, ChangeSink, KeyEnd, KeyView, NumberedChange, RetiredSecret, Tombstone},
    ids::KeyId,
    key::KeyNumber,
    lease::LeaseTerm,
};

use crate::{
    ApplyError, Engine, LeaseEnd,
    apply::{apply, locators_of, revoke},
    cold::ColdBytes,
    pending::{Before, ByTerm},
    record,
    state::{Phase, Writer},
};

/// Restricting changes of keys that are kept for re-assertion.
pub(crate) const TOMBSTONES_MAX: usize = 10_000;

/// How long a change is waited for at most, by lease term: 5/4 of the lease, and half a second.
pub(crate) const WAITS_NS: ByTerm<u64> = [
    wait_ns(LeaseTerm::ReadThrough),
    wait_ns(LeaseTerm::Short),
    wait_ns(LeaseTerm::Standard),
    wait_ns(LeaseTerm::Long),
];

const fn wait_ns(term: LeaseTerm) -> u64 {
    match term.seconds() as u64 {
        0 => 0,
        seconds => seconds * 1_250_000_000 + 500_000_000,
    }
}

impl Engine {
    /// Takes one piece of the state as the store has it. Plans, workspaces and memberships come before keys. Changes
    /// that are [committed](ChangeSink::committed) meanwhile wait until [`Self::finish_load`].
    ///
    /// # Errors
    /// [`ApplyError::NotFollowing`] after the load is finished, [`ApplyError::OutOfRange`].
    pub fn load(&self, change: &Change) -> Result<(), ApplyError> {
        let mut writer = self.writer.lock();
        if !matches!(writer.phase, Phase::Loading(_)) {
            return Err(ApplyError::NotFollowing);
        }
        apply(&self.state, &mut writer, change)
    }

    /// Ends the load: what was loaded reflects every change up to `sequence`. Changes that were committed meanwhile
    /// are applied.
    ///
    /// # Errors
    /// [`ApplyError`]; the engine answers nothing then.
    pub fn finish_load(&self, sequence: u64) -> Result<(), ApplyError> {
        let mut writer = self.writer.lock();
        if !matches!(writer.phase, Phase::Loading(_)) {
            self.give_up(&mut writer);
            return Err(ApplyError::NotFollowing);
        }
        let phase = std::mem::replace(&mut writer.phase, Phase::Following(sequence));
        let waiting = if let Phase::Loading(waiting) = phase { waiting } else { VecDeque::new() };
        let boot_ns = self.clock.boot_ns();
        self.pending.loaded(sequence, writer.waits_ns.map(|wait_ns| boot_ns.saturating_add(wait_ns)));
        self.leases.resume(sequence);
        self.state.prompts.loaded(sequence);
        waiting.iter().try_for_each(|change| self.follow(&mut writer, change))
    }

    /// Applies the next change. One that was applied before is ignored. Whatever it takes away is gone when this
    /// returns.
    ///
    /// # Errors
    /// [`ApplyError`]; all leases are dropped then, and the engine answers nothing any more.
    pub fn apply(&self, change: &NumberedChange) -> Result<(), ApplyError> {
        let mut writer = self.writer.lock();
        if let Phase::Loading(waiting) = &mut writer.phase {
            waiting.push_back(change.clone());
            return Ok(());
        }
        self.follow(&mut writer, change)
    }

    /// Applies those of `changes` that were not applied before, in order, and says how far the log is applied then.
    ///
    /// # Errors
    /// [`ApplyError::Gap`] when a change is missing: those before it are applied, nothing is lost, and the missing ones
    /// are to be fetched. [`ApplyError::NotFollowing`] while the state is loaded. [`ApplyError::OutOfRange`]; the engine
    /// answers nothing any more then.
    pub fn apply_from(&self, changes: &[NumberedChange]) -> Result<u64, ApplyError> {
        let mut writer = self.writer.lock();
        for change in changes {
            let Phase::Following(applied) = writer.phase else { return Err(ApplyError::NotFollowing) };
            if change.sequence > applied + 1 {
                return Err(ApplyError::Gap { expected: applied + 1, found: change.sequence });
            }
            self.follow(&mut writer, change)?;
        }
        match writer.phase {
            Phase::Following(applied) => Ok(applied),
            Phase::Loading(_) | Phase::Broken => Err(ApplyError::NotFollowing),
        }
    }

    /// Applies changes with consecutive numbers from `first`, each of which revoked one key and changed nothing else; those
    /// that were applied before are skipped. Says how far the log is applied then.
    ///
    /// # Errors
    /// As [`Self::apply_from`]; never [`ApplyError::OutOfRange`].
    pub fn revoke_from(&self, first: u64, keys: &[KeyNumber]) -> Result<u64, ApplyError> {
        let mut writer = self.writer.lock();
        for (sequence, number) in (first..).zip(keys) {
            let Phase::Following(applied) = writer.phase else { return Err(ApplyError::NotFollowing) };
            if sequence > applied + 1 {
                return Err(ApplyError::Gap { expected: applied + 1, found: sequence });
            }
            if sequence == applied + 1 {
                self.remember_revocation(&mut writer, sequence, *number);
                revoke(&self.state, *number);
                writer.phase = Phase::Following(sequence);
                self.leases.set_applied(sequence);
            }
        }
        match writer.phase {
            Phase::Following(applied) => Ok(applied),
            Phase::Loading(_) | Phase::Broken => Err(ApplyError::NotFollowing),
        }
    }

    fn follow(&self, writer: &mut Writer, change: &NumberedChange) -> Result<(), ApplyError> {
        let Phase::Following(applied) = writer.phase else { return Err(ApplyError::NotFollowing) };
        let expected = applied + 1;
        if change.sequence < expected {
            return Ok(());
        }
        let result = if change.sequence == expected {
            self.take_change(writer, change)
        } else {
            Err(ApplyError::Gap { expected, found: change.sequence })
        };
        if result.is_ok() {
            writer.phase = Phase::Following(expected);
            self.leases.set_applied(expected);
        } else {
            self.give_up(writer);
        }
        result
    }

    /// The state in memory is no longer the store's.
    fn give_up(&self, writer: &mut Writer) {
        writer.phase = Phase::Broken;
        self.leases.interrupt();
    }

    fn take_change(&self, writer: &mut Writer, change: &NumberedChange) -> Result<(), ApplyError> {
        let number = match &change.change {
            Change::Key(view) => Some(view.number),
            Change::KeyRemoved(number) => Some(*number),
            _ => None,
        };
        if let Some(number) = number.filter(|_| change.restricting) {
            let end = match &change.change {
                Change::Key(view) => end_of(view),
                _ => Some((KeyEnd::Removed, Vec::new())),
            };
            self.remember(writer, change.sequence, number, end);
        }
        if let Change::Prompts(workspace) = change.change {
            self.state.prompts.changed(workspace, change.sequence);
        }
        apply(&self.state, writer, &change.change)
    }

    fn remember_revocation(&self, writer: &mut Writer, sequence: u64, number: KeyNumber) {
        let record = self.state.records.get(number.0);
        let Some(facts) = record.and_then(record::read).map(|reading| reading.facts) else { return };
        let mut cold = Vec::new();
        if facts.has_other_secrets {
            self.state.arena.read_into(facts.blob, &mut cold);
        }
        let others = ColdBytes::new(&cold).others().filter(|other| other.retired);
        let retired = others.map(|other| RetiredSecret { ordinal: other.ordinal, locator: other.locator });
        let end = (KeyEnd::Revoked, retired.collect());
        self.remember(writer, sequence, number, Some(end));
    }

    /// Keeps what has to outlive a restricting change of a key. Comes before the change is seen.
    fn remember(&self, writer: &mut Writer, sequence: u64, number: KeyNumber, end: Option<End>) {
        let record = self.state.records.get(number.0);
        let Some(facts) = record.and_then(record::read).map(|reading| reading.facts) else { return };
        let Some(workspace) = self.state.workspace_name(facts.workspace).map(|name| name.id) else { return };
        if let Some((end, retired)) = end {
            let key = KeyId::from_bytes(facts.id);
            if writer.tombstones.len() >= TOMBSTONES_MAX {
                writer.tombstones.pop_front();
            }
            writer.tombstones.push_back(Tombstone { sequence, key, number, workspace, end, retired });
        }
        let standing = self.state.standing(facts.workspace);
        if standing.is_atomic() && self.leases.read().end(standing.lease()) != LeaseEnd::NEVER {
            let mut cold = Vec::new();
            self.state.arena.read_into(facts.blob, &mut cold);
            let locators = locators_of(&self.state, number.0);
            let boot_ns = self.clock.boot_ns();
            let until_ns = boot_ns.saturating_add(writer.waits_ns[standing.wait() as usize]);
            self.pending.prune(self.leases.stable(), boot_ns);
            let before = Before { number: number.0, facts, cold: cold.into(), locators };
            self.pending.add(sequence, until_ns, before);
        }
    }

    /// What restricting changes took from keys for good, oldest first; of those that this process has applied the last
    /// 10,000. To be brought into effect again when a fail-over may have lost some.
    pub fn tombstones(&self) -> Vec<Tombstone> {
        self.tombstones_after(0)
    }

    /// Those of [`Self::tombstones`] that are of changes after `sequence`.
    pub fn tombstones_after(&self, sequence: u64) -> Vec<Tombstone> {
        let writer = self.writer.lock();
        let begin = writer.tombstones.partition_point(|tombstone| tombstone.sequence <= sequence);
        writer.tombstones.range(begin..).cloned().collect()
    }

    /// Notes that every node has applied the log up to `sequence`.
    pub fn set_stable(&self, sequence: u64) {
        self.leases.set_stable(sequence);
        self.pending.prune(self.leases.stable(), self.clock.boot_ns());
    }

    /// Replaces the longest time that a change of a key in an atomic workspace counts as unknown to other nodes, by lease
    /// term, in nanoseconds. It has to be the time after which a revocation returns, which it is unless the leases are
    /// not the usual ones, as in tests.
    pub fn set_waits_ns(&self, waits_ns: [u64; LeaseTerm::ALL.len()]) {
        self.writer.lock().waits_ns = waits_ns;
    }

    /// The last change that is applied; 0 while the state is loaded, and after it was given up.
    pub fn applied(&self) -> u64 {
        self.leases.applied()
    }

    /// Whether the engine follows the store: loaded, and no change missed.
    pub fn is_following(&self) -> bool {
        matches!(self.writer.lock().phase, Phase::Following(_))
    }

    /// Opens or extends the permission to answer from memory, by lease term. Ignored unless the engine follows the
    /// store: whoever publishes leases has applied everything that they vouch for.
    pub fn set_leases(&self, ends: [LeaseEnd; LeaseTerm::ALL.len()]) {
        let writer = self.writer.lock();
        if matches!(writer.phase, Phase::Following(_)) {
            self.leases.set(ends);
        }
    }

    /// Takes back the permission to answer from memory.
    pub fn drop_leases(&self) {
        let _writer = self.writer.lock();
        self.leases.drop_all();
    }
}

/// What of a key ended for good.
type End = (KeyEnd, Vec<RetiredSecret>);

/// What of a key ended for good; `None` if nothing did.
fn end_of(view: &KeyView) -> Option<End> {
    let retired: Vec<_> = view
        .secrets
        .iter()
        .filter(|secret| secret.retired)
        .map(|secret| RetiredSecret { ordinal: secret.ordinal, locator: secret.locator })
        .collect();
    match (view.revoked, retired.is_empty()) {
        (true, _) => Some((KeyEnd::Revoked, retired)),
        (false, false) => Some((KeyEnd::SecretsOnly, retired)),
        (false, true) => None,
    }
}

/// The single node's way: the store calls this between the commit and its answer.
impl ChangeSink for Engine {
    /// Applies the changes. Should one not be applicable, the engine stops answering ([`Engine::is_following`]), which
    /// is the safe side of not knowing.
    fn committed(&self, changes: &[NumberedChange]) {
        let _broken = changes.iter().try_for_each(|change| self.apply(change));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_quarter_longer_than_the_lease_and_half_a_second() {
        assert_eq!(WAITS_NS, [0, 4_250_000_000, 38_000_000_000, 375_500_000_000]);
    }
}
