//! The one writer: applies changes to the state in memory.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
};

use ipnet::IpNet;
use keywright_domain::{
    caps,
    change::{Change, KeyView, MembershipView, SecretView, WorkspaceView},
    key::KeyNumber,
    limits::LimitWindow,
    operator::OperatorCredential,
    permission::{Catalogue, PermissionSet},
    plan::Plan,
    principal::Principal,
    privacy::Collection,
    workspace::WorkspaceNumber,
};
use keywright_keyformat::Locator;

use crate::{
    arena::Arena,
    cold::{Cold, ColdBytes, Dates, OTHER_SECRETS_MAX, OtherSecret},
    index::LocatorHash,
    life::{self, dates_to_keep},
    limits::Window,
    record::{self, Facts, Record},
    rows::Rows,
    state::{
        CatalogueIndex, LimitSet, NO_LIMIT_SET, NO_NETWORKS, OFF, OTHER_LAST_USED, OTHER_ORDINAL, Operator,
        PRESENT, QUIET, Roots, Standing, State, WORKSPACE_LIFE, WORKSPACE_NAME, WORKSPACE_WINDOWS,
        WORKSPACE_WORDS, WorkspaceName, Writer, store_set,
    },
    table::Table,
};

/// Why a change cannot be applied. The engine stops answering then: its state is no longer the store's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// A change is missing.
    #[error("change {found} came where change {expected} was due")]
    Gap {
        /// The one that was due.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// The state was not loaded yet, or is broken already.
    #[error("the verification state is not loaded, or was given up")]
    NotFollowing,
    /// A number or a count is beyond what the tables hold.
    #[error("{0} is beyond what the verification tables hold")]
    OutOfRange(&'static str),
}

/// Applies one change.
///
/// # Errors
/// [`ApplyError::OutOfRange`]; nothing was changed then.
pub(crate) fn apply(state: &State, writer: &mut Writer, change: &Change) -> Result<(), ApplyError> {
    match change {
        Change::Key(view) => {
            let put = put_key(state, writer, view);
            state.credits.unbind(view.number.0);
            put
        }
        Change::KeyRemoved(number) => {
            remove_key(state, writer, *number);
            state.credits.unbind(number.0);
            Ok(())
        }
        Change::Workspace(view) => put_workspace(state, writer, view),
        Change::WorkspaceRemoved(number) => {
            remove_workspace(state, writer, *number);
            Ok(())
        }
        Change::Membership(view) => put_membership(state, writer, view),
        Change::Plan(plan) => put_plan(state, writer, plan),
        Change::PlanRemoved(name) => {
            writer.plans.remove(name);
            Ok(())
        }
        Change::Catalogue(entries) => {
            let catalogue = Catalogue::from_entries(entries.iter().cloned());
            state.catalogue.store(Arc::new(CatalogueIndex::new(catalogue)));
            Ok(())
        }
        Change::Operators(credentials) => {
            state.operators.store(Arc::new(operators(credentials)));
            Ok(())
        }
        // Prompts are not part of the state: only that they changed is noted, by whoever knows the change's number.
        Change::Prompts(_) => Ok(()),
    }
}

fn operators(credentials: &[OperatorCredential]) -> HashMap<Locator, Operator> {
    let live = credentials
        .iter()
        .filter(|credential| credential.revoked_at.is_none() && credential.secret.retired_at.is_none());
    let entry = |credential: &OperatorCredential| {
        let secret = &credential.secret;
        let operator = Operator { id: credential.id, digest: secret.digest, expires_at: secret.expires_at };
        (secret.locator, operator)
    };
    live.map(entry).collect()
}

// --- keys ---------------------------------------------------------------------------------------------------------

fn put_key(state: &State, writer: &mut Writer, view: &KeyView) -> Result<(), ApplyError> {
    check_key(view)?;
    let row = view.number.0;
    let record = state.records.get_or_create(row);
    let old = record::read(record).map(|reading| reading.facts);
    let old_locators = locators_of(state, row);
    let primary = view.secrets.iter().rev().find(|secret| !secret.retired && secret.expires_at.is_none());
    let facts = new_facts(state, writer, view, primary, old.as_ref())?;

    move_last_used(state, record, old.as_ref(), &facts);
    if let Some(old) = &old {
        reset_changed_windows(state, record, old, &facts);
    }
    record::write(record, &facts);
    if let Some(old) = old {
        Arena::remove(&mut writer.allocator, old.blob);
    } else {
        writer.keys += 1;
    }
    let new_locators: Vec<Locator> = view.secrets.iter().map(|secret| secret.locator).collect();
    for locator in old_locators.iter().filter(|locator| !new_locators.contains(locator)) {
        remove_locator(state, writer, locator, row);
    }
    for locator in new_locators.iter().filter(|locator| !old_locators.contains(locator)) {
        insert_locator(state, writer, locator, row);
    }
    Ok(())
}

fn check_key(view: &KeyView) -> Result<(), ApplyError> {
    let limits = view.limits.as_ref().map_or(0, Vec::len);
    for (value, bound, what) in [
        (view.number.0 as usize, Rows::<16>::CAPACITY - 1, "a key's number"),
        (view.secrets.len(), OTHER_SECRETS_MAX, "a key's number of secrets"),
        (view.networks.len(), caps::NETWORKS_MAX, "a key's number of networks"),
        (view.external_id.as_ref().map_or(0, String::len), usize::from(u16::MAX), "an external id's length"),
        (view.metadata.len(), 1 << 20, "metadata's length"),
        (limits, caps::WINDOWS_MAX, "a key's number of windows"),
    ] {
        if value > bound {
            return Err(ApplyError::OutOfRange(what));
        }
    }
    Ok(())
}

fn new_facts(
    state: &State,
    writer: &mut Writer,
    view: &KeyView,
    primary: Option<&SecretView>,
    old: Option<&Facts>,
) -> Result<Facts, ApplyError> {
    let others = view
        .secrets
        .iter()
        .filter(|secret| primary.is_none_or(|primary| primary.ordinal != secret.ordinal))
        .map(other_secret)
        .collect::<Vec<_>>();
    let newest = view.secrets.iter().rev().find(|secret| !secret.retired);
    let dates = Dates {
        created_at: view.created_at,
        issued_at: newest.map_or(view.created_at, |secret| secret.created_at),
    };
    let limits = match &view.limits {
        Some(windows) => intern_limits(state, writer, windows)?,
        None => NO_LIMIT_SET,
    };
    let needs_counters = view.limits.as_ref().is_some_and(|windows| windows.len() > 1)
        || others.iter().any(|other| !other.retired);
    let counters = match old.map_or(0, |old| old.counters) {
        0 if needs_counters => allocate_counters(state, writer),
        present => present,
    };
    let has_other_secrets = !others.is_empty();
    let cold = Cold {
        // The membership's row does not tell who the operator's credential was.
        creator: Some(view.creator.principal).filter(|creator| !is_told_by_membership(state, *creator, view)),
        dates: dates_to_keep(view.id, dates),
        others,
        networks: &view.networks,
        external_id: view.external_id.as_deref(),
        metadata: &view.metadata,
    };
    let mut encoded = std::mem::take(&mut writer.encoded);
    encoded.clear();
    cold.encode(&mut encoded);
    let blob = state.arena.insert(&mut writer.allocator, &encoded);
    writer.encoded = encoded;
    Ok(Facts {
        pepper: primary.map_or(0, |secret| secret.digest.pepper),
        digest: primary.map_or([0; 32], |secret| secret.digest.bytes),
        locator: primary.map_or([0; 12], |secret| *secret.locator.as_bytes()),
        ordinal: primary.map_or(0, |secret| secret.ordinal),
        environment: view.environment,
        disabled: view.disabled,
        revoked: view.revoked,
        has_other_secrets,
        has_networks: !view.networks.is_empty(),
        expires_at: view.expires_at,
        workspace: view.workspace.0,
        membership: view.creator.membership.0,
        permissions: intern_permissions(state, writer, view.permissions),
        limits,
        counters,
        id: view.id.to_bytes(),
        blob,
    })
}

fn other_secret(secret: &SecretView) -> OtherSecret {
    OtherSecret {
        locator: secret.locator,
        digest: secret.digest,
        ordinal: secret.ordinal,
        expires_at: secret.expires_at,
        retired: secret.retired,
    }
}

fn is_told_by_membership(state: &State, creator: Principal, view: &KeyView) -> bool {
    membership_principal(state, view.creator.membership.0) == Some(creator)
}

/// After a rotation the primary's last use becomes that of the secret beside it.
fn move_last_used(state: &State, record: &Record, old: Option<&Facts>, new: &Facts) {
    let Some(old) = old.filter(|old| old.ordinal != new.ordinal) else { return };
    let row = (new.counters != 0).then(|| state.counters.get_or_create(new.counters));
    let primary = record::last_used(record);
    let became_primary = row
        .filter(|row| row[OTHER_ORDINAL].load(Relaxed) == u64::from(new.ordinal))
        .map_or(0, |row| row[OTHER_LAST_USED].load(Relaxed));
    let was_primary = primary.swap(became_primary, Relaxed);
    if let Some(row) = row {
        row[OTHER_LAST_USED].store(was_primary, Relaxed);
        row[OTHER_ORDINAL].store(old.ordinal.into(), Relaxed);
    }
}

/// Counters go on across a change of a limit, and start anew where a window's length or algorithm is another one. A key
/// that changes between limits of its own and the plan's keeps its counters: those of another definition are recognized
/// as such when they are read.
fn reset_changed_windows(state: &State, record: &Record, old: &Facts, new: &Facts) {
    let shape = |id: u32, position: usize| {
        let window = *state.limit_sets.get(id)?.windows.get(position)?;
        Some((window.window_seconds, window.algorithm))
    };
    if old.limits == NO_LIMIT_SET || new.limits == NO_LIMIT_SET || old.limits == new.limits {
        return;
    }
    let further = (new.counters != 0).then(|| state.counters.get_or_create(new.counters));
    for position in 0..caps::WINDOWS_MAX {
        if shape(old.limits, position) != shape(new.limits, position) {
            let words = match position {
                0 => Some(record::first_window(record)),
                _ => further.and_then(|row| row.as_chunks::<2>().0.get(position - 1)),
            };
            words.into_iter().flatten().for_each(|word| word.store(0, Relaxed));
        }
    }
}

/// Marks a key as revoked, if it is there.
pub(crate) fn revoke(state: &State, number: KeyNumber) {
    let Some(record) = state.records.get(number.0) else { return };
    let Some(reading) = record::read(record) else { return };
    record::write(record, &Facts { revoked: true, ..reading.facts });
    state.credits.unbind(number.0);
}

fn remove_key(state: &State, writer: &mut Writer, number: KeyNumber) {
    let Some(record) = state.records.get(number.0) else { return };
    let Some(reading) = record::read(record) else { return };
    let locators = locators_of(state, number.0);
    record::clear(record);
    for locator in &locators {
        remove_locator(state, writer, locator, number.0);
    }
    Arena::remove(&mut writer.allocator, reading.facts.blob);
    writer.keys -= 1;
    if let Some(row) = state.counters.get(reading.facts.counters).filter(|_| reading.facts.counters != 0) {
        // A verification under way may still add to the row once; its next owner starts with at most that.
        for word in row {
            word.store(0, Relaxed);
        }
        writer.free_counter_rows.push(reading.facts.counters);
    }
}

/// A zeroed row of further counters.
pub(crate) fn allocate_counters(state: &State, writer: &mut Writer) -> u32 {
    if let Some(row) = writer.free_counter_rows.pop() {
        return row;
    }
    writer.counter_rows += 1;
    state.counters.get_or_create(writer.counter_rows);
    writer.counter_rows
}

/// The locators of a key's secrets, as they are stored. Only the writer asks, so nothing changes meanwhile.
pub(crate) fn locators_of(state: &State, row: u32) -> Vec<Locator> {
    let Some(reading) = state.records.get(row).and_then(record::read) else { return Vec::new() };
    let mut locators: Vec<Locator> = reading.facts.primary_locator().into_iter().collect();
    if reading.facts.has_other_secrets {
        let mut bytes = Vec::new();
        state.arena.read_into(reading.facts.blob, &mut bytes);
        locators.extend(ColdBytes::new(&bytes).others().map(|other| other.locator));
    }
    locators
}

fn remove_locator(state: &State, writer: &mut Writer, locator: &Locator, row: u32) {
    state.roots.load().index.remove(&mut writer.load, LocatorHash::of(locator), row);
}

fn insert_locator(state: &State, writer: &mut Writer, locator: &Locator, row: u32) {
    if !writer.load.has_room(&state.roots.load().index) {
        // By half: at most 16 bytes per key right after growing, at least 10.
        rebuild_index(state, writer, writer.load.live + writer.load.live / 2 + 64);
    }
    state.roots.load().index.insert(&mut writer.load, LocatorHash::of(locator), row);
}

/// Replaces the index by one with room for `entries`.
pub(crate) fn rebuild_index(state: &State, writer: &mut Writer, entries: usize) {
    let roots = state.roots.load();
    let (index, load) = roots.index.rebuilt(entries, |row, hashes| {
        hashes.extend(locators_of(state, row).iter().map(LocatorHash::of));
    });
    writer.load = load;
    state.roots.store(Arc::new(Roots { index: Arc::new(index), peppers: roots.peppers.clone() }));
}

// --- interned values ----------------------------------------------------------------------------------------------

fn intern_permissions(state: &State, writer: &mut Writer, set: PermissionSet) -> u32 {
    let next = u32::try_from(writer.permission_ids.len()).expect("fewer sets than keys");
    *writer.permission_ids.entry(set).or_insert_with(|| {
        store_set(state.permissions.get_or_create(next), set);
        next
    })
}

/// The number of a list of windows; at least 1.
fn intern_limits(state: &State, writer: &mut Writer, windows: &[LimitWindow]) -> Result<u32, ApplyError> {
    if let Some(id) = writer.limit_set_ids.get(windows) {
        return Ok(*id);
    }
    let next = writer.limit_set_ids.len() + 1;
    if next >= Table::<LimitSet>::CAPACITY || windows.len() > caps::WINDOWS_MAX {
        return Err(ApplyError::OutOfRange("the number of different limits"));
    }
    let id = u32::try_from(next).expect("below the table's capacity");
    let hot = windows.iter().map(|window| Window {
        limit: u32::try_from(window.limit).unwrap_or(u32::MAX),
        window_seconds: window.window_seconds.max(1),
        algorithm: window.algorithm,
    });
    state.limit_sets.set(id, LimitSet { windows: hot.collect(), definitions: windows.into() });
    writer.limit_set_ids.insert(windows.to_vec(), id);
    Ok(id)
}

/// The number of a list of networks; 0 for an empty one.
fn intern_networks(state: &State, writer: &mut Writer, networks: &[IpNet]) -> Result<u32, ApplyError> {
    if networks.is_empty() {
        return Ok(NO_NETWORKS);
    }
    if let Some(id) = writer.network_set_ids.get(networks) {
        return Ok(*id);
    }
    let next = writer.network_set_ids.len() + 1;
    if next >= Table::<Box<[IpNet]>>::CAPACITY || networks.len() > caps::NETWORKS_MAX {
        return Err(ApplyError::OutOfRange("the number of different networks"));
    }
    let id = u32::try_from(next).expect("below the table's capacity");
    state.network_sets.set(id, networks.into());
    writer.network_set_ids.insert(networks.to_vec(), id);
    Ok(id)
}

// --- workspaces, plans, memberships -------------------------------------------------------------------------------

fn put_workspace(state: &State, writer: &mut Writer, view: &WorkspaceView) -> Result<(), ApplyError> {
    let number = view.number.0;
    if number as usize >= Table::<WorkspaceName>::CAPACITY {
        return Err(ApplyError::OutOfRange("a workspace's number"));
    }
    let row = state.workspaces.get_or_create(number);
    name_workspace(state, writer, row, view)?;
    let networks = intern_networks(state, writer, &view.networks)?;
    row[WORKSPACE_LIFE].store(life::word_of(&view.life), Release);
    store_set(&row[1..5], view.allowed_permissions);
    writer.plan_of_workspace.insert(number, view.plan.clone());
    let sets = writer.plans.get(&view.plan).copied().unwrap_or_default();
    set_workspace_limits(state, number, sets);
    row[0].store(PRESENT | Standing::of(view, networks).bits(), Release);
    Ok(())
}

/// Gives the workspace its name, which seldom changes; after a reload the number may be another workspace's.
fn name_workspace(
    state: &State,
    writer: &mut Writer,
    row: &[AtomicU64; WORKSPACE_WORDS],
    view: &WorkspaceView,
) -> Result<(), ApplyError> {
    let known = state.name_in(row).filter(|name| name.id == view.id);
    let is_same = known.is_some_and(|name| {
        *name.slug == *view.slug && name.former_slugs.iter().map(|slug| &**slug).eq(&view.former_slugs)
    });
    if !is_same {
        let next = writer.workspace_names + 1;
        if next as usize >= Table::<WorkspaceName>::CAPACITY {
            return Err(ApplyError::OutOfRange("the number of workspaces"));
        }
        let former_slugs = view.former_slugs.iter().map(|slug| slug.as_str().into()).collect();
        let name = WorkspaceName { id: view.id, slug: view.slug.as_str().into(), former_slugs };
        state.workspace_names.set(next, name);
        writer.workspace_names = next;
        row[WORKSPACE_NAME].store(next.into(), Release);
    }
    if !is_same || !writer.plan_of_workspace.contains_key(&view.number.0) {
        let mut slugs = state.slugs.write();
        for slug in view.former_slugs.iter().chain([&view.slug]) {
            slugs.insert(slug.as_str().into(), view.number.0);
        }
    }
    Ok(())
}

/// Forgets a workspace whose keys are gone already.
fn remove_workspace(state: &State, writer: &mut Writer, number: WorkspaceNumber) {
    let Some(row) = state.workspaces.get(number.0) else { return };
    row[0].store(0, Release);
    writer.plan_of_workspace.remove(&number.0);
    state.slugs.write().retain(|_, of| *of != number.0);
}

fn set_workspace_limits(state: &State, number: u32, sets: [u32; 2]) {
    let row = state.workspaces.get_or_create(number);
    let [_, old] = limit_sets_of(row[5].load(Relaxed));
    let shape = |id: u32, position: usize| {
        let window = *state.limit_sets.get(id)?.windows.get(position)?;
        Some((window.window_seconds, window.algorithm))
    };
    row[5].store(u64::from(sets[0]) | u64::from(sets[1]) << 32, Release);
    for (position, words) in row[WORKSPACE_WINDOWS..].as_chunks::<2>().0.iter().enumerate() {
        if shape(old, position) != shape(sets[1], position) {
            for word in words {
                word.store(0, Relaxed);
            }
        }
    }
}

/// The limit sets in a workspace's row: of its keys, and its own.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the word's two halves")]
pub(crate) fn limit_sets_of(word: u64) -> [u32; 2] {
    [word as u32, (word >> 32) as u32]
}

fn put_plan(state: &State, writer: &mut Writer, plan: &Plan) -> Result<(), ApplyError> {
    let keys = intern_limits(state, writer, &plan.key_limits)?;
    let workspace = intern_limits(state, writer, &plan.workspace_limits)?;
    writer.plans.insert(plan.name.clone(), [keys, workspace]);
    for (number, _) in writer.plan_of_workspace.iter().filter(|(_, name)| **name == plan.name) {
        set_workspace_limits(state, *number, [keys, workspace]);
    }
    Ok(())
}

fn put_membership(state: &State, writer: &mut Writer, view: &MembershipView) -> Result<(), ApplyError> {
    if view.number.0 as usize >= Rows::<16>::CAPACITY || view.number.0 == 0 {
        return Err(ApplyError::OutOfRange("a membership's number"));
    }
    writer.memberships_max = writer.memberships_max.max(view.number.0);
    let row = state.memberships.get_or_create(view.number.0);
    let (kind, id) = match view.principal {
        Principal::User(id) => (1_u64, id.to_bytes()),
        Principal::ServiceAccount(id) => (2, id.to_bytes()),
        Principal::Operator(id) => (3, id.to_bytes()),
    };
    let id = u128::from_be_bytes(id);
    #[expect(clippy::cast_possible_truncation, reason = "cut into two words")]
    for (word, half) in row[5..7].iter().zip([(id >> 64) as u64, id as u64]) {
        word.store(half, Relaxed);
    }
    row[7].store(kind, Release);
    store_set(&row[1..5], view.permissions);
    let off = if view.off { OFF } else { 0 };
    let quiet = if view.collection == Collection::OptedOut { QUIET } else { 0 };
    row[0].store(PRESENT | off | quiet, Release);
    Ok(())
}

/// Who a membership belongs to.
pub(crate) fn membership_principal(state: &State, number: u32) -> Option<Principal> {
    use keywright_domain::ids::{OperatorId, ServiceAccountId, UserId};
    let row = state.memberships.get(number)?;
    let kind = row[7].load(Acquire);
    let id = u128::from(row[5].load(Relaxed)) << 64 | u128::from(row[6].load(Relaxed));
    let id = id.to_be_bytes();
    match kind {
        1 => Some(Principal::User(UserId::from_bytes(id))),
        2 => Some(Principal::ServiceAccount(ServiceAccountId::from_bytes(id))),
        3 => Some(Principal::Operator(OperatorId::from_bytes(id))),
        _ => None,
    }
}
