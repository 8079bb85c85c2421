//! Explores a model to its end, breadth first, on one thread.
//!
//! Models are written against stateright's traits, and its checker explores the small ones as well: a test compares the
//! two. This one exists because of memory and time. A state that was explored costs 16 bytes, as there, but no path: a
//! counterexample is found again by walking the states' parents back, so it is one of the shortest. And it stops where
//! it is told to, at the state that decides the question.
//!
//! Like stateright's, it knows a state by a 64-bit fingerprint. Two states with one fingerprint would count as one, so
//! that the second is not explored: at 10^8 states, the chance that any two of them meet is 1 in 3,700.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hash, Hasher},
};

use stateright::{Expectation, Model, Property};

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) states: usize,
    /// Steps from the beginning.
    pub(crate) depth: usize,
    /// States at that depth.
    pub(crate) breadth: usize,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Explored<A> {
    pub(crate) states: usize,
    /// By property: the steps to the state that breaks it, or fulfils it, if it is one that should be possible.
    pub(crate) discoveries: BTreeMap<&'static str, Vec<A>>,
}

type Parents = HashMap<u64, u64, BuildHasherDefault<Taken>>;

/// Every state of `model` that can be reached; no further once a state was discovered for one of `stops`.
pub(crate) fn explore<M>(model: &M, stops: &[&str], mut report: impl FnMut(Progress)) -> Explored<M::Action>
where
    M: Model,
    M::State: Hash,
    M::Action: Clone,
{
    const REPORT_EVERY: usize = 1 << 20;
    let properties = model.properties();
    let mut parents = Parents::default();
    let mut found = BTreeMap::new();
    let mut layer = Vec::new();
    for state in model.init_states() {
        let print = fingerprint(&state);
        parents.insert(print, print);
        judge(model, &properties, &state, print, &mut found);
        layer.push((print, state));
    }
    let mut actions = Vec::new();
    let mut depth = 0;
    'layers: while !layer.is_empty() {
        let mut next = Vec::new();
        depth += 1;
        for (print, state) in layer {
            model.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let Some(after) = model.next_state(&state, action) else { continue };
                let after_print = fingerprint(&after);
                let Entry::Vacant(entry) = parents.entry(after_print) else { continue };
                entry.insert(print);
                judge(model, &properties, &after, after_print, &mut found);
                if stops.iter().any(|stop| found.contains_key(stop)) {
                    break 'layers;
                }
                next.push((after_print, after));
                if parents.len().is_multiple_of(REPORT_EVERY) {
                    report(Progress { states: parents.len(), depth, breadth: next.len() });
                }
            }
        }
        layer = next;
    }
    let discoveries = found.iter().map(|(name, print)| (*name, path(model, &parents, *print))).collect();
    Explored { states: parents.len(), discoveries }
}

fn judge<M: Model>(
    model: &M,
    properties: &[Property<M>],
    state: &M::State,
    print: u64,
    found: &mut BTreeMap<&'static str, u64>,
) {
    for property in properties {
        if found.contains_key(property.name) {
            continue;
        }
        let is_discovery = match property.expectation {
            Expectation::Always => !(property.condition)(model, state),
            Expectation::Sometimes => (property.condition)(model, state),
            Expectation::Eventually => unreachable!("no model asks for it"),
        };
        if is_discovery {
            found.insert(property.name, print);
        }
    }
}

/// The steps from the beginning to the state with this fingerprint.
fn path<M>(model: &M, parents: &Parents, mut print: u64) -> Vec<M::Action>
where
    M: Model,
    M::State: Hash,
    M::Action: Clone,
{
    let mut prints = vec![print];
    while parents[&print] != print {
        print = parents[&print];
        prints.push(print);
    }
    let mut state = model.init_states().into_iter().find(|state| fingerprint(state) == print);
    let mut path = Vec::new();
    for wanted in prints.into_iter().rev().skip(1) {
        let from = state.take().expect("the steps that were taken can be taken again");
        let mut actions = Vec::new();
        model.actions(&from, &mut actions);
        let taken = actions.into_iter().find_map(|action| {
            let after = model.next_state(&from, action.clone())?;
            (fingerprint(&after) == wanted).then_some((action, after))
        });
        let (action, after) = taken.expect("the steps that were taken can be taken again");
        path.push(action);
        state = Some(after);
    }
    path
}

pub(crate) fn fingerprint(state: &impl Hash) -> u64 {
    let mut hasher = Folded(0);
    state.hash(&mut hasher);
    hasher.finish()
}

/// Each word is folded in by a step that loses nothing: states that differ in one word only never meet, and others do by
/// chance.
struct Folded(u64);

impl Folded {
    const fn fold(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let spread = (mixed ^ (mixed >> 32)).wrapping_mul(0x8bb8_4b93_962e_acc9);
        self.0 = spread ^ (spread >> 29);
    }
}

impl Hasher for Folded {
    fn finish(&self) -> u64 {
        let mut last = Self(self.0);
        last.fold(0x1357_9bdf_0246_8ace);
        last.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.fold(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.fold(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.fold(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.fold(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.fold(value as u64);
    }
}

/// Takes a fingerprint for its own hash.
#[derive(Default)]
struct Taken(u64);

impl Hasher for Taken {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are fingerprints");
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
