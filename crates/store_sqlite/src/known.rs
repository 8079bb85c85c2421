//! Workspaces that were asked for lately: every management call names one, and hardly any changes one.

use std::collections::HashMap;

use keywright_domain::workspace::{Slug, Workspace};
use parking_lot::Mutex;

/// Most workspaces that are known.
const KNOWN_MAX: usize = 4_096;

/// Workspaces by slug, as the last commit left them. Only for the process that owns the database.
#[derive(Default)]
pub(crate) struct KnownWorkspaces(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// How often everything was forgotten.
    generation: u64,
    by_slug: HashMap<Slug, Workspace>,
}

/// When the database was asked, so that an answer from before a change is not taken for one from after it.
#[derive(Clone, Copy)]
pub(crate) struct Asked(u64);

impl KnownWorkspaces {
    /// The workspace called `slug`, or a mark to be taken before the database is asked.
    pub(crate) fn get(&self, slug: &Slug) -> Result<Workspace, Asked> {
        let known = self.0.lock();
        known.by_slug.get(slug).cloned().ok_or(Asked(known.generation))
    }

    /// What the database answered.
    pub(crate) fn learn(&self, asked: Asked, workspace: &Workspace) {
        let mut known = self.0.lock();
        if known.generation != asked.0 {
            return;
        }
        if known.by_slug.len() >= KNOWN_MAX {
            known.by_slug.clear();
        }
        known.by_slug.insert(workspace.slug.clone(), workspace.clone());
    }

    /// To be called between the commit of a change and its answer, and whenever it is not known what was committed.
    pub(crate) fn forget(&self) {
        let mut known = self.0.lock();
        known.generation += 1;
        known.by_slug.clear();
    }
}

#[cfg(test)]
mod tests {
    use keywright_domain::{
        ids::WorkspaceId,
        time::Timestamp,
        workspace::{WorkspaceNumber, WorkspacePolicy},
    };

    use super::*;

    fn workspace(slug: &str) -> Workspace {
        Workspace {
            number: WorkspaceNumber(1),
            id: WorkspaceId::from_bytes([1; 16]),
            slug: Slug::parse(slug).unwrap(),
            name: slug.to_owned(),
            plan: "standard".to_owned(),
            policy: WorkspacePolicy::default(),
            suspended_at: None,
            created_at: Timestamp::from_unix_ms(0),
            deletion: None,
            former_slugs: Vec::new(),
        }
    }

    #[test]
    fn an_answer_from_before_a_change_is_not_kept() {
        let (known, acme) = (KnownWorkspaces::default(), workspace("acme"));
        let asked = known.get(&acme.slug).err().unwrap();
        known.forget();
        known.learn(asked, &acme);
        let asked = known.get(&acme.slug).err().unwrap();
        known.learn(asked, &acme);
        assert_eq!(known.get(&acme.slug).ok(), Some(acme.clone()));
        known.forget();
        assert!(known.get(&acme.slug).is_err());
    }

    #[test]
    fn never_more_than_the_limit() {
        let known = KnownWorkspaces::default();
        let all: Vec<_> = (0..=KNOWN_MAX).map(|number| workspace(&format!("w{number}"))).collect();
        for (count, each) in (1..).zip(&all) {
            let asked = known.get(&each.slug).err().unwrap();
            known.learn(asked, each);
            assert_eq!(known.0.lock().by_slug.len(), if count > KNOWN_MAX { 1 } else { count });
        }
    }
}
