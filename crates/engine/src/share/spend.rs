//! Spending from shares.

use keywright_domain::{
    caps,
    key::KeyNumber,
    limits::{Algorithm, Mode, OnUnavailable},
    pool::{PoolWindow, Subject},
    verdict::Code,
    workspace::WorkspaceNumber,
};

use super::{
    MissingShares, Settled, Share, Tag, Target, exhausted_key, length_ms, low_bits, part, slot,
    words::{Known, Taken},
};
use crate::{
    Engine, Unavailable, Verdict,
    limits::{METERS_MAX, Meter, Tick, Window, gcra},
};

/// A call and the windows that it is to be paid in.
pub(crate) struct SharedCall<'a> {
    /// The key's number, and its workspace's.
    pub(crate) numbers: (u32, u32),
    pub(crate) meters: &'a [Meter<'a>],
    pub(crate) of_key: &'a [Window],
    pub(crate) of_workspace: &'a [Window],
    pub(crate) sets: [u32; 2],
    pub(crate) tick: Tick,
    pub(crate) cost: u32,
    pub(crate) settled: Settled,
}

/// What a window took, for giving it back.
#[derive(Clone, Copy)]
enum Spent {
    Share,
    Part(gcra::Taken),
}

/// How a window is paid that the pool cannot be asked about.
enum CutOff {
    /// Out of the node's own part.
    Part,
    /// Not at all.
    Free,
    /// It cannot be.
    Closed,
}

/// Why a call cannot be paid now.
enum Unpaid {
    Lacking,
    Refused { position: usize, retry_ms: u64 },
    Closed,
}

impl SharedCall<'_> {
    fn now_ms(&self) -> u64 {
        self.tick.boot_ns / 1_000_000
    }

    #[inline]
    fn tag(&self, position: usize) -> Tag {
        Tag::of(self.sets[usize::from(position >= self.of_key.len())])
    }

    #[inline]
    fn share(&self, position: usize) -> Share<'_> {
        Share::of(self.meters[position].words)
    }

    fn window(&self, position: usize) -> Window {
        self.meters[position].window
    }

    fn is_sliding(&self, position: usize) -> bool {
        self.window(position).algorithm == Algorithm::Sliding
    }

    fn bucket(&self, position: usize) -> u8 {
        low_bits(self.tick.aligned_ms / length_ms(self.window(position).window_seconds))
    }

    fn to_end_ms(&self, position: usize) -> u64 {
        let length_ms = length_ms(self.window(position).window_seconds);
        length_ms - self.tick.aligned_ms % length_ms
    }

    /// What was settled for this call, if it is this call.
    fn settled_now(&self) -> Settled {
        let settled = self.settled;
        let own = Settled { key: self.numbers.0, sets: self.sets, cost: self.cost, ..Settled::default() };
        if (settled.key, settled.sets, settled.cost) != (own.key, own.sets, own.cost) {
            return own;
        }
        // What was paid in a window that is over must be paid again.
        if self.now_ms() >= settled.until_ms { Settled { paid: 0, ..settled } } else { settled }
    }

    /// Whether a window that nobody has paid yet cannot be paid here.
    fn is_lacking(&self, position: usize) -> bool {
        let share = || self.share(position).units(self.tag(position), self.now_ms());
        self.cost > 0 && (!self.is_sliding(position) || share() < self.cost)
    }

    fn positions(&self) -> std::ops::Range<usize> {
        0..self.meters.len()
    }
}

impl Engine {
    /// Spends the call's cost in all windows, or in none.
    #[inline]
    pub(crate) fn spend_shared(&self, call: &SharedCall<'_>, verdict: &mut Verdict) {
        verdict.limits.sets = call.sets;
        verdict.limits.count = u8::try_from(call.meters.len()).expect("at most METERS_MAX");
        if call.meters.len() == 1 && call.cost > 0 && !call.settled.is_any() && call.is_sliding(0) {
            let share = call.share(0);
            if let Some(taken) = share.take(call.tag(0), call.now_ms(), call.cost) {
                verdict.code = Code::Valid;
                verdict.limits.readings[0] = reading_with(call, 0, taken.left);
                self.note(call, 0, taken);
                return;
            }
        }
        self.spend_settled(call, verdict);
    }

    #[inline(never)]
    fn spend_settled(&self, call: &SharedCall<'_>, verdict: &mut Verdict) {
        let settled = call.settled_now();
        match self.pay(call, &settled) {
            Ok(()) => verdict.code = Code::Valid,
            Err(Unpaid::Lacking) => {
                verdict.code = Code::Unavailable;
                verdict.unavailable = Some(Unavailable::Share);
                return;
            }
            Err(unpaid) => {
                call.positions().filter(|position| Settled::has(settled.paid, *position)).for_each(
                    |position| {
                        if call.is_sliding(position) {
                            call.share(position).give_back(call.tag(position), call.now_ms(), call.cost);
                        }
                    },
                );
                refuse(call, &unpaid, verdict);
            }
        }
        for position in call.positions() {
            verdict.limits.readings[position] = reading(call, position);
        }
    }

