//! Several engines that share limits through one pool, in simulated time: seeded, so that a failure comes again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use keywright_domain::{
    change::{Change, KeyView},
    limits::{Algorithm, LimitWindow, Mode, OnUnavailable},
    plan::Plan,
    pool::{Counter, Draw, Grant, PoolWindow, Return, Subject},
    time::Clock,
    verdict::Code,
};
use keywright_engine::{
    Engine, EngineOptions, LeaseEnd, Moment, Outcome, PepperSet, Settled, Spool, SpoolOptions, Target,
    Unavailable, VerifyRequest,
};
use keywright_keyformat::Secret;
use tempfile::TempDir;

use crate::fixture::{Fixture, HandClock, START_MS, membership, pepper, window, workspace};

/// `splitmix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}

/// The pool, on a clock of its own.
#[derive(Default)]
struct Pool(HashMap<PoolWindow, Counter>);

impl Pool {
    fn draw(&mut self, draw: &Draw, now_ms: u64) -> Grant {
        self.0.entry(draw.window).or_default().draw(draw, now_ms)
    }

    fn give_back(&mut self, back: &Return) {
        self.0.entry(back.window).or_default().give_back(back);
    }
}

/// A call that waits.
#[derive(Clone, Copy)]
struct Call {
    key: usize,
    cost: u32,
    settled: Settled,
    rounds: u32,
}

/// A draw under way: it is at the pool at one time and back at another.
struct UnderWay {
    target: Target,
    draw: Draw,
    calls: Vec<Call>,
    sent: Moment,
    at_pool_ms: u64,
    back_ms: u64,
    grant: Option<(Grant, i64)>,
}

struct Node {
    engine: Engine,
    clock: Arc<HandClock>,
    waiting: HashMap<PoolWindow, (Target, Vec<Call>)>,
    order: VecDeque<PoolWindow>,
    under_way: Vec<UnderWay>,
    is_cut_off: bool,
    _directory: TempDir,
}

/// What happens beside calls.
#[derive(Clone, Copy, PartialEq)]
enum Faults {
    None,
    /// Nodes crash and others join.
    Churn,
    /// From the 12th to the 23rd second no node reaches the pool.
    Outage,
    /// In that time every second node does not.
    Partition,
}

struct Simulation {
    nodes: Vec<Node>,
    views: Vec<KeyView>,
    secrets: Vec<Secret>,
    plan: Plan,
    pool: Pool,
    dice: Dice,
    now_ms: u64,
    faults: Faults,
    /// Units admitted, by window and the pool's fixed window.
    admitted: BTreeMap<(PoolWindow, u64), u64>,
    limits: HashMap<PoolWindow, u64>,
    refused: u64,
    draws: u64,
}

impl Node {
    fn start(simulation: &Parts<'_>, dice: &mut Dice) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::open(directory.path(), SpoolOptions::new([1; 16], 7)).unwrap());
        let clock = Arc::new(HandClock::new());
        // Boot clocks and wall clocks say whatever they want.
        clock.advance_ms(u32::try_from(dice.below(100_000_000)).unwrap());
        let engine = Engine::new(EngineOptions {
            peppers: PepperSet::new(1, [pepper(1)]).unwrap(),
            issuer_tag: None,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            spool,
        })
        .with_shared_limits();
        engine.load(&Change::Plan(simulation.plan.clone())).unwrap();
        engine.load(&Change::Workspace(workspace(1, "acme", &simulation.plan.name))).unwrap();
        engine.load(&Change::Membership(membership(1))).unwrap();
        for view in simulation.views {
            engine.load(&Change::Key(Box::new(view.clone()))).unwrap();
        }
        engine.finish_load(0).unwrap();
        engine.set_leases([LeaseEnd::NEVER; 4]);
        Self {
            engine,
            clock,
            waiting: HashMap::new(),
            order: VecDeque::new(),
            under_way: Vec::new(),
            is_cut_off: false,
            _directory: directory,
        }
    }

    fn moment(&self) -> Moment {
        Moment::read(&*self.clock)
    }
}

/// What a node is loaded with.
struct Parts<'a> {
    views: &'a [KeyView],
    plan: &'a Plan,
}

