use super::*;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const START: u64 = 1_000 * SECOND;
const RUN: Incarnation = Incarnation([1; 16]);
const OTHER_RUN: Incarnation = Incarnation([2; 16]);
const EPOCH: Epoch = Epoch { system: 7, timeline: 1 };
const PROMOTED: Epoch = Epoch { system: 7, timeline: 2 };

/// A node and its clock.
struct Node {
    follower: Follower,
    now: u64,
}

impl Node {
    fn new() -> Self {
        Self { follower: Follower::new(Timing::STANDARD), now: START }
    }

    /// Registered, loaded at `sequence`, and with its first poll on the way.
    fn following(sequence: u64) -> Self {
        let mut node = Self::new();
        assert_eq!(node.step(&Input::Tick), [begin(Operation::Register { applied: 0, reasserted: None })]);
        assert_eq!(node.step(&Input::Registered(RUN)), [begin(Operation::Load)]);
        assert_eq!(node.step(&Input::Loaded { sequence }), [poll(sequence, None)]);
        node
    }

    /// The same, and with a lease.
    fn leased(sequence: u64) -> Self {
        let mut node = Self::following(sequence);
        let sent = node.now;
        assert_eq!(leases(&node.step(&Input::Polled(reply(sequence)))), [sent]);
        node.acknowledge();
        node
    }

    fn step(&mut self, input: &Input) -> Vec<Output> {
        self.follower.step(self.now, input)
    }

    fn wait(&mut self, by: u64) -> Vec<Output> {
        self.now += by;
        self.step(&Input::Tick)
    }

    fn acknowledge(&mut self) {
        if let Some((Operation::Acknowledge { applied, .. }, _)) = self.follower.in_flight {
            self.step(&Input::Acknowledged { applied });
        }
    }
}

fn begin(operation: Operation) -> Output {
    Output::Begin(operation)
}

fn poll(applied: u64, anchor: Option<Anchor>) -> Output {
    begin(Operation::Poll { incarnation: RUN, applied, anchor })
}

const ANCHOR: Anchor = Anchor { audit_sequence: 3, audit_hash: [3; 32] };

fn reply(head: u64) -> PollReply {
    PollReply {
        is_alive: true,
        head,
        stable: 0,
        generation: 1,
        is_generation_settled: true,
        reasserted: 1,
        challenge: 0,
        is_anchored: true,
        anchor: ANCHOR,
        epoch: EPOCH,
        generation_epoch: EPOCH,
        nodes: 0,
        is_standby: false,
        wall_ms: 0,
    }
}

/// When the polls were sent whose leases were published.
fn leases(out: &[Output]) -> Vec<u64> {
    out.iter()
        .filter_map(|output| match output {
            Output::Lease(ends) => {
                assert_eq!(ends[0], 0, "nothing is answered from memory alone where each verification asks");
                let sent = ends[2] - 30 * SECOND;
                assert_eq!(*ends, [0, sent + 3 * SECOND, sent + 30 * SECOND, sent + 300 * SECOND]);
                Some(sent)
            }
            _ => None,
        })
        .collect()
}

fn begun(out: &[Output]) -> Vec<Operation> {
    out.iter()
        .filter_map(|output| if let Output::Begin(begun) = output { Some(*begun) } else { None })
        .collect()
}

fn drops(out: &[Output]) -> bool {
    out.contains(&Output::DropLeases)
}

#[test]
fn a_lease_counts_from_before_the_poll_was_sent() {
    let mut node = Node::following(5);
    node.now += 700 * MS;
    let out = node.step(&Input::Polled(reply(5)));
    assert_eq!(leases(&out), [START]);
    assert!(out.contains(&Output::WallClock { sent_at_ns: START, wall_ms: 0 }));
}

#[test]
fn nothing_is_leased_before_everything_shown_was_applied() {
    let mut node = Node::following(5);
    let out = node.step(&Input::Polled(reply(9)));
    assert_eq!(leases(&out), [] as [u64; 0]);
    assert_eq!(begun(&out), [Operation::Fetch { after: 5 }]);
    // A part of it is acknowledged, but not enough.
    let out = node.step(&Input::Fetched { applied: 8 });
    assert_eq!(leases(&out), [] as [u64; 0]);
    assert_eq!(begun(&out), [Operation::Acknowledge { incarnation: RUN, applied: 8 }]);
    assert_eq!(begun(&node.step(&Input::Acknowledged { applied: 8 })), [Operation::Fetch { after: 8 }]);
    node.now += SECOND;
    assert_eq!(leases(&node.step(&Input::Fetched { applied: 9 })), [START]);
}

