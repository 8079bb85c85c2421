use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const START: u64 = 1_000 * SECOND;
const TICKET: Ticket = Ticket(1);

fn run(number: u8) -> Incarnation {
    Incarnation([number; 16])
}

fn row(number: u8, applied: u64, renewals: u64) -> NodeRow {
    NodeRow {
        name: format!("node-{number}"),
        incarnation: run(number),
        address: String::new(),
        version: String::new(),
        applied,
        renewals,
        challenge: 0,
        reasserted: 1,
        is_fenced: false,
    }
}

struct Revoker {
    barrier: Barrier,
    now: u64,
}

impl Revoker {
    fn new() -> Self {
        Self { barrier: Barrier::new(Timing::STANDARD), now: START }
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        self.barrier.step(self.now, input)
    }

    fn commit(&mut self, sequence: u64, term: LeaseTerm) -> Vec<Output> {
        self.step(Input::Committed { ticket: TICKET, sequence, term })
    }

    fn looked(&mut self, rows: &[NodeRow]) -> Vec<Output> {
        self.step(Input::Looked { asked_at_ns: self.now, rows: rows.to_vec(), own: None })
    }

    /// Looks once more, `by` later.
    fn look_after(&mut self, by: u64, rows: &[NodeRow]) -> Vec<Output> {
        self.now += by;
        assert!(self.step(Input::Tick).contains(&Output::Look));
        self.looked(rows)
    }
}

fn receipts(out: &[Output]) -> Vec<Receipt> {
    out.iter()
        .filter_map(|output| if let Output::Done { receipt, .. } = output { Some(*receipt) } else { None })
        .collect()
}

fn challenges(out: &[Output]) -> usize {
    out.iter().filter(|output| matches!(output, Output::Challenge { .. })).count()
}

#[test]
fn a_change_is_done_when_every_node_has_applied_it() {
    let mut revoker = Revoker::new();
    assert_eq!(revoker.commit(7, LeaseTerm::Standard), [Output::Look]);
    assert_eq!(receipts(&revoker.looked(&[row(1, 7, 1), row(2, 6, 1)])), []);
    let out = revoker.look_after(MS, &[row(1, 7, 1), row(2, 8, 1)]);
    assert_eq!(
        out,
        [Output::Done { ticket: TICKET, receipt: Receipt { nodes: 2, silent: 0 } }, Output::Settled(7)]
    );
    let idle_ns = revoker.now + Timing::STANDARD.look_idle_every_ns;
    assert_eq!(revoker.barrier.next_tick_ns(), idle_ns, "nothing is looked for any more");
}

#[test]
fn other_nodes_get_a_moment_before_the_registry_is_read_for_the_first_time() {
    let mut revoker = Revoker::new();
    revoker.step(Input::Tick);
    revoker.looked(&[row(1, 6, 1), row(2, 6, 1)]);
    assert_eq!(revoker.commit(7, LeaseTerm::Standard), []);
    let look_every_ns = Timing::STANDARD.look_every_ns;
    assert_eq!(revoker.barrier.next_tick_ns(), revoker.now + look_every_ns);
    revoker.now += look_every_ns / 2;
    let second = Input::Committed { ticket: Ticket(9), sequence: 8, term: LeaseTerm::Standard };
    assert_eq!(revoker.step(second), [], "and the next commit does not put it off");
    assert_eq!(receipts(&revoker.look_after(look_every_ns / 2, &[row(1, 8, 1), row(2, 8, 1)])).len(), 2);
}

/// From the commit of one more change to the first look for it; the look is not answered yet.
fn first_pause(revoker: &mut Revoker, sequence: u64) -> u64 {
    let committed_ns = revoker.now;
    assert_eq!(revoker.commit(sequence, LeaseTerm::Standard), []);
    revoker.now = revoker.barrier.next_tick_ns();
    assert_eq!(revoker.step(Input::Tick), [Output::Look]);
    revoker.now - committed_ns
}

/// One more change that is found everywhere by the second look, `by` after the first; the pause before the first.
fn found_late(revoker: &mut Revoker, sequence: u64, by: u64) -> u64 {
    let pause = first_pause(revoker, sequence);
    assert_eq!(receipts(&revoker.looked(&[row(1, sequence, 1), row(2, sequence - 1, 1)])), []);
    let all = [row(1, sequence, 1), row(2, sequence, 1)];
    assert_eq!(receipts(&revoker.look_after(by, &all)).len(), 1);
    pause
}