impl Simulation {
    fn new(
        seed: u64,
        nodes: usize,
        keys: Vec<Vec<LimitWindow>>,
        of_workspace: Vec<LimitWindow>,
        faults: Faults,
    ) -> Self {
        let fixture = Fixture::new();
        let mut dice = Dice(seed);
        let (mut views, mut secrets) = (Vec::new(), Vec::new());
        for (number, windows) in (1..).zip(keys) {
            let (view, secret) = fixture.key(number);
            views.push(KeyView { limits: Some(windows), ..view });
            secrets.push(secret);
        }
        let plan = Plan {
            name: "shared".to_owned(),
            description: String::new(),
            key_limits: Vec::new(),
            workspace_limits: of_workspace,
        };
        let parts = Parts { views: &views, plan: &plan };
        let nodes: Vec<Node> = (0..nodes).map(|_| Node::start(&parts, &mut dice)).collect();
        let now_ms = u64::try_from(START_MS).unwrap() + dice.below(10_000);
        let simulation = Self {
            nodes,
            views,
            secrets,
            plan,
            pool: Pool::default(),
            dice,
            now_ms,
            faults,
            admitted: BTreeMap::new(),
            limits: HashMap::new(),
            refused: 0,
            draws: 0,
        };
        simulation.tell_nodes();
        simulation
    }

    fn tell_nodes(&self) {
        let count = u32::try_from(self.nodes.len()).unwrap();
        self.nodes.iter().for_each(|node| node.engine.set_nodes(count));
    }

    fn run(&mut self, seconds: u64, calls_per_second: u64, cost_max: u32) {
        let begin_ms = self.now_ms;
        let mut owed = 0;
        while self.now_ms < begin_ms + seconds * 1_000 {
            let at_ms = self.now_ms - begin_ms;
            self.inject(at_ms);
            owed += calls_per_second;
            while owed >= 1_000 {
                owed -= 1_000;
                // Half of all calls to the first node, a quarter to the second, and so on.
                let node = self.geometric();
                let key = usize::try_from(self.dice.below(self.secrets.len() as u64)).unwrap();
                let cost = 1 + u32::try_from(self.dice.below(cost_max.into())).unwrap();
                self.ask(node, Call { key, cost, settled: Settled::default(), rounds: 0 });
            }
            for node in 0..self.nodes.len() {
                self.work(node, at_ms);
            }
            self.nodes.iter().for_each(|node| node.clock.advance_ms(1));
            self.now_ms += 1;
        }
    }

    fn geometric(&mut self) -> usize {
        let mut node = 0;
        while node + 1 < self.nodes.len() && self.dice.below(2) == 1 {
            node += 1;
        }
        node
    }

    fn inject(&mut self, at_ms: u64) {
        let is_out = (12_000..23_000).contains(&at_ms);
        for (number, node) in self.nodes.iter_mut().enumerate() {
            node.is_cut_off = match self.faults {
                Faults::Outage => is_out,
                Faults::Partition => is_out && number % 2 == 1,
                Faults::None | Faults::Churn => false,
            };
        }
        if self.faults == Faults::Churn && at_ms % 1_700 == 1_699 {
            let parts = Parts { views: &self.views, plan: &self.plan };
            let number = usize::try_from(self.dice.below(self.nodes.len() as u64 + 1)).unwrap();
            let fresh = Node::start(&parts, &mut self.dice);
            if let Some(crashed) = self.nodes.get_mut(number) {
                // Whatever it had drawn is lost.
                *crashed = fresh;
            } else if self.nodes.len() < 12 {
                self.nodes.push(fresh);
            }
            self.tell_nodes();
        }
    }

