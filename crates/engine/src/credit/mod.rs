//! Credits that this node may spend: slices of balances, drawn from the store before (escrow, as with
//! [`keywright_domain::pool`]).
//!
//! A call that asks for credits takes them from the slice of its key's account, without a lock, before its limits are
//! asked; what is refused afterwards, for whatever reason, goes back. A call that finds none gets
//! [`Unavailable::Credits`](crate::Unavailable::Credits), which nobody answers: whoever asked draws
//! ([`Engine::missing_credits`], [`Engine::begin_slice`], [`Engine::deposit`]) and asks again.
//!
//! Slices end: when another takes over, when nobody took from them for a while, and with the process. Then the store hears
//! how much of them was spent ([`Engine::ended_slices`], [`Engine::settled_slices`]); what a killed process left is told by
//! the next one.

pub(crate) mod ledger;
mod slice;

use std::{collections::HashMap, sync::Arc};

use arc_swap::{ArcSwap, ArcSwapOption};
use keywright_domain::{
    credit::{CreditGrant, CreditSettlement, CreditSubject},
    ids::{CreditAccountId, WorkspaceId},
    key::KeyNumber,
    verdict::Code,
};
use parking_lot::Mutex;

use self::{
    ledger::{Ledger, Slot},
    slice::Slice,
};
use crate::{Engine, Moment, Unavailable, Verdict, VerifyRequest};

const SHARDS: usize = 64;
/// How long it is believed whose account a key spends from: another node may have opened one of its own.
const BOUND_NS: u64 = 10_000_000_000;
/// How long it is believed that too little is left.
const REFUSED_NS: u64 = 100_000_000;
/// A slice ends after this, however busy it is.
const SLICE_LIFE_NS: u64 = 3_600_000_000_000;
/// A slice of which nobody knows whether it was drawn is told to the store after this: the draw must be over by then.
const DOUBT_NS: u64 = 30_000_000_000;
/// A slice should last for about so long.
const HORIZON_NS: u64 = 1_000_000_000;
/// Most units of one slice that are drawn ahead.
const WANT_MAX: u64 = 1 << 20;

/// Which key spends from which account, and what is left here of each.
pub(crate) struct CreditBook {
    /// By the key's number.
    bindings: [ArcSwap<HashMap<u32, Binding>>; SHARDS],
    purses: Mutex<HashMap<CreditAccountId, Arc<Purse>>>,
    ending: Mutex<Vec<Ending>>,
}

#[derive(Clone)]
struct Binding {
    purse: Option<Arc<Purse>>,
    until_ns: u64,
    /// So much was refused, and is until then.
    refused: Option<(u32, u64)>,
}

/// An account as this node knows it.
struct Purse {
    slice: ArcSwapOption<Slice>,
    /// What was left in the balance after the last draw.
    left: std::sync::atomic::AtomicU64,
}

/// A slice that is about to be told to the store.
enum Ending {
    Slice(Arc<Slice>),
    Slot { slot: Slot, from_ns: u64 },
}

/// Credits that a call has taken; it must say what becomes of them.
pub(crate) struct Hold {
    slice: Arc<Slice>,
    units: u32,
}

/// The credits of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditReading {
    /// What the call spent.
    pub spent: u32,
    /// What is left here and, as of this node's last draw, in the balance: others may have spent since.
    pub remaining: u64,
}

/// What has to be drawn before a call can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingCredits {
    /// The key.
    pub key: KeyNumber,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Whose credits it spends: of the first that has an account.
    pub subjects: Vec<CreditSubject>,
    /// How many.
    pub units: u32,
}

/// What a deposit came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deposit {
    /// Ask again.
    Done,
    /// Enough is left, but part of it was here: it was given back, so settle what ended, and draw again.
    DrawAgain,
}

enum Taken {
    Hold(Hold),
    Refused { remaining: u64 },
    Missing,
}