#[test]
fn what_is_not_applied_is_never_acknowledged() {
    let mut node = Node::leased(5);
    let out = node.step(&Input::Announced { sequence: 6 });
    assert_eq!(begun(&out), [Operation::Fetch { after: 5 }]);
    assert_eq!(
        begun(&node.step(&Input::Fetched { applied: 6 })),
        [Operation::Acknowledge { incarnation: RUN, applied: 6 }]
    );
}

#[test]
fn the_acknowledgement_of_own_commits_goes_with_the_next_one_or_a_little_later() {
    let mut node = Node::leased(5);
    let acknowledges = |applied| [Operation::Acknowledge { incarnation: RUN, applied }];
    let after = Timing::STANDARD.acknowledge_own_after_ns;
    assert_eq!(begun(&node.step(&Input::Advanced { applied: 6 })), []);
    assert_eq!(node.follower.next_tick_ns(), Some(node.now + after));
    assert_eq!(begun(&node.wait(after - 1)), []);
    assert_eq!(begun(&node.step(&Input::Advanced { applied: 7 })), [], "the second does not put it off");
    assert_eq!(begun(&node.wait(1)), acknowledges(7));
    assert_eq!(begun(&node.step(&Input::Acknowledged { applied: 7 })), []);
    node.step(&Input::Advanced { applied: 8 });
    assert_eq!(begun(&node.step(&Input::Announced { sequence: 9 })), [Operation::Fetch { after: 8 }]);
    assert_eq!(begun(&node.step(&Input::Fetched { applied: 9 })), acknowledges(9), "at once");
}

#[test]
fn an_answer_that_comes_after_it_was_given_up_means_nothing() {
    let mut node = Node::following(5);
    node.step(&Input::Failed);
    assert_eq!(node.step(&Input::Polled(reply(5))), []);
    // Neither do answers to what was not asked.
    node.now += SECOND;
    assert_eq!(begun(&node.step(&Input::Tick)).len(), 1);
    for stale in [
        Input::Loaded { sequence: 99 },
        Input::Registered(OTHER_RUN),
        Input::Fetched { applied: 99 },
        Input::Acknowledged { applied: 99 },
        Input::Reasserted { generation: 9 },
        Input::GenerationBegun,
        Input::Gap,
    ] {
        assert_eq!(node.step(&stale), [], "{stale:?}");
        assert_eq!((node.follower.applied(), node.follower.incarnation()), (5, Some(RUN)));
    }
    assert_eq!(leases(&node.step(&Input::Polled(reply(5)))), [START + SECOND]);
}

#[test]
fn a_node_slower_than_the_log_still_gets_leases() {
    let mut node = Node::following(0);
    let mut head = 10;
    let mut published = 0;
    let mut out = node.step(&Input::Polled(reply(head)));
    for _ in 0..100 {
        // Each step takes a poll's pause, and the log grows by more than what one step applies.
        node.now += 2 * SECOND;
        head += 2;
        out = match begun(&out)[0] {
            Operation::Fetch { after } => node.step(&Input::Fetched { applied: after + 2 }),
            Operation::Acknowledge { applied, .. } => node.step(&Input::Acknowledged { applied }),
            Operation::Poll { .. } => node.step(&Input::Polled(reply(head))),
            other => panic!("{other:?}"),
        };
        published += leases(&out).len();
    }
    assert!(published >= 3, "{published}");
}

#[test]
fn a_fenced_node_drops_its_leases_and_registers_a_new_run() {
    let mut node = Node::leased(5);
    node.wait(2 * SECOND);
    let out = node.step(&Input::Polled(PollReply { is_alive: false, ..reply(7) }));
    assert_eq!(out, [Output::DropLeases, begin(Operation::Register { applied: 5, reasserted: Some(1) })]);
    let out = node.step(&Input::Registered(OTHER_RUN));
    assert_eq!(node.follower.incarnation(), Some(OTHER_RUN));
    // What is in memory stays in use, after the next poll.
    assert!(matches!(begun(&out)[..], [Operation::Poll { incarnation: OTHER_RUN, applied: 5, .. }]));
    assert_eq!(leases(&node.step(&Input::Polled(reply(5)))), [node.now]);
}

#[test]
fn what_is_applied_while_registering_is_not_taken_for_acknowledged() {
    let mut node = Node::leased(5);
    node.wait(2 * SECOND);
    node.step(&Input::Polled(PollReply { is_alive: false, ..reply(5) }));
    node.step(&Input::Advanced { applied: 6 });
    node.step(&Input::Registered(OTHER_RUN));
    node.step(&Input::Failed);
    node.now += 100 * MS;
    // The poll acknowledges it; a poll's failure leaves it open.
    assert_eq!(node.follower.acknowledged, 5);
}

#[test]
fn a_standby_is_not_listened_to() {
    let mut node = Node::following(5);
    let out = node.step(&Input::Polled(PollReply { is_standby: true, is_alive: false, ..reply(9) }));
    assert_eq!((leases(&out), drops(&out)), (vec![], false));
    node.acknowledge();
    assert_eq!(node.follower.next_tick_ns(), Some(node.now + 100 * MS));
    assert!(matches!(begun(&node.wait(100 * MS))[..], [Operation::Poll { .. }]));
}