/// One more change that is found everywhere by the first look; the pause before it.
fn found_at_once(revoker: &mut Revoker, sequence: u64) -> u64 {
    let pause = first_pause(revoker, sequence);
    assert_eq!(receipts(&revoker.looked(&[row(1, sequence, 1), row(2, sequence, 1)])).len(), 1);
    pause
}

#[test]
fn the_first_look_comes_when_the_others_usually_have_acknowledged() {
    let Timing { look_every_ns, look_every_max_ns, first_look_max_ns, .. } = Timing::STANDARD;
    let mut revoker = Revoker::new();
    revoker.step(Input::Tick);
    revoker.looked(&[row(1, 6, 1), row(2, 6, 1)]);
    let pauses: Vec<_> = (7..27).map(|sequence| found_late(&mut revoker, sequence, MS)).collect();
    assert_eq!(pauses[..2], [look_every_ns, look_every_ns * 5 / 4]);
    assert!(pauses.is_sorted());
    assert_eq!(pauses.last(), Some(&first_look_max_ns), "and no later");
    assert_eq!(found_late(&mut revoker, 27, look_every_max_ns), first_look_max_ns);
    let pauses: Vec<_> = (28..88).map(|sequence| found_at_once(&mut revoker, sequence)).collect();
    assert_eq!(pauses[..2], [first_look_max_ns, first_look_max_ns * 15 / 16]);
    assert!(pauses.is_sorted_by(|earlier, later| earlier >= later));
    assert_eq!(pauses.last(), Some(&(look_every_ns / 2)), "and no sooner");
}

#[test]
fn who_was_away_and_many_at_once_do_not_tell_when_to_look() {
    let Timing { look_every_ns, look_every_max_ns, .. } = Timing::STANDARD;
    let mut revoker = Revoker::new();
    revoker.step(Input::Tick);
    revoker.looked(&[row(1, 6, 1), row(2, 6, 1)]);
    found_late(&mut revoker, 7, look_every_max_ns);
    assert_eq!(first_pause(&mut revoker, 8), look_every_ns, "it was away");
    revoker.step(Input::Committed { ticket: Ticket(9), sequence: 9, term: LeaseTerm::Standard });
    revoker.looked(&[row(1, 8, 1), row(2, 7, 1)]);
    assert_eq!(receipts(&revoker.look_after(MS, &[row(1, 9, 1), row(2, 9, 1)])).len(), 2);
    assert_eq!(first_pause(&mut revoker, 10), look_every_ns, "there were two");
}

#[test]
fn a_fenced_node_is_not_waited_for() {
    let mut revoker = Revoker::new();
    revoker.commit(7, LeaseTerm::Standard);
    let fenced = NodeRow { is_fenced: true, ..row(2, 0, 1) };
    assert_eq!(receipts(&revoker.looked(&[row(1, 7, 1), fenced])), [Receipt { nodes: 1, silent: 0 }]);
}

#[test]
fn the_registry_counts_only_if_it_was_read_after_the_commit() {
    // A look under way when the commit becomes known, at the very same reading of the clock.
    let mut revoker = Revoker::new();
    assert_eq!(revoker.step(Input::Tick), [Output::Look]);
    assert_eq!(revoker.commit(7, LeaseTerm::Standard), []);
    assert_eq!(receipts(&revoker.looked(&[])), []);
    assert_eq!(receipts(&revoker.look_after(MS, &[])).len(), 1);
    // One that claims to be from before.
    revoker.commit(8, LeaseTerm::Standard);
    let out = revoker.step(Input::Looked { asked_at_ns: revoker.now - 1, rows: vec![], own: None });
    assert_eq!(receipts(&out), []);
}

#[test]
fn a_wait_begins_anew_in_a_new_history() {
    let mut revoker = Revoker::new();
    revoker.commit(7, LeaseTerm::Short);
    revoker.looked(&[row(1, 6, 1)]);
    revoker.now += 4 * SECOND;
    revoker.step(Input::HistoryChanged { began: 96, sequence: 100 });
    assert_eq!(receipts(&revoker.looked(&[row(1, 99, 1)])), []);
    revoker.now += 4_250 * MS - 1;
    assert_eq!(receipts(&revoker.step(Input::Tick)), []);
    revoker.now += 1;
    assert_eq!(receipts(&revoker.step(Input::Tick)).len(), 1);
}

