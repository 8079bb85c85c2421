//! The verification state in memory: tables that readers use without a lock, and what the one writer keeps beside them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Acquire},
    },
};

use arc_swap::ArcSwap;
use ipnet::IpNet;
use keywright_domain::{
    change::{NumberedChange, Tombstone, WorkspaceView},
    ids::{OperatorId, WorkspaceId},
    key::SecretDigest,
    lease::LeaseTerm,
    limits::LimitWindow,
    permission::{Catalogue, PermissionSet},
    time::Timestamp,
};
use keywright_keyformat::Locator;
use parking_lot::RwLock;

use crate::{
    PepperSet,
    arena::{Allocator, Arena},
    credit::CreditBook,
    follow::WAITS_NS,
    index::{Index, Load},
    limits::Window,
    pending::ByTerm,
    prompts::PromptChanges,
    raw::Pages,
    record::RECORD_WORDS,
    rows::Rows,
    table::Table,
};

/// Words of a workspace's row: flags; policy (4); limit sets of keys and of the workspace; name; lives of keys (see
/// [`crate::life`]); then two counters for each window of the workspace, from [`WORKSPACE_WINDOWS`] on.
pub(crate) const WORKSPACE_WORDS: usize = 24;
/// Which name a workspace's row has.
pub(crate) const WORKSPACE_NAME: usize = 6;
/// How long keys live, in a workspace's row.
pub(crate) const WORKSPACE_LIFE: usize = 7;
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
/// The member opted out of collection: of what their keys do, no address and no class of user agent is counted.
pub(crate) const QUIET: u64 = 4;

/// The network set of a workspace whose keys may be used from anywhere.
pub(crate) const NO_NETWORKS: u32 = 0;

/// A limit set that nobody set: the workspace's plan is not known.
pub(crate) const NO_LIMIT_SET: u32 = 0;

/// How a workspace's keys are verified: the flags of its row.
///
/// Bit 1: suspended or deleted; 2 and 3: the lease; 4 and 5: the longest lease that any node may hold; 6: atomic; from 32
/// on: the number of its set of networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing(u64);

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

/// What a workspace is called. By the order in which the names were given.
pub(crate) struct WorkspaceName {
    pub(crate) id: WorkspaceId,
    pub(crate) slug: Box<str>,
    /// Slugs that it had before, and still answers to.
    pub(crate) former_slugs: Box<[Box<str>]>,
}

impl WorkspaceName {
    /// Whether the workspace answers to this slug.
    #[inline]
    pub(crate) fn is_called(&self, slug: &str) -> bool {
        *self.slug == *slug || self.former_slugs.iter().any(|former| **former == *slug)
    }
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
    pub(crate) network_sets: Table<Box<[IpNet]>>,
    pub(crate) workspaces: Rows<WORKSPACE_WORDS>,
    pub(crate) workspace_names: Table<WorkspaceName>,
    pub(crate) memberships: Rows<MEMBERSHIP_WORDS>,
    pub(crate) catalogue: ArcSwap<CatalogueIndex>,
    pub(crate) operators: ArcSwap<HashMap<Locator, Operator>>,
    /// Not for the hot path: a verification compares the slug of the key's own workspace.
    pub(crate) slugs: RwLock<HashMap<Box<str>, u32>>,
    pub(crate) credits: CreditBook,
    /// Not for the hot path.
    pub(crate) prompts: PromptChanges,
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
    pub(crate) network_set_ids: HashMap<Vec<IpNet>, u32>,
    /// Limit sets of keys and of the workspace by plan.
    pub(crate) plans: HashMap<String, [u32; 2]>,
    pub(crate) plan_of_workspace: HashMap<u32, String>,
    /// Names given so far; the first is 1.
    pub(crate) workspace_names: u32,
    pub(crate) memberships_max: u32,
    pub(crate) tombstones: VecDeque<Tombstone>,
    /// How long a change of a key is waited for at most.
    pub(crate) waits_ns: ByTerm<u64>,
    pub(crate) counter_rows: u32,
    pub(crate) free_counter_rows: Vec<u32>,
    pub(crate) encoded: Vec<u8>,
}