    fn ask(&mut self, number: usize, mut call: Call) {
        let node = &mut self.nodes[number];
        let now = node.moment();
        let text = self.secrets[call.key].expose().as_bytes();
        let request = VerifyRequest { cost: call.cost, settled: call.settled, ..VerifyRequest::new(text) };
        let verdict = node.engine.verify_at(&request, now);
        match verdict.code {
            Code::Valid => self.note(call),
            Code::RateLimited | Code::QuotaExceeded => self.refused += 1,
            Code::Unavailable if verdict.unavailable == Some(Unavailable::Uncountable) => self.refused += 1,
            Code::Unavailable => {
                let missing = node.engine.missing_shares(&verdict, &request, now).unwrap();
                call.settled = missing.settled;
                call.rounds += 1;
                assert!(call.rounds < 50, "a call comes to an end");
                let is_cut_off = node.is_cut_off;
                if is_cut_off {
                    let settle = |settled: Settled, target| settled.with(target, Outcome::CutOff);
                    call.settled = missing.targets.iter().fold(call.settled, settle);
                    return self.ask(number, call);
                }
                // One window after the other, which is one of the ways in which draws may come back.
                match missing.targets.first() {
                    Some(target) => {
                        let queue = node.waiting.entry(target.window).or_insert_with(|| {
                            node.order.push_back(target.window);
                            (*target, Vec::new())
                        });
                        queue.0 = *target;
                        queue.1.push(call);
                    }
                    None => self.ask(number, call),
                }
            }
            code => panic!("{code:?}"),
        }
    }

    fn note(&mut self, call: Call) {
        let view = &self.views[call.key];
        let of_key = view.limits.iter().flatten().map(|window| (Subject::Key(view.number), window));
        let of_workspace =
            self.plan.workspace_limits.iter().map(|window| (Subject::Workspace(view.workspace), window));
        for (subject, window) in of_key.chain(of_workspace) {
            let length_ms = u64::from(window.window_seconds) * 1_000;
            let counted = PoolWindow {
                subject,
                window_seconds: window.window_seconds,
                slot: 0,
                algorithm: window.algorithm,
            };
            self.limits.insert(counted, window.limit);
            *self.admitted.entry((counted, self.now_ms / length_ms)).or_default() += u64::from(call.cost);
        }
    }

    fn work(&mut self, number: usize, at_ms: u64) {
        let node = &mut self.nodes[number];
        for target in node.engine.low_shares() {
            if !node.waiting.contains_key(&target.window) {
                node.order.push_back(target.window);
                node.waiting.insert(target.window, (target, Vec::new()));
            }
        }
        if at_ms % 500 == 499 {
            for back in node.engine.idle_shares(node.moment()) {
                self.pool.give_back(&back);
            }
        }
        let busy: BTreeSet<PoolWindow> = node.under_way.iter().map(|draw| draw.target.window).collect();
        for _ in 0..node.order.len() {
            let window = node.order.pop_front().unwrap();
            if busy.contains(&window) {
                node.order.push_back(window);
                continue;
            }
            let (target, calls) = node.waiting.remove(&window).unwrap();
            let costs: Vec<u32> = calls.iter().map(|call| call.cost).collect();
            let sent = node.moment();
            let draw = node.engine.draw(&target, &costs, sent).unwrap();
            let at_pool_ms = self.now_ms + self.dice.below(3);
            let back_ms = at_pool_ms + self.dice.below(3);
            node.under_way.push(UnderWay { target, draw, calls, sent, at_pool_ms, back_ms, grant: None });
        }
        let mut again = Vec::new();
        let mut position = 0;
        while position < node.under_way.len() {
            let draw = &mut node.under_way[position];
            if draw.grant.is_none() && self.now_ms >= draw.at_pool_ms && !node.is_cut_off {
                self.draws += 1;
                let grant = self.pool.draw(&draw.draw, self.now_ms);
                draw.grant = Some((grant, i64::try_from(self.now_ms).unwrap()));
            }
            if self.now_ms < draw.back_ms {
                position += 1;
                continue;
            }
            let UnderWay { target, calls, sent, grant, .. } = node.under_way.swap_remove(position);
            let costs: Vec<u32> = calls.iter().map(|call| call.cost).collect();
            // An answer that is on its way when the node is cut off is lost.
            let outcomes = match grant.filter(|_| !node.is_cut_off) {
                Some((grant, pool_ms)) => node.engine.settle(&target, &grant, pool_ms, sent, &costs),
                None => vec![Outcome::CutOff; calls.len()],
            };
            let settled = calls.into_iter().zip(outcomes);
            again.extend(
                settled.map(|(call, outcome)| Call { settled: call.settled.with(&target, outcome), ..call }),
            );
        }
        for call in again {
            self.ask(number, call);
        }
    }