impl Default for CreditBook {
    fn default() -> Self {
        Self {
            bindings: std::array::from_fn(|_| ArcSwap::default()),
            purses: Mutex::default(),
            ending: Mutex::default(),
        }
    }
}

impl CreditBook {
    fn shard(&self, key: u32) -> &ArcSwap<HashMap<u32, Binding>> {
        &self.bindings[key as usize % SHARDS]
    }

    fn take(&self, key: u32, units: u32, now_ns: u64) -> Taken {
        let shard = self.shard(key).load();
        let Some(binding) = shard.get(&key).filter(|binding| now_ns < binding.until_ns) else {
            return Taken::Missing;
        };
        if let Some(purse) = &binding.purse
            && let Some(slice) = purse.slice.load_full()
            && slice.take(units)
        {
            return Taken::Hold(Hold { slice, units });
        }
        match binding.refused {
            Some((least, until_ns)) if units >= least && now_ns < until_ns => {
                Taken::Refused { remaining: binding.remaining() }
            }
            _ => Taken::Missing,
        }
    }

    fn remaining(&self, key: u32) -> u64 {
        self.shard(key).load().get(&key).map_or(0, Binding::remaining)
    }

    fn bind(&self, key: u32, binding: &Binding) {
        self.shard(key).rcu(|shard| {
            let mut next = HashMap::clone(shard);
            next.insert(key, binding.clone());
            next
        });
    }

    /// The key was changed: whose credits it spends is asked again.
    pub(crate) fn unbind(&self, key: u32) {
        if self.shard(key).load().contains_key(&key) {
            self.shard(key).rcu(|shard| {
                let mut next = HashMap::clone(shard);
                next.remove(&key);
                next
            });
        }
    }

    fn unbind_all(&self) {
        self.bindings.iter().for_each(|shard| shard.store(Arc::default()));
    }

    /// What an earlier process left is to be told to the store.
    pub(crate) fn adopt(&self, left: Vec<Slot>) {
        self.ending.lock().extend(left.into_iter().map(|slot| Ending::Slot { slot, from_ns: 0 }));
    }

    fn end(&self, slice: Option<Arc<Slice>>) {
        if let Some(slice) = slice {
            slice.close();
            self.ending.lock().push(Ending::Slice(slice));
        }
    }
}

impl Binding {
    fn remaining(&self) -> u64 {
        let Some(purse) = &self.purse else { return 0 };
        let here = purse.slice.load().as_ref().map_or(0, |slice| slice.left());
        purse.left.load(std::sync::atomic::Ordering::Relaxed).saturating_add(here.into())
    }
}

impl Hold {
    pub(crate) fn spend(self, ledger: &Ledger) {
        self.slice.spend(ledger, self.units);
    }

    pub(crate) fn give_back(self) {
        self.slice.give_back(self.units);
    }
}

impl Engine {
    /// Takes the credits that a call asks for. `None`: the verdict says why not.
    #[cold]
    pub(crate) fn take_credits(
        &self,
        key: u32,
        request: &VerifyRequest<'_>,
        now: Moment,
        verdict: &mut Verdict,
    ) -> Option<Hold> {
        match self.state.credits.take(key, request.credits, now.boot_ns) {
            Taken::Hold(hold) => return Some(hold),
            Taken::Refused { remaining } => {
                verdict.code = Code::QuotaExceeded;
                verdict.credits = Some(CreditReading { spent: 0, remaining });
            }
            Taken::Missing => {
                verdict.code = Code::Unavailable;
                verdict.unavailable = Some(Unavailable::Credits);
            }
        }
        None
    }

    /// Ends a call that took credits: they are spent if it `is_accepted`, and go back otherwise.
    #[cold]
    pub(crate) fn end_hold(&self, key: u32, hold: Hold, is_accepted: bool, verdict: &mut Verdict) {
        let spent = if is_accepted { hold.units } else { 0 };
        if is_accepted {
            hold.spend(self.spool.credits());
        } else {
            hold.give_back();
        }
        verdict.credits = Some(CreditReading { spent, remaining: self.state.credits.remaining(key) });
    }

