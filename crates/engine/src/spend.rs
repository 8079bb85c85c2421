//! Limits of a call: which windows apply, and what they say.

use keywright_domain::{caps, key::KeyNumber, limits::Algorithm, verdict::Code};

use crate::{
    Engine, LimitReading, LimitScope, MissingShares, Moment, Settled, Verdict, VerifyRequest,
    apply::allocate_counters,
    limits::{Decision, METERS_MAX, Meter, Tick, Window, take_all},
    record::{self, Facts, Record},
    share::SharedCall,
    state::{NO_LIMIT_SET, State, WORKSPACE_WINDOWS},
    verify::{Found, Surroundings},
};

/// Why the windows of a call cannot be put together.
enum Missing {
    /// The plan is not in memory.
    Plan,
    /// The key has one window's counters and needs more.
    Counters,
}

/// The windows that apply to a key.
#[derive(Clone, Copy)]
struct Applicable<'state> {
    /// Limit sets of the key and of the workspace.
    sets: [u32; 2],
    of_key: &'state [Window],
    of_workspace: &'state [Window],
}

/// The meters of one call.
struct Meters<'state> {
    meters: [Meter<'state>; METERS_MAX],
    count: usize,
}

impl Engine {
    /// Spends the call's cost in all windows, or in none.
    #[inline]
    pub(crate) fn spend(
        &self,
        found: &Found<'_>,
        around: &Surroundings,
        request: &VerifyRequest<'_>,
        now: Moment,
        verdict: &mut Verdict,
    ) {
        let facts = &found.reading.facts;
        // Without its plan in memory the verdict stays `unavailable`.
        let Some(applicable) = self.state.applicable(facts, around.plan_limits) else { return };
        let cost = request.cost;
        if self.sharing.is_some() {
            let key = (KeyNumber(found.number), found.record, facts);
            self.spend_as_shared(key, applicable, request, now, verdict);
        } else if let ([window], []) = (applicable.of_key, applicable.of_workspace) {
            let meter = Meter { window: *window, words: record::first_window(found.record) };
            spend_in(&[meter], applicable.sets, self.tick(now), cost, verdict);
        } else if let Some(meters) = self.all_meters(KeyNumber(found.number), found.record, facts, applicable)
        {
            spend_in(meters.as_slice(), applicable.sets, self.tick(now), cost, verdict);
        }
    }

    #[inline]
    fn spend_as_shared(
        &self,
        (number, record, facts): (KeyNumber, &Record, &Facts),
        applicable: Applicable<'_>,
        request: &VerifyRequest<'_>,
        now: Moment,
        verdict: &mut Verdict,
    ) {
        let numbers = (number.0, facts.workspace);
        let (cost, settled, tick) = (request.cost, request.settled, self.tick(now));
        if let ([window], []) = (applicable.of_key, applicable.of_workspace) {
            let meters = [Meter { window: *window, words: record::first_window(record) }];
            self.spend_shared(&applicable.call(numbers, &meters, tick, (cost, settled)), verdict);
        } else if let Some(meters) = self.all_meters(number, record, facts, applicable) {
            let meters = meters.as_slice();
            self.spend_shared(&applicable.call(numbers, meters, tick, (cost, settled)), verdict);
        }
    }

    /// What has to be settled with the pool before `request`, which got `verdict`, can be answered. `None` unless the
    /// verdict is [`Unavailable::Share`](crate::Unavailable::Share), or when the key is gone.
    pub fn missing_shares(
        &self,
        verdict: &Verdict,
        request: &VerifyRequest<'_>,
        now: Moment,
    ) -> Option<MissingShares> {
        let number = verdict.key.filter(|_| verdict.needs_share())?.number;
        let record = self.state.records.get(number.0)?;
        let facts = record::read(record)?.facts;
        let applicable = self.state.applicable(&facts, self.state.surroundings(&facts)?.plan_limits)?;
        let meters = self.all_meters(number, record, &facts, applicable)?;
        let numbers = (number.0, facts.workspace);
        let asked = (request.cost, request.settled);
        Some(self.missing_of(&applicable.call(numbers, meters.as_slice(), self.tick(now), asked)))
    }