#[test]
fn a_commit_of_a_history_that_is_over_is_not_waited_for() {
    let mut revoker = Revoker::new();
    revoker.step(Input::HistoryChanged { began: 96, sequence: 100 });
    // Its acknowledgement was on its way while the history changed.
    let late = Input::Committed { ticket: Ticket(7), sequence: 95, term: LeaseTerm::Short };
    assert!(revoker.step(late).contains(&Output::Overtaken(Ticket(7))));
    revoker.now += 60 * SECOND;
    assert_eq!(receipts(&revoker.looked(&[row(1, 200, 1)])), [], "nobody says that it holds");
    // The first number of this history.
    assert_eq!(revoker.commit(96, LeaseTerm::Short), [Output::Look]);
    assert_eq!(receipts(&revoker.looked(&[row(1, 200, 1)])).len(), 1);
}

#[test]
fn what_was_acknowledged_in_another_history_is_no_acknowledgement() {
    let mut revoker = Revoker::new();
    revoker.commit(7, LeaseTerm::Short);
    // A fail-over may have lost the change. This node loaded what there was, and acknowledged numbers that are higher.
    let next = 1 << 32;
    assert_eq!(receipts(&revoker.looked(&[row(1, next + 1, 1)])), []);
    revoker.now += 60 * SECOND;
    assert_eq!(receipts(&revoker.step(Input::Tick)), [], "nor does time tell");
    revoker.step(Input::Reasserting);
    revoker.step(Input::HistoryChanged { began: next, sequence: next + 2 });
    assert_eq!(receipts(&revoker.looked(&[row(1, next + 1, 2)])), []);
    assert_eq!(receipts(&revoker.look_after(SECOND, &[row(1, next + 2, 3)])).len(), 1);
}

#[test]
fn a_change_of_another_history_that_is_never_re_asserted_is_waited_for_no_longer_than_any() {
    let mut revoker = Revoker::new();
    revoker.commit(7, LeaseTerm::Short);
    revoker.looked(&[row(1, 1 << 32, 1)]);
    revoker.now = START + Timing::STANDARD.longest_wait_ns() - 1;
    let out = revoker.step(Input::Tick);
    assert!(!out.contains(&Output::Overtaken(TICKET)) && receipts(&out).is_empty());
    assert!(revoker.barrier.next_tick_ns() <= revoker.now + 1);
    revoker.now += 1;
    assert!(revoker.step(Input::Tick).contains(&Output::Overtaken(TICKET)));
}

#[test]
fn a_commit_that_becomes_known_while_others_are_re_asserted_is_not_one_of_them() {
    let mut revoker = Revoker::new();
    let next = 1 << 32;
    revoker.commit(7, LeaseTerm::Short);
    revoker.step(Input::Reasserting);
    revoker.step(Input::Committed { ticket: Ticket(2), sequence: 8, term: LeaseTerm::Short });
    revoker.step(Input::Committed { ticket: Ticket(3), sequence: next + 1, term: LeaseTerm::Short });
    let out = revoker.step(Input::HistoryChanged { began: next, sequence: next + 1 });
    assert_eq!(out, [Output::Overtaken(Ticket(2))]);
    assert_eq!(receipts(&revoker.looked(&[row(1, next + 1, 1)])), [], "asked before");
    assert_eq!(receipts(&revoker.look_after(SECOND, &[row(1, next + 1, 1)])).len(), 2);

    // Had it to be begun once more, both would be.
    let mut revoker = Revoker::new();
    revoker.step(Input::Reasserting);
    revoker.commit(7, LeaseTerm::Short);
    revoker.step(Input::Reasserting);
    let out = revoker.step(Input::HistoryChanged { began: next, sequence: next + 1 });
    assert!(!out.contains(&Output::Overtaken(TICKET)));
}

#[test]
fn a_look_that_failed_is_early_no_more() {
    let mut revoker = Revoker::new();
    revoker.step(Input::Tick);
    revoker.commit(7, LeaseTerm::Standard);
    revoker.step(Input::LookFailed);
    assert_eq!(receipts(&revoker.look_after(MS, &[row(1, 7, 1)])).len(), 1);
}