#[test]
fn a_challenged_poll_gives_no_lease_and_the_next_comes_at_once() {
    for (challenge, is_leased) in [(5, true), (6, false)] {
        let mut node = Node::following(5);
        let out = node.step(&Input::Polled(PollReply { challenge, ..reply(5) }));
        assert_eq!(!leases(&out).is_empty(), is_leased, "challenge {challenge}");
        assert_eq!(begun(&out).iter().any(|begun| matches!(begun, Operation::Poll { .. })), !is_leased);
    }
}

#[test]
fn an_announcement_that_comes_during_a_fetch_is_not_forgotten() {
    let mut node = Node::leased(5);
    node.step(&Input::Announced { sequence: 6 });
    node.step(&Input::Announced { sequence: 7 });
    let out = node.step(&Input::Fetched { applied: 5 });
    assert_eq!(begun(&out), [Operation::Fetch { after: 5 }]);
    // The second time nothing newer was announced.
    assert_eq!(begun(&node.step(&Input::Fetched { applied: 5 })), []);
}

#[test]
fn a_fetch_that_finds_nothing_leads_to_another_poll() {
    let mut node = Node::following(5);
    node.step(&Input::Polled(reply(9)));
    let out = node.step(&Input::Fetched { applied: 5 });
    assert_eq!(leases(&out), [] as [u64; 0]);
    assert_eq!(begun(&out).len() + begun(&node.wait(100 * MS)).len(), 1, "neither stuck nor busy");
    assert!(matches!(node.follower.in_flight, Some((Operation::Poll { .. }, _))));
}

#[test]
fn a_log_that_does_not_reach_back_is_loaded_anew_after_a_poll() {
    let mut node = Node::following(5);
    node.step(&Input::Polled(reply(90)));
    let out = node.step(&Input::Gap);
    assert!(drops(&out));
    assert!(matches!(begun(&out)[..], [Operation::Poll { .. }]));
    let out = node.step(&Input::Polled(reply(91)));
    assert_eq!(leases(&out), [] as [u64; 0]);
    assert_eq!(begun(&out), [Operation::Load]);
    node.step(&Input::Loaded { sequence: 91 });
    assert_eq!(leases(&node.step(&Input::Polled(reply(91)))), [node.now]);
}

#[test]
fn another_history_is_noticed_by_each_of_its_signs() {
    let signs: [(&str, PollReply); 5] = [
        ("epoch", PollReply { epoch: PROMOTED, ..reply(5) }),
        ("generation", PollReply { generation: 2, generation_epoch: PROMOTED, epoch: PROMOTED, ..reply(5) }),
        ("anchor", PollReply { is_anchored: false, ..reply(5) }),
        ("shorter log", reply(4)),
        ("row", PollReply { reasserted: 0, ..reply(5) }),
    ];
    for (sign, answer) in signs {
        let mut node = Node::leased(5);
        node.wait(2 * SECOND);
        let out = node.step(&Input::Polled(answer));
        assert!(drops(&out), "{sign}");
        assert_eq!(leases(&out), [] as [u64; 0], "{sign}");
        assert!(!node.follower.is_following(), "{sign}");
    }
}

#[test]
fn a_change_of_history_is_reasserted_before_anything_is_loaded_or_leased() {
    let mut node = Node::leased(5);
    node.wait(2 * SECOND);
    let promoted = PollReply { epoch: PROMOTED, ..reply(4) };
    let out = node.step(&Input::Polled(promoted));
    assert_eq!(out[0], Output::DropLeases);
    assert_eq!(begun(&out), [Operation::BeginGeneration { generation: 1, epoch: PROMOTED }]);
    assert_eq!(begun(&node.step(&Input::GenerationBegun)).len(), 1);
    let begun_reply =
        PollReply { generation: 2, generation_epoch: PROMOTED, is_generation_settled: false, ..promoted };
    let out = node.step(&Input::Polled(begun_reply));
    assert_eq!(begun(&out), [Operation::Reassert { incarnation: RUN, generation: 2 }]);
    assert_eq!(begun(&node.step(&Input::Reasserted { generation: 2 })), [Operation::Load]);
    assert_eq!(node.step(&Input::Loaded { sequence: 100 }), [poll(100, None)]);
    // Others have not re-asserted yet.
    let unsettled = PollReply { reasserted: 2, head: 100, ..begun_reply };
    let out = node.step(&Input::Polled(unsettled));
    assert_eq!(leases(&out), [] as [u64; 0]);
    node.acknowledge();
    node.wait(100 * MS);
    let settled = PollReply { is_generation_settled: true, ..unsettled };
    assert_eq!(leases(&node.step(&Input::Polled(settled))), [node.now]);
}