    /// Checks every fixed window but the last against `part` of its limit; returns the worst use of full windows.
    fn check(&self, bound: impl Fn(u64) -> u64, what: &str) -> f64 {
        let mut utilisation: f64 = 1.0;
        let windows: BTreeSet<PoolWindow> = self.admitted.keys().map(|(window, _)| *window).collect();
        for window in windows {
            let limit = self.limits[&window];
            let buckets: Vec<(u64, u64)> = self
                .admitted
                .iter()
                .filter(|((other, _), _)| *other == window)
                .map(|((_, bucket), units)| (*bucket, *units))
                .collect();
            for (bucket, units) in &buckets {
                assert!(*units <= bound(limit), "{what}: {units} of {limit} in {window:?}, {bucket}");
            }
            // The first and the last are not whole; the second one still pays for the first.
            for (_, units) in buckets.iter().skip(1).rev().skip(1) {
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let used = *units as f64 / limit as f64;
                utilisation = utilisation.min(used);
            }
        }
        utilisation
    }
}

const fn as_is(limit: u64) -> u64 {
    limit
}

#[test]
fn never_more_than_the_limit_and_nearly_all_of_it_on_any_number_of_nodes() {
    for (seed, nodes) in [(1, 1), (2, 3), (3, 10), (4, 3), (5, 10)] {
        let mut simulation =
            Simulation::new(seed, nodes, vec![vec![window("w", 1_000, 5)]], Vec::new(), Faults::None);
        simulation.run(32, 800, 1);
        let used = simulation.check(as_is, &format!("seed {seed}, {nodes} nodes"));
        println!("{nodes} nodes: worst use {used:.3}, {} draws", simulation.draws);
        assert!(used >= 0.9, "{nodes} nodes use {used}");
        assert!(simulation.refused > 0);
    }
}

#[test]
fn a_limit_that_is_not_reached_refuses_nobody() {
    for nodes in [1, 3, 10] {
        let mut simulation =
            Simulation::new(7, nodes, vec![vec![window("w", 5_000, 5)]], Vec::new(), Faults::None);
        // At most 2 · 2,000 in any sliding window, and a tenth of reserve for shares that lie around.
        simulation.run(20, 400, 1);
        assert_eq!(simulation.refused, 0, "{nodes} nodes");
        let draws = simulation.draws;
        assert!(draws < 8_000 / 4, "{nodes} nodes: {draws} draws for 8,000 calls");
    }
}

#[test]
fn several_windows_costs_and_keys_at_once() {
    for (seed, nodes) in [(11, 1), (12, 3), (13, 10)] {
        let of_key = vec![window("second", 60, 1), window("long", 400, 10)];
        let mut simulation = Simulation::new(
            seed,
            nodes,
            vec![of_key.clone(), of_key],
            vec![window("all", 600, 5)],
            Faults::None,
        );
        simulation.run(25, 600, 5);
        simulation.check(as_is, &format!("seed {seed}, {nodes} nodes"));
        assert!(simulation.refused > 0);
    }
}

#[test]
fn crashes_and_joins_never_admit_more() {
    for (seed, nodes) in [(21, 1), (22, 3), (23, 10)] {
        let mut simulation =
            Simulation::new(seed, nodes, vec![vec![window("w", 500, 5)]], Vec::new(), Faults::Churn);
        simulation.run(30, 400, 2);
        simulation.check(as_is, &format!("seed {seed}, {nodes} nodes"));
    }
}

#[test]
fn without_the_pool_nodes_go_on_with_their_parts() {
    for (seed, nodes, faults) in [
        (31, 3, Faults::Outage),
        (32, 10, Faults::Outage),
        (33, 3, Faults::Partition),
        (34, 10, Faults::Partition),
    ] {
        let mut simulation =
            Simulation::new(seed, nodes, vec![vec![window("w", 1_000, 5)]], Vec::new(), faults);
        simulation.run(40, 800, 1);
        let count = u64::try_from(nodes).unwrap();
        // (2 − 1 / nodes) · limit.
        simulation.check(|limit| 2 * limit - limit / count, &format!("seed {seed}, {nodes} nodes"));
        let buckets: Vec<u64> = simulation.admitted.values().copied().collect();
        assert!(buckets.iter().all(|units| *units > 0), "no window without an admitted call: {buckets:?}");
        let begin = u64::try_from(START_MS).unwrap() / 5_000;
        // Windows that lie wholly in the outage, and those well before and after it.
        for ((_, bucket), units) in &simulation.admitted {
            let at = bucket - begin;
            let is_apart = at <= 1 || at >= 7;
            let is_within = faults == Faults::Outage && at == 4;
            assert!(!(is_apart || is_within) || *units <= 1_000, "{units} in window {at}");
        }
    }
}