#[test]
fn a_wait_ends_at_its_end_and_not_before() {
    for (term, wait_ms) in
        [(LeaseTerm::Short, 4_250), (LeaseTerm::Standard, 38_000), (LeaseTerm::Long, 375_500)]
    {
        let mut revoker = Revoker::new();
        revoker.commit(7, term);
        revoker.looked(&[row(1, 7, 1), row(2, 6, 1)]);
        revoker.now = START + wait_ms * MS - 1;
        assert_eq!(receipts(&revoker.step(Input::Tick)), []);
        assert!(revoker.barrier.next_tick_ns() <= START + wait_ms * MS);
        revoker.now += 1;
        assert_eq!(receipts(&revoker.step(Input::Tick)), [Receipt { nodes: 1, silent: 1 }], "{term:?}");
    }
}

#[test]
fn a_wait_ends_without_the_registry() {
    let mut revoker = Revoker::new();
    revoker.commit(7, LeaseTerm::Standard);
    revoker.step(Input::LookFailed);
    revoker.now += 38 * SECOND;
    assert_eq!(receipts(&revoker.step(Input::Tick)).len(), 1);
}

#[test]
fn without_leases_there_is_nothing_to_wait_for() {
    let mut revoker = Revoker::new();
    assert_eq!(receipts(&revoker.commit(7, LeaseTerm::ReadThrough)).len(), 1);
}

#[test]
fn a_silent_node_costs_a_wait_the_first_time_and_a_challenge_the_second() {
    let mut revoker = Revoker::new();
    let silent = [row(1, 7, 1), row(2, 6, 1)];
    revoker.commit(7, LeaseTerm::Standard);
    revoker.looked(&silent);
    revoker.now += 38 * SECOND;
    assert_eq!(receipts(&revoker.step(Input::Tick)).len(), 1);
    revoker.looked(&silent);
    // The second change: nothing is known of what the node is about to do, so it is challenged.
    let silent = [row(1, 8, 2), row(2, 6, 1)];
    revoker.now += MS;
    revoker.step(Input::Committed { ticket: Ticket(2), sequence: 8, term: LeaseTerm::Standard });
    let out = revoker.looked(&silent);
    assert_eq!(out, [Output::Challenge { node: run(2), renewals: 1, sequence: 8 }]);
    revoker.step(Input::Challenged { node: run(2), sequence: 8, is_silent: true });
    let out = revoker.looked(&silent);
    // It may have a longer lease for others, so nothing is settled.
    assert_eq!(out, [Output::Done { ticket: Ticket(2), receipt: Receipt { nodes: 1, silent: 1 } }]);
}

#[test]
fn a_node_that_speaks_is_not_silent() {
    for (is_silent, renewals) in [(false, 1), (false, 2), (true, 2)] {
        let mut revoker = Revoker::new();
        revoker.step(Input::Tick);
        revoker.looked(&[row(2, 6, 1)]);
        revoker.now += 60 * SECOND;
        revoker.commit(7, LeaseTerm::Standard);
        assert_eq!(challenges(&revoker.looked(&[row(2, 6, 1)])), 1);
        revoker.step(Input::Challenged { node: run(2), sequence: 7, is_silent });
        // It polled before the challenge, or after.
        assert_eq!(receipts(&revoker.looked(&[row(2, 6, renewals)])), [], "{is_silent} {renewals}");
    }
}

#[test]
fn silence_counts_per_term() {
    let mut revoker = Revoker::new();
    revoker.step(Input::Tick);
    revoker.looked(&[row(2, 6, 1)]);
    // Silent for longer than a short lease, not for longer than a standard one.
    revoker.now += 5 * SECOND;
    revoker.step(Input::Committed { ticket: Ticket(1), sequence: 7, term: LeaseTerm::Short });
    revoker.step(Input::Committed { ticket: Ticket(2), sequence: 7, term: LeaseTerm::Standard });
    assert_eq!(challenges(&revoker.looked(&[row(2, 6, 1)])), 1);
    revoker.step(Input::Challenged { node: run(2), sequence: 7, is_silent: true });
    let out = revoker.looked(&[row(2, 6, 1)]);
    assert_eq!(out, [Output::Done { ticket: Ticket(1), receipt: Receipt { nodes: 0, silent: 1 } }]);
}

#[test]
fn a_challenge_that_got_lost_comes_again() {
    let mut revoker = Revoker::new();
    revoker.step(Input::Tick);
    revoker.looked(&[row(2, 6, 1)]);
    revoker.now += 60 * SECOND;
    revoker.commit(7, LeaseTerm::Standard);
    assert_eq!(challenges(&revoker.looked(&[row(2, 6, 1)])), 1);
    assert_eq!(challenges(&revoker.look_after(SECOND, &[row(2, 6, 1)])), 0);
    assert_eq!(challenges(&revoker.look_after(SECOND, &[row(2, 6, 1)])), 1);
}