    /// The meters of any key; gives it further counters where it needs them for the first time.
    #[inline(never)]
    fn all_meters<'state>(
        &'state self,
        number: KeyNumber,
        record: &'state Record,
        facts: &Facts,
        applicable: Applicable<'state>,
    ) -> Option<Meters<'state>> {
        match self.state.meters(record, facts, facts.counters, applicable) {
            Ok(meters) => Some(meters),
            Err(Missing::Plan) => None,
            Err(Missing::Counters) => {
                let counters = self.add_counters(number);
                self.state.meters(record, facts, counters, applicable).ok()
            }
        }
    }

    /// Gives a key the counters for more than one window, once in its life.
    #[cold]
    fn add_counters(&self, number: KeyNumber) -> u32 {
        let mut writer = self.writer.lock();
        let Some(record) = self.state.records.get(number.0) else { return 0 };
        let Some(reading) = record::read(record) else { return 0 };
        if reading.facts.counters != 0 {
            return reading.facts.counters;
        }
        let counters = allocate_counters(&self.state, &mut writer);
        record::write(record, &Facts { counters, ..reading.facts });
        counters
    }

    pub(crate) fn tick(&self, now: Moment) -> Tick {
        let boot_ms = now.boot_ns / 1_000_000;
        let offset_ms = self.sharing.as_ref().map_or(self.aligned_offset_ms, |sharing| sharing.offset_ms());
        Tick { aligned_ms: boot_ms.wrapping_add_signed(offset_ms), boot_ns: now.boot_ns }
    }

    /// The limit windows of a verdict, the key's first. Empty unless limits were asked, which happens when every
    /// check before them has passed.
    pub fn limit_readings<'a>(&'a self, verdict: &'a Verdict) -> impl Iterator<Item = LimitReading<'a>> + 'a {
        let limits = &verdict.limits;
        let named =
            [LimitScope::Key, LimitScope::Workspace].into_iter().zip(limits.sets).flat_map(|(scope, set)| {
                let definitions = self.state.limit_sets.get(set).map_or(&[][..], |set| &set.definitions);
                definitions.iter().map(move |definition| (scope, definition))
            });
        named.zip(&limits.readings[..usize::from(limits.count)]).map(|((scope, definition), reading)| {
            LimitReading {
                scope,
                name: &definition.name,
                limit: u32::try_from(definition.limit).unwrap_or(u32::MAX),
                window_seconds: definition.window_seconds,
                algorithm: definition.algorithm,
                remaining: reading.0,
                reset_seconds: reading.1,
            }
        })
    }

    /// The limits of a key as a verdict that asks nothing of it; `None` for an unknown key. Pass the result to
    /// [`Self::limit_readings`].
    pub fn limits_left(&self, number: KeyNumber, now: Moment) -> Option<Verdict> {
        let record = self.state.records.get(number.0)?;
        let facts = record::read(record)?.facts;
        let applicable = self.state.applicable(&facts, self.state.surroundings(&facts)?.plan_limits)?;
        let meters = self.all_meters(number, record, &facts, applicable)?;
        let mut verdict = Verdict::refused(Code::Unavailable);
        if self.sharing.is_some() {
            let asked = (0, Settled::default());
            let numbers = (number.0, facts.workspace);
            let call = applicable.call(numbers, meters.as_slice(), self.tick(now), asked);
            self.spend_shared(&call, &mut verdict);
            return Some(verdict);
        }
        spend_in(meters.as_slice(), applicable.sets, self.tick(now), 0, &mut verdict);
        Some(verdict)
    }

    /// Counts what a key spent in accepted calls before this process started: `cost` units in the minute that began at
    /// `minute · 60` seconds since the Unix epoch. Only for a start, before the lease is opened.
    pub fn restore_cost(&self, number: KeyNumber, minute: i64, cost: u64, now: Moment) {
        if self.sharing.is_some() {
            // The pool knows.
            return;
        }
        let Some(record) = self.state.records.get(number.0) else { return };
        let Some(facts) = record::read(record).map(|reading| reading.facts) else { return };
        let Some(around) = self.state.surroundings(&facts) else { return };
        let Some(applicable) = self.state.applicable(&facts, around.plan_limits) else { return };
        let Some(meters) = self.all_meters(number, record, &facts, applicable) else { return };
        let at_ms = u64::try_from(minute).unwrap_or(0).saturating_mul(60_000);
        for meter in meters.as_slice() {
            meter.restore(self.tick(now), at_ms, u32::try_from(cost).unwrap_or(u32::MAX));
        }
    }
}