    fn pay(&self, call: &SharedCall<'_>, settled: &Settled) -> Result<(), Unpaid> {
        if let Some(position) = call.positions().find(|position| Settled::has(settled.refused, *position)) {
            return Err(Unpaid::Refused { position, retry_ms: settled.retry_ms });
        }
        let mut lacking = None;
        let mut is_free = [false; METERS_MAX];
        for position in call.positions().filter(|position| !Settled::has(settled.paid, *position)) {
            if Settled::has(settled.cut_off, position) {
                match self.cut_off(call, position) {
                    CutOff::Part => self.check_part(call, position)?,
                    CutOff::Free => is_free[position] = true,
                    CutOff::Closed => return Err(Unpaid::Closed),
                }
            } else if call.is_lacking(position) {
                self.check_exhausted(call, position)?;
                lacking = Some(Unpaid::Lacking);
            }
        }
        if let Some(lacking) = lacking {
            return Err(lacking);
        }
        let mut spent = [None; METERS_MAX];
        for position in call.positions() {
            if call.cost == 0 || is_free[position] || Settled::has(settled.paid, position) {
                continue;
            }
            spent[position] = self.take_share(call, position);
            if spent[position].is_none() {
                // Lost a race for the last units.
                give_back(call, &spent);
                let is_cut_off = Settled::has(settled.cut_off, position);
                let retry_ms = call.to_end_ms(position);
                return Err(if is_cut_off {
                    Unpaid::Refused { position, retry_ms }
                } else {
                    Unpaid::Lacking
                });
            }
        }
        Ok(())
    }

    fn take_share(&self, call: &SharedCall<'_>, position: usize) -> Option<Spent> {
        if call.is_sliding(position) {
            let taken = call.share(position).take(call.tag(position), call.now_ms(), call.cost)?;
            self.note(call, position, taken);
            return Some(Spent::Share);
        }
        let words = call.meters[position].words;
        let window = self.own_part(call, position)?;
        let (decision, taken) = gcra::take(&words[0], window, call.tick.boot_ns, call.cost);
        decision.is_admitted().then_some(Spent::Part(taken))
    }

    /// Refuses what was refused just now, and what exceeds the limit anyway.
    fn check_exhausted(&self, call: &SharedCall<'_>, position: usize) -> Result<(), Unpaid> {
        let Some(sharing) = &self.sharing else { return Ok(()) };
        if call.cost > call.window(position).limit {
            return Err(Unpaid::Refused { position, retry_ms: u64::MAX });
        }
        let units = if call.is_sliding(position) {
            call.cost - call.share(position).units(call.tag(position), call.now_ms()).min(call.cost)
        } else {
            call.cost
        };
        let Some(target) = self.target(call, position) else { return Ok(()) };
        match sharing.exhausted.retry_ms(exhausted_key(&target), units, call.now_ms()) {
            Some(retry_ms) => Err(Unpaid::Refused { position, retry_ms }),
            None => Ok(()),
        }
    }

    // --- without the pool -----------------------------------------------------------------------------------------

    fn cut_off(&self, call: &SharedCall<'_>, position: usize) -> CutOff {
        let target = self.target(call, position);
        match target.map(|target| (target.mode, target.on_unavailable)) {
            Some((Mode::Shared, _)) => CutOff::Part,
            Some((Mode::Exact, OnUnavailable::Open)) => CutOff::Free,
            Some((Mode::Exact, OnUnavailable::Closed)) | None => CutOff::Closed,
        }
    }

    /// The window as it is for this node alone; `None` if its part is nothing.
    fn own_part(&self, call: &SharedCall<'_>, position: usize) -> Option<Window> {
        let nodes = self.sharing.as_ref()?.nodes.load(std::sync::atomic::Ordering::Relaxed);
        let window = call.window(position);
        let limit = part(window.limit, nodes);
        (limit > 0).then_some(Window { limit, ..window })
    }

    /// Whether the node's own part suffices. Takes the part, where it is a share.
    fn check_part(&self, call: &SharedCall<'_>, position: usize) -> Result<(), Unpaid> {
        let refused = |retry_ms| Err(Unpaid::Refused { position, retry_ms });
        let Some(window) = self.own_part(call, position) else { return refused(call.to_end_ms(position)) };
        if call.is_sliding(position) {
            if call.is_lacking(position) {
                self.grant_itself(call, position, window.limit);
            }
            return if call.is_lacking(position) { refused(call.to_end_ms(position)) } else { Ok(()) };
        }
        match gcra::check(&call.meters[position].words[0], window, call.tick.boot_ns, call.cost) {
            crate::limits::Decision::Admitted { .. } => Ok(()),
            crate::limits::Decision::Refused { retry_ms, .. } => refused(retry_ms),
        }
    }