#[test]
fn a_node_silent_for_the_longest_wait_is_fenced_and_fenced_again_if_that_got_lost() {
    let fences = |out: &[Output]| out.contains(&Output::Fence { node: run(2), renewals: 1 });
    let mut revoker = Revoker::new();
    revoker.step(Input::Tick);
    revoker.looked(&[row(2, 6, 1)]);
    revoker.now += 375_500 * MS - 1;
    assert!(!fences(&revoker.looked(&[row(2, 6, 1)])));
    revoker.now += 1;
    assert!(fences(&revoker.looked(&[row(2, 6, 1)])));
    revoker.now += 2 * SECOND - 1;
    assert!(!fences(&revoker.looked(&[row(2, 6, 1)])));
    revoker.now += 1;
    assert!(fences(&revoker.looked(&[row(2, 6, 1)])));
}

#[test]
fn what_this_process_has_applied_it_knows_better_than_the_registry() {
    for (own, is_done) in [((run(1), 7), true), ((run(1), 6), false), ((run(9), 7), false)] {
        let mut revoker = Revoker::new();
        revoker.commit(7, LeaseTerm::Standard);
        let (asked_at_ns, rows) = (revoker.now, vec![row(1, 5, 1)]);
        let out = revoker.step(Input::Looked { asked_at_ns, rows, own: Some(own) });
        assert_eq!(receipts(&out).len(), usize::from(is_done), "{own:?}");
    }
}

#[test]
fn whoever_will_not_wait_is_told_what_is_waited_for() {
    let mut revoker = Revoker::new();
    revoker.commit(7, LeaseTerm::Standard);
    revoker.looked(&[row(1, 7, 1), row(2, 6, 1)]);
    let left = |lease_left_ns| vec![WaitingOn { name: "node-2".to_owned(), lease_left_ns }];
    assert_eq!(revoker.barrier.waiting_on(TICKET, START), left(38 * SECOND));
    assert_eq!(revoker.barrier.waiting_on(TICKET, START + 30 * SECOND), left(8 * SECOND));
    revoker.step(Input::Abandoned(TICKET));
    assert_eq!(revoker.barrier.waiting_on(TICKET, START), []);
    revoker.now += 38 * SECOND;
    assert_eq!(receipts(&revoker.step(Input::Tick)), []);
}

#[test]
fn looks_come_fast_while_something_waits_and_seldom_otherwise() {
    let mut revoker = Revoker::new();
    revoker.commit(7, LeaseTerm::Standard);
    revoker.looked(&[row(2, 6, 1)]);
    assert_eq!(revoker.barrier.next_tick_ns(), START + Timing::STANDARD.look_every_ns);
    let mut looks = 0;
    while revoker.now < START + 10 * SECOND {
        revoker.now = revoker.barrier.next_tick_ns();
        assert!(revoker.step(Input::Tick).contains(&Output::Look));
        revoker.looked(&[row(2, 6, 1)]);
        looks += 1;
    }
    assert!((500..600).contains(&looks), "{looks}");
    revoker.step(Input::Abandoned(TICKET));
    revoker.look_after(20 * MS, &[row(2, 6, 1)]);
    assert_eq!(revoker.barrier.next_tick_ns(), revoker.now + Timing::STANDARD.look_idle_every_ns);
}

#[test]
fn a_node_that_has_never_polled_costs_a_challenge_and_no_wait() {
    let mut revoker = Revoker::new();
    revoker.commit(7, LeaseTerm::Long);
    let loading = [row(1, 7, 3), row(2, 0, 0)];
    let out = revoker.looked(&loading);
    assert_eq!(out, [Output::Challenge { node: run(2), renewals: 0, sequence: 7 }]);
    revoker.step(Input::Challenged { node: run(2), sequence: 7, is_silent: true });
    let out = revoker.looked(&loading);
    assert_eq!(out, [Output::Done { ticket: TICKET, receipt: Receipt { nodes: 1, silent: 1 } }]);
    // Its first poll is bound by the challenge; until it has acknowledged, it counts as any other node.
    revoker.step(Input::Committed { ticket: Ticket(2), sequence: 8, term: LeaseTerm::Long });
    assert_eq!(revoker.looked(&[row(1, 8, 3), row(2, 7, 1)]), []);
}
