//! Nothing is lost by taking states for one that differ in what makes no difference any more.
//!
//! For each state of a model that keeps everything: whatever can follow on it, reduced, can follow on the reduced state as
//! well, and the other way round, but for ends: states in which nothing can be accepted any more. A step of which nothing is
//! left when both sides are reduced counts as none: what a frozen node does, or a revoker whose receipt does not matter any
//! more. Whether a promise is broken is part of the state. Where silence is observed, only the other way is compared: reduced
//! states may lose challenges and fences, as networks may. What takes a step that is gone from the reduced state before takes
//! one less there.

use std::collections::HashSet;

use stateright::Model;

use super::{
    cases::{self, Subject},
    explore::{explore, fingerprint},
    real::{State, World},
};

#[test]
fn what_follows_on_a_reduced_state_is_what_follows_on_the_state_reduced() {
    let names = [
        "core: 1 node, fine",
        "core: 1 node, fine, lost messages",
        "core: 2 nodes, announcements",
        "core: lost messages",
        "core: slow looks",
        "core: clock at half rate, W = 2D",
        "core: kill and restart, two runs of one name",
        "core: silence, challenge, fence, register again",
        "core: a change before, silence, challenge",
        "core: lossy promotion, then a revocation",
        "core: term lowered in two steps",
        "core: atomic",
        "core: lease before apply",
        "core: entry before lease",
    ];
    let cases = cases::all();
    for name in names {
        let case = cases.iter().find(|case| case.name == name).expect("a configuration of this name");
        let Subject::Real(world) = &case.subject else { panic!("{name} is not a model of the core") };
        compare(name, world, 12_000);
    }
}

/// For the first `most` states.
fn compare(name: &str, world: &World, most: usize) {
    let whole = World { is_reduced: false, ..world.clone() };
    let mut layer = whole.init_states();
    let mut seen: HashSet<u64> = layer.iter().map(fingerprint).collect();
    while !layer.is_empty() && seen.len() < most {
        let mut next = Vec::new();
        for state in layer {
            let followers = followers(&whole, &state);
            let reduced = world.reduced(state.clone());
            let expected: HashSet<_> = followers.iter().map(|after| world.reduced(after.clone())).collect();
            // One end is as good as another.
            let is_end = |after: &State| world.is_over(after) && !after.is_broken();
            if is_end(&reduced) {
                assert_eq!(
                    expected.iter().find(|after| !is_end(after)),
                    None,
                    "{name}: not over, {state:#?}"
                );
            } else {
                let found: HashSet<_> = self::followers(world, &reduced).into_iter().collect();
                let differs = |from: &HashSet<State>, other: &HashSet<State>| {
                    let is_new = |after: &State| {
                        // A loss that changed nothing but how many are left, of which more are no less.
                        let mut kept = after.clone();
                        kept.losses_left = reduced.losses_left;
                        *after != reduced && kept != reduced && !is_end(after)
                    };
                    from.difference(other).find(|after| is_new(after)).cloned()
                };
                if !world.counts_renewals {
                    assert_eq!(differs(&expected, &found), None, "{name}: lost after {state:#?}");
                }
                // Something else may have to end first, which is gone from the reduced state.
                let aside = followers.iter().filter(|after| world.reduced((*after).clone()) == reduced);
                let beyond = aside.flat_map(|after| self::followers(&whole, after));
                let possible: HashSet<_> =
                    beyond.map(|after| world.reduced(after)).chain(expected.clone()).collect();
                assert_eq!(differs(&found, &possible), None, "{name}: made up after {state:#?}");
            }
            next.extend(followers.into_iter().filter(|after| seen.insert(fingerprint(after))));
        }
        layer = next;
    }
}

fn followers(world: &World, state: &State) -> Vec<State> {
    let mut actions = Vec::new();
    world.actions(state, &mut actions);
    actions.into_iter().filter_map(|action| world.next_state(state, action)).collect()
}

#[test]
fn stateright_finds_the_same() {
    let cases = cases::all();
    for case in cases.iter().filter(|case| case.is_short && !case.is_mutant()) {
        match &case.subject {
            Subject::Compact(protocol) if case.name == "no acknowledgements, only the wait" => {
                let again = protocol.clone();
                check_again(protocol, again);
            }
            Subject::Real(world) => check_again(&**world, (**world).clone()),
            Subject::Compact(_) => {}
        }
    }
}

fn check_again<M>(model: &M, again: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + std::fmt::Debug + std::hash::Hash + PartialEq + Send + Sync,
    M::Action: Clone + std::fmt::Debug + PartialEq + Send + Sync,
{
    use stateright::Checker;
    let found = explore(model, &[], |_| {});
    let checker = again.checker().spawn_bfs().join();
    assert_eq!(found.states, checker.unique_state_count());
    let discoveries: std::collections::BTreeSet<_> = checker.discoveries().into_keys().collect();
    assert_eq!(found.discoveries.into_keys().collect::<std::collections::BTreeSet<_>>(), discoveries);
}
