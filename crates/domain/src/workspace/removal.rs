//! The end of a workspace: deleted, restored as long as the clock allows, and then purged.

use serde::{Deserialize, Serialize};

use super::{Workspace, WorkspaceError};
use crate::{
    administration::{Decided, change},
    caps,
    key::Effect,
    time::Timestamp,
};

/// A workspace's deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// When it was asked for. Keys have been refused since.
    pub asked_at: Timestamp,
    /// From then on it is final: the workspace can not be restored, and its data is removed.
    pub purge_at: Timestamp,
}

/// Deletes a workspace; it can be restored for `grace_days`. A repeat without them leaves the moment as it is.
///
/// # Errors
/// [`WorkspaceError::GraceDays`]; [`WorkspaceError::NotFound`] when it is gone already.
pub fn delete_workspace(
    before: &Workspace,
    grace_days: Option<u16>,
    now: Timestamp,
) -> Result<Decided<Workspace>, WorkspaceError> {
    if before.is_gone(now) {
        return Err(WorkspaceError::NotFound);
    }
    if grace_days.is_some_and(|days| days > caps::GRACE_DAYS_MAX) {
        return Err(WorkspaceError::GraceDays);
    }
    let mut after = before.clone();
    let days = match (before.deletion, grace_days) {
        (Some(_), None) => None,
        (_, days) => Some(days.unwrap_or(caps::GRACE_DAYS_DEFAULT)),
    };
    if let Some(days) = days {
        let purge_at = now.plus_seconds(i64::from(days) * 86_400);
        let asked_at = before.deletion.map_or(now, |deletion| deletion.asked_at);
        after.deletion = Some(Deletion { asked_at, purge_at });
    }
    Ok(decided(before, after, "workspace.deleted"))
}

/// Takes a deletion back.
///
/// # Errors
/// [`WorkspaceError::NotDeleted`]; [`WorkspaceError::NotFound`] when it is gone already.
pub fn restore_workspace(before: &Workspace, now: Timestamp) -> Result<Decided<Workspace>, WorkspaceError> {
    if before.is_gone(now) {
        return Err(WorkspaceError::NotFound);
    }
    if before.deletion.is_none() {
        return Err(WorkspaceError::NotDeleted);
    }
    let after = Workspace { deletion: None, ..before.clone() };
    Ok(decided(before, after, "workspace.restored"))
}

/// Whether the data of a workspace may be removed now.
///
/// # Errors
/// [`WorkspaceError::NotFinal`].
pub fn purge_workspace(workspace: &Workspace, now: Timestamp) -> Result<(), WorkspaceError> {
    if workspace.is_gone(now) { Ok(()) } else { Err(WorkspaceError::NotFinal) }
}

fn decided(before: &Workspace, after: Workspace, action: &'static str) -> Decided<Workspace> {
    let text = |workspace: &Workspace| workspace.deletion.map(|deletion| deletion.purge_at.to_rfc3339());
    let fields: Vec<_> = [change("deletes_at", text(before), text(&after))]
        .into_iter()
        .filter(|field| field.before != field.after)
        .collect();
    let effect = match (before.deletion, after.deletion) {
        (None, Some(_)) => Effect::Restricting,
        (old, new) if old == new => Effect::None,
        _ => Effect::Loosening,
    };
    Decided { value: after, effect, action, fields }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::WorkspaceId,
        workspace::{Slug, WorkspaceNumber, WorkspacePolicy},
    };

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
    const DAY: i64 = 86_400;

    fn workspace() -> Workspace {
        Workspace {
            number: WorkspaceNumber(1),
            id: WorkspaceId::from_bytes([1; 16]),
            slug: Slug::parse("acme").unwrap(),
            name: "Acme".to_owned(),
            plan: "standard".to_owned(),
            policy: WorkspacePolicy::default(),
            suspended_at: None,
            created_at: NOW,
            deletion: None,
            former_slugs: Vec::new(),
        }
    }

    #[test]
    fn restorable_up_to_the_moment_and_not_after() {
        let deleted = delete_workspace(&workspace(), None, NOW).unwrap();
        assert_eq!(deleted.effect, Effect::Restricting);
        let end = NOW.plus_seconds(30 * DAY);
        assert_eq!(deleted.value.deletion, Some(Deletion { asked_at: NOW, purge_at: end }));
        assert!(deleted.value.is_off() && !deleted.value.is_gone(end.plus_ms(-1)));
        let restored = restore_workspace(&deleted.value, end.plus_ms(-1)).unwrap();
        assert_eq!((restored.value, restored.effect), (workspace(), Effect::Loosening));
        assert_eq!(restore_workspace(&deleted.value, end).unwrap_err(), WorkspaceError::NotFound);
        assert_eq!(purge_workspace(&deleted.value, end.plus_ms(-1)), Err(WorkspaceError::NotFinal));
        assert_eq!(purge_workspace(&deleted.value, end), Ok(()));
        assert_eq!(restore_workspace(&workspace(), NOW).unwrap_err(), WorkspaceError::NotDeleted);
        assert_eq!(purge_workspace(&workspace(), end), Err(WorkspaceError::NotFinal));
    }

    #[test]
    fn a_repeat_changes_nothing_and_another_grace_moves_the_moment() {
        let deleted = delete_workspace(&workspace(), Some(7), NOW).unwrap().value;
        let later = NOW.plus_seconds(DAY);
        let again = delete_workspace(&deleted, None, later).unwrap();
        assert_eq!((again.effect, &again.value), (Effect::None, &deleted));
        let sooner = delete_workspace(&deleted, Some(0), later).unwrap();
        assert_eq!(sooner.effect, Effect::Loosening, "its keys were refused before");
        assert_eq!(sooner.value.deletion, Some(Deletion { asked_at: NOW, purge_at: later }));
        assert!(sooner.value.is_gone(later));
    }

    #[test]
    fn both_sides_of_the_grace() {
        assert!(delete_workspace(&workspace(), Some(caps::GRACE_DAYS_MAX), NOW).is_ok());
        let beyond = delete_workspace(&workspace(), Some(caps::GRACE_DAYS_MAX + 1), NOW);
        assert_eq!(beyond.unwrap_err(), WorkspaceError::GraceDays);
    }
}