impl State {
    /// The windows that apply: the key's own or the plan's, and the workspace's. `None` when they are not in memory.
    #[inline]
    fn applicable(&self, facts: &Facts, plan_limits: [u32; 2]) -> Option<Applicable<'_>> {
        let [plan_keys, workspace] = plan_limits;
        let sets = [if facts.limits == NO_LIMIT_SET { plan_keys } else { facts.limits }, workspace];
        let of_key = &self.limit_sets.get(sets[0])?.windows;
        let of_workspace = &self.limit_sets.get(sets[1])?.windows;
        Some(Applicable { sets, of_key, of_workspace })
    }

    fn meters<'state>(
        &'state self,
        record: &'state Record,
        facts: &Facts,
        counters: u32,
        applicable: Applicable<'state>,
    ) -> Result<Meters<'state>, Missing> {
        let first = record::first_window(record);
        let mut further = &[][..];
        if applicable.of_key.len() > 1 {
            let row = self.counters.get(counters).filter(|_| counters != 0).ok_or(Missing::Counters)?;
            further = row.as_chunks::<2>().0;
        }
        let workspace = self.workspaces.get(facts.workspace).ok_or(Missing::Plan)?;
        let of_key = applicable.of_key.iter().zip(std::iter::once(first).chain(further));
        let of_workspace =
            applicable.of_workspace.iter().zip(workspace[WORKSPACE_WINDOWS..].as_chunks::<2>().0);
        let unused = Window { limit: 1, window_seconds: 1, algorithm: Algorithm::Sliding };
        let mut meters = Meters { meters: [Meter { window: unused, words: first }; METERS_MAX], count: 0 };
        for (place, (window, words)) in meters.meters.iter_mut().zip(of_key.chain(of_workspace)) {
            *place = Meter { window: *window, words };
            meters.count += 1;
        }
        Ok(meters)
    }
}

impl<'state> Applicable<'state> {
    /// A call to be paid in these windows.
    fn call<'a>(
        self,
        numbers: (u32, u32),
        meters: &'a [Meter<'a>],
        tick: Tick,
        (cost, settled): (u32, Settled),
    ) -> SharedCall<'a>
    where
        'state: 'a,
    {
        let Self { sets, of_key, of_workspace } = self;
        SharedCall { numbers, meters, of_key, of_workspace, sets, tick, cost, settled }
    }
}

impl<'state> Meters<'state> {
    fn as_slice(&self) -> &[Meter<'state>] {
        &self.meters[..self.count]
    }
}

/// Spends in all meters or in none, and writes it into the verdict.
#[inline]
fn spend_in(meters: &[Meter<'_>], sets: [u32; 2], tick: Tick, cost: u32, verdict: &mut Verdict) {
    verdict.code = Code::Valid;
    verdict.limits.sets = sets;
    verdict.limits.count = u8::try_from(meters.len()).expect("at most METERS_MAX");
    let mut refusal: Option<(u64, usize)> = None;
    let is_admitted = take_all(meters, tick, cost, |position, decision| {
        verdict.limits.readings[position] = reading(decision);
        if let Decision::Refused { retry_ms, .. } = decision
            && refusal.is_none_or(|(longest_ms, _)| retry_ms > longest_ms)
        {
            refusal = Some((retry_ms, position));
        }
    });
    if !is_admitted {
        // Without a refusal on record, a lost race for the last units has been resolved meanwhile.
        let (retry_ms, position) = refusal.unwrap_or((1_000, 0));
        let is_quota = meters[position].window.window_seconds >= caps::QUOTA_WINDOW_SECONDS;
        verdict.code = if is_quota { Code::QuotaExceeded } else { Code::RateLimited };
        verdict.retry_after_seconds = (retry_ms != u64::MAX).then(|| seconds(retry_ms).max(1));
    }
}

fn reading(decision: Decision) -> (u32, u32) {
    let (Decision::Admitted { remaining, reset_ms } | Decision::Refused { remaining, reset_ms, .. }) =
        decision;
    (u32::try_from(remaining).unwrap_or(u32::MAX), seconds(reset_ms))
}

fn seconds(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX)
}
