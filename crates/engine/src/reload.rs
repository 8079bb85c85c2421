//! Forgetting everything, for a state that comes from another history.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, Release},
    },
};

use keywright_domain::permission::Catalogue;

use crate::{
    Engine,
    arena::Allocator,
    index::{Index, Load},
    record,
    state::{CatalogueIndex, Phase, Roots, State, Writer},
};

impl Engine {
    /// Forgets all keys, workspaces, plans and operators, and waits to be [loaded](Self::load) again. Leases are dropped,
    /// and a verification that is under way is answered with `unavailable`, however it was begun. Limit windows start
    /// anew; [`Self::restore_cost`] brings them back. [Tombstones](Self::tombstones) stay.
    pub fn begin_reload(&self) {
        let mut writer = self.writer.lock();
        self.leases.interrupt();
        writer.phase = Phase::Loading(VecDeque::new());
        self.pending.clear();
        clear(&self.state, &mut writer);
        drop(self.redigests.take());
    }
}

/// Empties all tables. Interned permission sets, limits and networks stay: they are found by their content.
fn clear(state: &State, writer: &mut Writer) {
    let roots = state.roots.load();
    let index = Arc::new(Index::with_room_for(0));
    state.roots.store(Arc::new(Roots { index, peppers: roots.peppers.clone() }));
    state.records.for_each(|record| {
        if record::read(record).is_some() {
            record::clear(record);
        }
    });
    state.workspaces.for_each(|row| row[0].store(0, Release));
    for number in 1..=writer.memberships_max {
        if let Some(row) = state.memberships.get(number) {
            row[0].store(0, Release);
            row[7].store(0, Release);
        }
    }
    state.counters.for_each(|row| row.iter().for_each(|word| word.store(0, Relaxed)));
    state.operators.store(Arc::default());
    state.catalogue.store(Arc::new(CatalogueIndex::new(Catalogue::builtin())));
    state.slugs.write().clear();
    writer.free_counter_rows = (1..=writer.counter_rows).rev().collect();
    writer.allocator = Allocator::default();
    writer.load = Load::default();
    writer.keys = 0;
    writer.plans.clear();
    writer.plan_of_workspace.clear();
}
