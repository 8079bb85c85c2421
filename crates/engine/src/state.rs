//! The verification state in memory: tables that readers use without a lock, and what the one writer keeps beside them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, atomic::AtomicU64},
};

use arc_swap::ArcSwap;
use keywright_domain::{
    change::NumberedChange,
    ids::{OperatorId, WorkspaceId},
    key::SecretDigest,
    limits::LimitWindow,
    permission::{Catalogue, PermissionSet},
    time::Timestamp,
};
use keywright_keyformat::Locator;
use parking_lot::RwLock;

use crate::{
    PepperSet,
    arena::{Allocator, Arena},
    index::{Index, Load},
    limits::Window,
    raw::Pages,
    record::RECORD_WORDS,
    rows::Rows,
    table::Table,
};

/// Words of a workspace's row: flags; policy (4); limit sets of keys and of the workspace; then two counters for each
/// window of the workspace, from [`WORKSPACE_WINDOWS`] on.
pub(crate) const WORKSPACE_WORDS: usize = 24;
/// First counter in a workspace's row.
pub(crate) const WORKSPACE_WINDOWS: usize = 8;
/// Words of a membership's row: flags; permissions (4).
pub(crate) const MEMBERSHIP_WORDS: usize = 8;
/// Words of a row of further counters of a key: seven windows, the last use of the secret beside the primary, and which
/// secret that is.
pub(crate) const COUNTER_WORDS: usize = 16;
/// Last use of a secret beside the primary, in a row of further counters.
pub(crate) const OTHER_LAST_USED: usize = 14;
/// Ordinal of that secret.
pub(crate) const OTHER_ORDINAL: usize = 15;

/// The row exists.
pub(crate) const PRESENT: u64 = 1;
/// The workspace is suspended, or the membership ended.
pub(crate) const OFF: u64 = 2;

/// A limit set that nobody set: the workspace's plan is not known.
pub(crate) const NO_LIMIT_SET: u32 = 0;

/// What is replaced as a whole, and rarely.
pub(crate) struct Roots {
    pub(crate) index: Arc<Index>,
    pub(crate) peppers: PepperSet,
}

/// A list of windows, with what answers say about them.
pub(crate) struct LimitSet {
    pub(crate) windows: Box<[Window]>,
    pub(crate) definitions: Box<[LimitWindow]>,
}

/// What never changes about a workspace.
pub(crate) struct WorkspaceName {
    pub(crate) id: WorkspaceId,
    pub(crate) slug: Box<str>,
}

/// An operator credential.
#[derive(Clone, Copy)]
pub(crate) struct Operator {
    pub(crate) id: OperatorId,
    pub(crate) digest: SecretDigest,
    pub(crate) expires_at: Option<Timestamp>,
}

/// The permission catalogue, by name.
pub(crate) struct CatalogueIndex {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) bits: HashMap<Box<str>, u8>,
}

impl CatalogueIndex {
    pub(crate) fn new(catalogue: Catalogue) -> Self {
        let bits = catalogue.entries().map(|entry| (entry.name.as_str().into(), entry.bit)).collect();
        Self { catalogue: Arc::new(catalogue), bits }
    }
}

/// Everything that readers use.
pub(crate) struct State {
    pub(crate) roots: ArcSwap<Roots>,
    pub(crate) records: Rows<RECORD_WORDS>,
    pub(crate) counters: Rows<COUNTER_WORDS>,
    pub(crate) arena: Arena,
    pub(crate) permissions: Rows<4>,
    pub(crate) limit_sets: Table<LimitSet>,
    pub(crate) workspaces: Rows<WORKSPACE_WORDS>,
    pub(crate) workspace_names: Table<WorkspaceName>,
    pub(crate) memberships: Rows<MEMBERSHIP_WORDS>,
    pub(crate) catalogue: ArcSwap<CatalogueIndex>,
    pub(crate) operators: ArcSwap<HashMap<Locator, Operator>>,
    /// Not for the hot path: a verification compares the slug of the key's own workspace.
    pub(crate) slugs: RwLock<HashMap<Box<str>, u32>>,
}

/// Where the writer is in the sequence of changes.
pub(crate) enum Phase {
    /// The state is being loaded; changes that are committed meanwhile wait.
    Loading(VecDeque<NumberedChange>),
    /// Every change up to here is applied.
    Following(u64),
    /// A change could not be applied: the state in memory is no longer the store's.
    Broken,
}

/// What only the writer needs.
pub(crate) struct Writer {
    pub(crate) phase: Phase,
    pub(crate) allocator: Allocator,
    pub(crate) load: Load,
    pub(crate) keys: usize,
    pub(crate) permission_ids: HashMap<PermissionSet, u32>,
    pub(crate) limit_set_ids: HashMap<Vec<LimitWindow>, u32>,
    /// Limit sets of keys and of the workspace by plan.
    pub(crate) plans: HashMap<String, [u32; 2]>,
    pub(crate) plan_of_workspace: HashMap<u32, String>,
    pub(crate) counter_rows: u32,
    pub(crate) free_counter_rows: Vec<u32>,
    pub(crate) encoded: Vec<u8>,
}

impl State {
    pub(crate) fn new(peppers: PepperSet) -> Self {
        let state = Self {
            roots: ArcSwap::from_pointee(Roots { index: Arc::new(Index::with_room_for(0)), peppers }),
            records: Rows::new(Pages::Huge),
            counters: Rows::new(Pages::Normal),
            arena: Arena::new(),
            permissions: Rows::new(Pages::Normal),
            limit_sets: Table::new(),
            workspaces: Rows::new(Pages::Normal),
            workspace_names: Table::new(),
            memberships: Rows::new(Pages::Normal),
            catalogue: ArcSwap::from_pointee(CatalogueIndex::new(Catalogue::builtin())),
            operators: ArcSwap::default(),
            slugs: RwLock::default(),
        };
        // Membership 0 is the operator, who may do everything in every workspace.
        let operator = state.memberships.get_or_create(0);
        store_set(&operator[1..5], PermissionSet::ALL);
        operator[0].store(PRESENT, std::sync::atomic::Ordering::Release);
        state
    }

    /// The interned permission set.
    #[inline]
    pub(crate) fn permission_set(&self, id: u32) -> PermissionSet {
        self.permissions.get(id).map_or(PermissionSet::EMPTY, |row| load_set(row))
    }
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Loading(VecDeque::new()),
            allocator: Allocator::default(),
            load: Load::default(),
            keys: 0,
            permission_ids: HashMap::new(),
            limit_set_ids: HashMap::new(),
            plans: HashMap::new(),
            plan_of_workspace: HashMap::new(),
            counter_rows: 0,
            free_counter_rows: Vec::new(),
            encoded: Vec::new(),
        }
    }
}

/// Reads a permission set from four words. Each bit is read as it was before or after a change; a change that was
/// applied before is seen whole.
#[inline]
pub(crate) fn load_set(words: &[AtomicU64]) -> PermissionSet {
    let word = |position: usize| {
        words.get(position).map_or(0, |word| word.load(std::sync::atomic::Ordering::Acquire))
    };
    PermissionSet::from_words([word(0), word(1), word(2), word(3)])
}

pub(crate) fn store_set(words: &[AtomicU64], set: PermissionSet) {
    for (word, value) in words.iter().zip(set.words()) {
        word.store(value, std::sync::atomic::Ordering::Release);
    }
}