    /// What has to be drawn before `request`, which got `verdict`, can be answered. `None` unless the verdict is
    /// [`Unavailable::Credits`], or when the key is gone.
    pub fn missing_credits(&self, verdict: &Verdict, request: &VerifyRequest<'_>) -> Option<MissingCredits> {
        let hit = verdict.key.filter(|_| verdict.needs_credits())?;
        let mut buffer = Vec::new();
        let details = self.details(&hit, &mut buffer)?;
        let external = details.external_id.map(|id| CreditSubject::External(id.to_owned()));
        Some(MissingCredits {
            key: hit.number,
            workspace: details.workspace,
            subjects: std::iter::once(CreditSubject::Key(hit.id)).chain(external).collect(),
            units: request.credits,
        })
    }

    /// Whether there is nothing to draw, because somebody else did.
    pub fn has_credits(&self, missing: &MissingCredits, now: Moment) -> bool {
        let key = missing.key.0;
        let shard = self.state.credits.shard(key).load();
        let binding = shard.get(&key).filter(|binding| now.boot_ns < binding.until_ns);
        binding.and_then(|binding| binding.purse.as_ref()).is_some_and(|purse| purse.has(missing.units))
    }

    /// How many units the node will want beyond what a call waits for: fourfold if the last slice was gone in no time.
    pub fn credits_wanted(&self, missing: &MissingCredits, now: Moment) -> u64 {
        let shard = self.state.credits.shard(missing.key.0).load();
        let purse = shard.get(&missing.key.0).and_then(|binding| binding.purse.as_ref());
        let Some(last) = purse.and_then(|purse| purse.slice.load_full()) else { return 0 };
        let spent = u64::from(last.units.saturating_sub(last.left())) + u64::from(missing.units);
        match now.boot_ns.saturating_sub(last.drawn_ns) {
            ..HORIZON_NS => (spent * 4).min(WANT_MAX),
            lasted_ns => (spent * HORIZON_NS / lasted_ns).min(WANT_MAX),
        }
    }

    /// Notes that a slice with this id is about to be drawn. `false`: this node has as many slices as it may have.
    pub fn begin_slice(&self, id: [u8; 16]) -> Option<PendingSlice> {
        self.spool.credits().begin(id).map(PendingSlice)
    }

    /// What became of a slice is not known. It is told to the store later that nothing was spent of it.
    #[expect(clippy::needless_pass_by_value, reason = "what becomes of a slice is said once")]
    pub fn doubt_slice(&self, pending: PendingSlice, now: Moment) {
        let ending = Ending::Slot { slot: pending.0, from_ns: now.boot_ns + DOUBT_NS };
        self.state.credits.ending.lock().push(ending);
    }

    /// Takes over what a draw came to.
    #[expect(clippy::needless_pass_by_value, reason = "what becomes of a slice is said once")]
    pub fn deposit(
        &self,
        missing: &MissingCredits,
        pending: PendingSlice,
        grant: &CreditGrant,
        now: Moment,
    ) -> Deposit {
        let book = &self.state.credits;
        let purse = grant.account.map(|account| Arc::clone(book.purses.lock().entry(account).or_default()));
        let until_ns = now.boot_ns + BOUND_NS;
        let mut binding = Binding { purse: purse.clone(), until_ns, refused: None };
        if let Some(purse) = &purse {
            purse.left.store(grant.left, std::sync::atomic::Ordering::Relaxed);
        }
        let units = u32::try_from(grant.units).unwrap_or(u32::MAX);
        let deposit = match &purse {
            Some(purse) if units > 0 => {
                let slice = Arc::new(Slice::new(pending.0, units, now.boot_ns));
                book.end(purse.slice.swap(Some(slice)));
                book.bind(missing.key.0, &binding);
                return Deposit::Done;
            }
            Some(purse) if purse.has(missing.units) => Deposit::Done,
            Some(purse) if binding.remaining() >= missing.units.into() => {
                book.end(purse.slice.swap(None));
                Deposit::DrawAgain
            }
            _ => {
                binding.refused = Some((missing.units, now.boot_ns + REFUSED_NS));
                Deposit::Done
            }
        };
        // Nothing was drawn.
        self.spool.credits().end(pending.0);
        book.bind(missing.key.0, &binding);
        deposit
    }