#[test]
fn exact_and_smooth_windows_draw_every_call() {
    let exact = LimitWindow { mode: Mode::Exact, ..window("exact", 300, 5) };
    let smooth = LimitWindow { algorithm: Algorithm::Smooth, ..window("smooth", 200, 5) };
    for (seed, windows) in [(41, vec![exact.clone()]), (42, vec![smooth.clone()]), (43, vec![exact, smooth])]
    {
        let is_smooth = windows.iter().any(|window| window.algorithm == Algorithm::Smooth);
        let mut simulation = Simulation::new(seed, 3, vec![windows], Vec::new(), Faults::None);
        simulation.run(22, 300, 1);
        // A smooth window admits its limit and what flows in: at most twice.
        let used =
            simulation.check(|limit| if is_smooth { 2 * limit } else { limit }, &format!("seed {seed}"));
        assert!(is_smooth || used > 0.99, "{used}");
    }
}

#[test]
fn an_exact_window_says_by_itself_what_it_says_without_the_pool() {
    for (on_unavailable, code) in
        [(OnUnavailable::Closed, Code::Unavailable), (OnUnavailable::Open, Code::Valid)]
    {
        let exact = LimitWindow { mode: Mode::Exact, on_unavailable, ..window("exact", 1, 5) };
        let mut simulation = Simulation::new(1, 2, vec![vec![exact]], Vec::new(), Faults::None);
        simulation.nodes[0].is_cut_off = true;
        let call = Call { key: 0, cost: 1, settled: Settled::default(), rounds: 0 };
        simulation.ask(0, call);
        simulation.ask(0, call);
        let expected = if code == Code::Valid { (0, 2) } else { (2, 0) };
        assert_eq!((simulation.refused, simulation.admitted.values().sum()), expected);
    }
}

#[test]
fn checks_without_cost_draw_nothing_and_too_large_ones_never_pass() {
    let simulation = Simulation::new(1, 1, vec![vec![window("w", 5, 5)]], Vec::new(), Faults::None);
    let (node, text) = (&simulation.nodes[0], simulation.secrets[0].expose().as_bytes());
    let free = node.engine.verify_at(&VerifyRequest { cost: 0, ..VerifyRequest::new(text) }, node.moment());
    assert_eq!(free.code, Code::Valid);
    assert_eq!(node.engine.limit_readings(&free).next().unwrap().remaining, 5);
    let large = node.engine.verify_at(&VerifyRequest { cost: 6, ..VerifyRequest::new(text) }, node.moment());
    assert_eq!((large.code, large.retry_after_seconds), (Code::RateLimited, None));
    let one = node.engine.verify_at(&VerifyRequest::new(text), node.moment());
    assert!(one.needs_share());
}

#[test]
fn a_share_of_an_old_limit_is_not_spent_under_a_new_one() {
    let mut simulation =
        Simulation::new(1, 1, vec![vec![window("w", 100_000, 3_600)]], Vec::new(), Faults::None);
    simulation.run(2, 500, 1);
    let view = KeyView { limits: Some(vec![window("w", 10, 3_600)]), ..simulation.views[0].clone() };
    let node = &simulation.nodes[0];
    let (text, now) = (simulation.secrets[0].expose().as_bytes(), node.moment());
    let before = node.engine.verify_at(&VerifyRequest::new(text), now);
    assert!(before.is_valid(), "there is a share");
    let change = keywright_domain::change::NumberedChange {
        sequence: 1,
        restricting: true,
        change: Change::Key(Box::new(view)),
    };
    node.engine.apply(&change).unwrap();
    assert!(node.engine.verify_at(&VerifyRequest::new(text), now).needs_share());
}
