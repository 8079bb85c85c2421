//! What has to be done so that a prompt on the server is what its files say.

use super::{
    super::Scope,
    bundle::Bundle,
    remote::{self, Item, RemoteItem, RemotePrompt, RemoteVersion},
    step::Step,
};
use crate::failure::{Exit, Failure};

/// How far an import goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    /// Publish what differs from the newest version.
    pub(super) publish: bool,
    /// Delete files and links that published versions serve, too.
    pub(super) prune: bool,
}

/// The steps for one prompt.
#[derive(Debug)]
pub(super) struct Plan {
    /// The slug.
    pub(super) slug: String,
    /// The draft's revision that the plan was made for.
    pub(super) revision: Option<u64>,
    /// What is to be done, in order.
    pub(super) steps: Vec<Step>,
    /// What is left as it is, and why.
    pub(super) notes: Vec<String>,
}

impl Plan {
    /// The plan for `bundle`; `prompt` is what the server has.
    pub(super) fn make(
        scope: &Scope,
        bundle: Bundle,
        prompt: Option<&RemotePrompt>,
        extent: Extent,
    ) -> Result<Self, Failure> {
        let Some(prompt) = prompt else { return Ok(Self::create(bundle, extent)) };
        let slug = bundle.slug.clone();
        let mut plan = Self { slug, revision: Some(prompt.revision), steps: Vec::new(), notes: Vec::new() };
        let changes = bundle.draft.changes(&prompt.draft);
        if !changes.is_empty() {
            plan.steps.push(Step::Edit {
                before: Box::new(prompt.draft.clone()),
                after: Box::new(bundle.draft.clone()),
            });
        }
        plan.change_items(scope, &bundle, prompt, extent)?;
        if extent.publish {
            let newest = remote::newest(scope, prompt)?;
            if plan.is_to_be_published(&bundle, prompt, newest.as_ref()) {
                plan.steps.push(Step::Publish);
            }
        }
        if prompt.archived_at.is_some() && !plan.steps.is_empty() {
            let message =
                format!("{} is archived, and its files differ from it", scope.package(&prompt.slug));
            let remedy =
                format!("keywright prompts restore {0}, or take {0} out of the directory", prompt.slug);
            return Err(Failure::new(Exit::Negative, message).remedy(remedy));
        }
        Ok(plan)
    }

    fn create(bundle: Bundle, extent: Extent) -> Self {
        let Bundle { slug, draft, files, links } = bundle;
        let mut steps = vec![Step::Create { draft: Box::new(draft) }];
        steps.extend(files.into_iter().map(|file| Step::AddFile(Box::new(file))));
        steps.extend(links.into_iter().map(Step::AddLink));
        steps.extend(extent.publish.then_some(Step::Publish));
        Self { slug, revision: None, steps, notes: Vec::new() }
    }

    /// New items are added before old ones go: never is one missing that both have.
    fn change_items(
        &mut self,
        scope: &Scope,
        bundle: &Bundle,
        prompt: &RemotePrompt,
        extent: Extent,
    ) -> Result<(), Failure> {
        let mut rest = remote::items(scope, prompt)?;
        for file in &bundle.files {
            if !take(&mut rest, &Item::File(file.known.clone())) {
                self.steps.push(Step::AddFile(Box::new(file.clone())));
            }
        }
        for link in &bundle.links {
            if !take(&mut rest, &Item::Link(link.clone())) {
                self.steps.push(Step::AddLink(link.clone()));
            }
        }
        if rest.is_empty() {
            return Ok(());
        }
        let published = remote::published_items(scope, prompt)?;
        for item in rest {
            if published.contains(&item.id) && !extent.prune {
                let name = name_of(&item);
                self.notes.push(format!(
                    "{name} stays: published versions serve it; --prune deletes it there, too"
                ));
            } else {
                self.steps.push(Step::Remove { name: name_of(&item), id: item.id });
            }
        }
        Ok(())
    }

    /// Whether the draft will differ from the newest version. That it is archived is no reason: somebody took it out of
    /// service.
    fn is_to_be_published(
        &self,
        bundle: &Bundle,
        prompt: &RemotePrompt,
        newest: Option<&RemoteVersion>,
    ) -> bool {
        let are_items_changed = self.steps.iter().any(|step| !matches!(step, Step::Edit { .. }));
        newest.is_none_or(|newest| {
            are_items_changed || newest.content != bundle.draft || newest.context != prompt.context
        })
    }
}

/// Takes one of the items that is this one.
fn take(items: &mut Vec<RemoteItem>, wanted: &Item) -> bool {
    let found = items.iter().position(|item| item.item() == *wanted);
    found.map(|at| items.remove(at)).is_some()
}

fn name_of(item: &RemoteItem) -> String {
    match item.item() {
        Item::File(file) => file.name,
        Item::Link(link) => link.url,
    }
}