    /// Takes the node's part of the current fixed window, less what it drew before, once.
    fn grant_itself(&self, call: &SharedCall<'_>, position: usize, part: u32) {
        let Some(sharing) = &self.sharing else { return };
        let _alone = sharing.own_grants.lock();
        let (share, tag, bucket) = (call.share(position), call.tag(position), call.bucket(position));
        let known = share.known();
        let is_same = known.bucket == bucket;
        if is_same && known.is_own_grant && known.tag == tag {
            return;
        }
        let drawn = if is_same { known.drawn } else { 0 };
        let kept = if is_same { share.withdraw(tag, call.now_ms()) } else { 0 };
        let own = if is_same && known.is_own_grant { 0 } else { part.saturating_sub(drawn) };
        let known = Known { tag, bucket, is_own_grant: true, mark: 0, left: 0, drawn: drawn.max(part) };
        share.put(known, call.now_ms() + call.to_end_ms(position), kept.saturating_add(own));
    }

    // --- with it --------------------------------------------------------------------------------------------------

    /// What has to be settled before this verdict can be given; see [`Unavailable::Share`].
    pub(crate) fn missing_of(&self, call: &SharedCall<'_>) -> MissingShares {
        let settled = call.settled_now();
        let open = |position: &usize| {
            !Settled::has(settled.paid | settled.cut_off, *position) && call.is_lacking(*position)
        };
        let mut lacking: Vec<usize> = call.positions().filter(open).collect();
        if lacking.iter().any(|position| call.is_sliding(*position)) {
            lacking.retain(|position| call.is_sliding(*position));
        } else {
            lacking.truncate(1);
        }
        let targets = lacking.into_iter().filter_map(|position| self.target(call, position)).collect();
        MissingShares { settled, targets, cost: call.cost }
    }

    fn target(&self, call: &SharedCall<'_>, position: usize) -> Option<Target> {
        let (key, workspace) = call.numbers;
        let (subject, set, windows, place) = match position.checked_sub(call.of_key.len()) {
            None => (Subject::Key(KeyNumber(key)), call.sets[0], call.of_key, position),
            Some(place) => {
                (Subject::Workspace(WorkspaceNumber(workspace)), call.sets[1], call.of_workspace, place)
            }
        };
        let definition = self.state.limit_sets.get(set)?.definitions.get(place)?;
        let window = windows.get(place)?;
        Some(Target {
            window: PoolWindow {
                subject,
                window_seconds: window.window_seconds,
                slot: slot(windows, place),
                algorithm: window.algorithm,
            },
            limit: window.limit,
            mode: definition.mode,
            on_unavailable: definition.on_unavailable,
            position: u8::try_from(position).ok()?,
            place: u8::try_from(place).ok()?,
            tag: call.tag(position),
        })
    }

    #[inline]
    fn note(&self, call: &SharedCall<'_>, position: usize, taken: Taken) {
        if taken.is_low
            && let (Some(sharing), Some(target)) = (&self.sharing, self.target(call, position))
        {
            sharing.note_low(target);
        }
    }
}

/// What a window's reading says: what is left here and, as of the last draw, in the pool.
fn reading(call: &SharedCall<'_>, position: usize) -> (u32, u32) {
    reading_with(call, position, call.share(position).units(call.tag(position), call.now_ms()))
}

#[inline]
fn reading_with(call: &SharedCall<'_>, position: usize, units: u32) -> (u32, u32) {
    let (window, known) = (call.window(position), call.share(position).known());
    let is_known = known.tag == call.tag(position) && known.bucket == call.bucket(position);
    let remaining = if is_known { known.left.saturating_add(units).min(window.limit) } else { window.limit };
    let reset_ms = if call.is_sliding(position) {
        call.to_end_ms(position)
    } else {
        u64::from(window.limit - remaining) * length_ms(window.window_seconds)
            / u64::from(window.limit.max(1))
    };
    (remaining, u32::try_from(reset_ms.div_ceil(1_000)).unwrap_or(u32::MAX))
}

fn give_back(call: &SharedCall<'_>, spent: &[Option<Spent>; METERS_MAX]) {
    for (position, spent) in spent.iter().enumerate() {
        match spent {
            None => {}
            Some(Spent::Share) => {
                call.share(position).give_back(call.tag(position), call.now_ms(), call.cost);
            }
            Some(Spent::Part(taken)) => gcra::give_back(&call.meters[position].words[0], *taken),
        }
    }
}

fn refuse(call: &SharedCall<'_>, unpaid: &Unpaid, verdict: &mut Verdict) {
    let Unpaid::Refused { position, retry_ms } = *unpaid else {
        verdict.code = Code::Unavailable;
        verdict.unavailable = Some(Unavailable::Uncountable);
        return;
    };
    let is_quota = call.window(position).window_seconds >= caps::QUOTA_WINDOW_SECONDS;
    verdict.code = if is_quota { Code::QuotaExceeded } else { Code::RateLimited };
    let seconds = u32::try_from(retry_ms.div_ceil(1_000)).unwrap_or(u32::MAX).max(1);
    // More than a window ahead: never.
    verdict.retry_after_seconds = (retry_ms < u64::MAX / 2).then_some(seconds);
}