impl Standing {
    const LEASE_SHIFT: u32 = 2;
    const WAIT_SHIFT: u32 = 4;
    const ATOMIC: u64 = 1 << 6;

    const NETWORKS_SHIFT: u32 = 32;

    /// `networks` is the number of the workspace's set of networks.
    pub(crate) fn of(view: &WorkspaceView, networks: u32) -> Self {
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        Self(
            flag(view.suspended, OFF)
                | (view.lease as u64) << Self::LEASE_SHIFT
                | (view.wait.max(view.lease) as u64) << Self::WAIT_SHIFT
                | flag(view.atomic, Self::ATOMIC)
                | u64::from(networks) << Self::NETWORKS_SHIFT,
        )
    }

    /// As in the flags of a row.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    pub(crate) const fn of_flags(flags: u64) -> Self {
        Self(flags)
    }

    #[inline]
    pub(crate) const fn is_suspended(self) -> bool {
        self.0 & OFF != 0
    }

    #[inline]
    pub(crate) const fn lease(self) -> LeaseTerm {
        LeaseTerm::ALL[(self.0 >> Self::LEASE_SHIFT & 3) as usize]
    }

    pub(crate) const fn wait(self) -> LeaseTerm {
        LeaseTerm::ALL[(self.0 >> Self::WAIT_SHIFT & 3) as usize]
    }

    /// The number of the set of networks that keys may be used from; [`NO_NETWORKS`] for any.
    #[inline]
    pub(crate) const fn networks(self) -> u32 {
        (self.0 >> Self::NETWORKS_SHIFT) as u32
    }

    pub(crate) const fn is_atomic(self) -> bool {
        self.0 & Self::ATOMIC != 0
    }
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
            network_sets: Table::new(),
            workspaces: Rows::new(Pages::Normal),
            workspace_names: Table::new(),
            memberships: Rows::new(Pages::Normal),
            catalogue: ArcSwap::from_pointee(CatalogueIndex::new(Catalogue::builtin())),
            operators: ArcSwap::default(),
            slugs: RwLock::default(),
            credits: CreditBook::default(),
            prompts: PromptChanges::default(),
        };
        // Membership 0 is the operator, who may do everything in every workspace.
        let operator = state.memberships.get_or_create(0);
        store_set(&operator[1..5], PermissionSet::ALL);
        operator[0].store(PRESENT, std::sync::atomic::Ordering::Release);
        state
    }

    /// The name of a workspace that is in memory.
    pub(crate) fn workspace_name(&self, number: u32) -> Option<&WorkspaceName> {
        let row = self.workspaces.get(number)?;
        if row[0].load(Acquire) & PRESENT == 0 { None } else { self.name_in(row) }
    }

    /// The name that a workspace's row has.
    #[inline]
    pub(crate) fn name_in(&self, row: &[AtomicU64; WORKSPACE_WORDS]) -> Option<&WorkspaceName> {
        let name = u32::try_from(row[WORKSPACE_NAME].load(Acquire)).ok()?;
        self.workspace_names.get(name)
    }

    /// How a workspace's keys are verified.
    pub(crate) fn standing(&self, workspace: u32) -> Standing {
        Standing::of_flags(self.workspaces.get(workspace).map_or(0, |row| row[0].load(Acquire)))
    }

    /// The networks that keys of a workspace may be used from; empty means any, `None` that the set is not in memory.
    #[inline]
    pub(crate) fn workspace_networks(&self, standing: Standing) -> Option<&[IpNet]> {
        match standing.networks() {
            NO_NETWORKS => Some(&[]),
            set => self.network_sets.get(set).map(|networks| &**networks),
        }
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
            network_set_ids: HashMap::new(),
            plans: HashMap::new(),
            plan_of_workspace: HashMap::new(),
            workspace_names: 0,
            memberships_max: 0,
            tombstones: VecDeque::new(),
            waits_ns: WAITS_NS,
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