#[test]
fn a_generation_that_does_not_settle_is_waited_for_no_longer_than_its_time() {
    for (waited, is_leased) in [(40 * SECOND - 1, false), (40 * SECOND, true)] {
        let mut node = Node::following(5);
        let unsettled = PollReply { is_generation_settled: false, ..reply(5) };
        assert_eq!(leases(&node.step(&Input::Polled(unsettled))), [] as [u64; 0]);
        node.acknowledge();
        node.wait(waited);
        let out = node.step(&Input::Polled(unsettled));
        assert_eq!(!leases(&out).is_empty(), is_leased, "{waited}");
    }
}

#[test]
fn a_history_that_changes_between_load_and_first_poll_is_noticed() {
    // The row is from generation 1, and so may be what was loaded; the log of generation 2 happens to be as long.
    let mut node = Node::following(5);
    let changed = PollReply { generation: 2, epoch: PROMOTED, generation_epoch: PROMOTED, ..reply(5) };
    let out = node.step(&Input::Polled(changed));
    assert_eq!(leases(&out), [] as [u64; 0]);
    assert_eq!(begun(&out), [Operation::Reassert { incarnation: RUN, generation: 2 }]);
    assert_eq!(begun(&node.step(&Input::Reasserted { generation: 2 })), [Operation::Load]);
}

#[test]
fn a_run_registered_while_astray_claims_to_have_applied_nothing() {
    let mut node = Node::leased(5);
    node.wait(2 * SECOND);
    let out = node.step(&Input::Polled(PollReply { is_alive: false, epoch: PROMOTED, ..reply(4) }));
    assert_eq!(begun(&out), [Operation::Register { applied: 0, reasserted: Some(1) }]);
}

#[test]
fn failures_are_retried_ever_more_slowly_up_to_the_polls_pause() {
    let mut node = Node::following(5);
    for pause in [100, 200, 400, 800, 1_600, 2_000, 2_000] {
        node.step(&Input::Failed);
        assert_eq!(node.follower.next_tick_ns(), Some(node.now + pause * MS));
        assert_eq!(begun(&node.wait(pause * MS - 1)), []);
        assert_eq!(begun(&node.wait(1)).len(), 1);
    }
    node.step(&Input::Polled(reply(5)));
    node.acknowledge();
    node.wait(2 * SECOND);
    node.step(&Input::Failed);
    assert_eq!(node.follower.next_tick_ns(), Some(node.now + 100 * MS), "an answer forgets the failures");
}

#[test]
fn a_poll_comes_every_two_seconds() {
    let mut node = Node::leased(5);
    assert_eq!(node.follower.next_tick_ns(), Some(START + 2 * SECOND));
    assert_eq!(begun(&node.wait(2 * SECOND - 1)), []);
    assert_eq!(begun(&node.wait(1)).len(), 1);
}

#[test]
fn a_node_that_ends_drops_its_leases_and_does_nothing_more() {
    let mut node = Node::following(5);
    assert_eq!(node.step(&Input::Stop), [Output::DropLeases]);
    assert_eq!(node.step(&Input::Polled(reply(5))), []);
    assert_eq!((node.wait(9 * SECOND), node.follower.next_tick_ns()), (vec![], None));
}

#[test]
fn what_an_announcement_tells_is_acknowledged_at_once_and_leases_nothing() {
    let mut node = Node::leased(5);
    let out = node.step(&Input::Told { applied: 6 });
    assert_eq!(begun(&out), [Operation::Acknowledge { incarnation: RUN, applied: 6 }]);
    assert_eq!(leases(&out), [0_u64; 0]);
    node.acknowledge();
    assert_eq!(node.step(&Input::Announced { sequence: 6 }), [], "it is there");
    // Own commits wait a little for others; what somebody else waits for takes them along.
    assert_eq!(begun(&node.step(&Input::Advanced { applied: 7 })), []);
    let out = node.step(&Input::Told { applied: 8 });
    assert_eq!(begun(&out), [Operation::Acknowledge { incarnation: RUN, applied: 8 }]);
}

#[test]
fn what_an_announcement_tells_can_complete_what_a_poll_showed() {
    let mut node = Node::following(5);
    let sent = node.now;
    assert_eq!(begun(&node.step(&Input::Polled(reply(6)))), [Operation::Fetch { after: 5 }]);
    assert_eq!(
        leases(&node.step(&Input::Told { applied: 6 })),
        [sent],
        "everything that it showed is applied"
    );
    let mut loading = Node::new();
    loading.step(&Input::Tick);
    loading.step(&Input::Registered(RUN));
    loading.step(&Input::Told { applied: 9 });
    assert_eq!(loading.follower.applied(), 0, "while the state is loaded, nothing is applied");
}