    /// Forgets whose credits keys spend and what was refused: a balance was changed here.
    pub fn forget_credit_refusals(&self) {
        self.state.credits.unbind_all();
    }

    /// Ends slices that nobody took from since the last call of this. Call it a few times a second.
    pub fn end_idle_slices(&self, now: Moment) {
        let book = &self.state.credits;
        book.purses.lock().retain(|_, purse| {
            let Some(slice) = purse.slice.load_full() else { return Arc::strong_count(purse) > 1 };
            if slice.is_idle() || now.boot_ns.saturating_sub(slice.drawn_ns) > SLICE_LIFE_NS {
                book.end(purse.slice.swap(None));
            }
            true
        });
    }

    /// Whether [`Self::end_idle_slices`] and [`Self::ended_slices`] may find something, now or later. While they may not,
    /// only [`Self::begin_slice`] changes that.
    pub fn holds_credits(&self) -> bool {
        let book = &self.state.credits;
        !book.purses.lock().is_empty() || !book.ending.lock().is_empty()
    }

    /// Ends all slices: nothing is to be spent any more.
    pub fn end_all_slices(&self) {
        let book = &self.state.credits;
        book.purses.lock().values().for_each(|purse| book.end(purse.slice.swap(None)));
    }

    /// Slices that ended, to be told to the store, at most `limit`; then [`Self::settled_slices`].
    pub fn ended_slices(&self, now: Moment, limit: usize) -> EndedSlices {
        let (mut slots, mut kept) = (Vec::new(), Vec::new());
        let mut ending = self.state.credits.ending.lock();
        for each in ending.drain(..) {
            let slot = match &each {
                Ending::Slice(slice) => slice.is_over().then(|| slice.slot()),
                Ending::Slot { slot, from_ns } => (*from_ns <= now.boot_ns).then_some(*slot),
            };
            match slot {
                Some(slot) if slots.len() < limit => slots.push(slot),
                _ => kept.push(each),
            }
        }
        *ending = kept;
        let ledger = self.spool.credits();
        EndedSlices { settlements: slots.iter().map(|slot| ledger.settlement(*slot)).collect(), slots }
    }

    /// The store has heard of them, or has to hear of them again.
    pub fn settled_slices(&self, ended: EndedSlices, has_heard: Heard) {
        match has_heard {
            Heard::Yes => ended.slots.into_iter().for_each(|slot| self.spool.credits().end(slot)),
            Heard::Perhaps => self.state.credits.adopt(ended.slots),
        }
    }
}

/// A slice that was begun in the ledger.
#[derive(Debug)]
pub struct PendingSlice(Slot);

/// Slices that ended.
#[derive(Debug)]
pub struct EndedSlices {
    slots: Vec<Slot>,
    /// What the store is to be told.
    pub settlements: Vec<CreditSettlement>,
}

/// Whether the store has heard of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It answered.
    Yes,
    /// It did not.
    Perhaps,
}

impl Default for Purse {
    fn default() -> Self {
        Self { slice: ArcSwapOption::empty(), left: std::sync::atomic::AtomicU64::new(0) }
    }
}

impl Purse {
    fn has(&self, units: u32) -> bool {
        self.slice.load().as_ref().is_some_and(|slice| slice.left() >= units)
    }
}
