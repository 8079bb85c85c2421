//! Prompts, their versions, context items, and what is served of them.

use std::sync::Arc;

use keywright_domain::{
    change::Change,
    command::{Command, CommandError, Committed, Outcome},
    ids::{ContextId, PromptId, WorkspaceId},
    permission::{PermissionSet, Role},
    permit::{Action, Actor, authorize},
    principal::Creator,
    privacy::{PrivacyCommand, PrivacyError, PrivacyOutcome},
    prompt::{
        CHUNK_BYTES, Content, ContextItem, ContextKind, NewContext, NewPrompt, Prompt, PromptCommand,
        PromptError, PromptFilter, PromptOutcome, PromptPatch, PromptQuery, PromptSlug, ServeQuery, Served,
        Version, VersionRef, Visibility,
    },
    store::Store,
    workspace::WorkspacePatch,
};

use super::members::creator;
use crate::{Installation, Samples};

fn slug(text: &str) -> PromptSlug {
    PromptSlug::parse(text).unwrap()
}

impl<S: Store + ?Sized> Installation<S> {
    async fn on_prompts(&self, command: PromptCommand) -> Result<Committed, CommandError> {
        self.on_prompts_by(creator(&self.owner), command).await
    }

    async fn on_prompts_by(
        &self,
        creator: Creator,
        command: PromptCommand,
    ) -> Result<Committed, CommandError> {
        let key = self.samples.new_key("writer").id;
        let workspace = self.workspace.id;
        let actor = Actor::Key { key, workspace, creator, permissions: PermissionSet::ALL };
        let permit = authorize(actor, Action::WritePrompts, Some(workspace)).unwrap();
        self.store.execute(self.samples.context(permit), Command::Prompt(command)).await
    }

    async fn new_prompt(&self, name: &str) -> Prompt {
        self.new_prompt_by(creator(&self.owner), name).await
    }

    async fn new_prompt_by(&self, creator: Creator, name: &str) -> Prompt {
        let id = PromptId::generate(Samples::NOW, self.samples.entropy());
        let draft = Content {
            title: format!("The prompt {name}"),
            tags: vec!["a".to_owned(), "b".to_owned()],
            generator: "Answer {{question}}.\n{\"json\": true}".to_owned(),
            ..Content::default()
        };
        let new = NewPrompt { id, slug: slug(name), draft };
        prompt_of(self.on_prompts_by(creator, PromptCommand::Create(Box::new(new))).await.unwrap())
    }

    async fn edit(&self, prompt: &Prompt, generator: &str) -> Prompt {
        let patch = Box::new(PromptPatch { generator: Some(generator.to_owned()), ..PromptPatch::default() });
        prompt_of(
            self.on_prompts(PromptCommand::Edit { prompt: prompt.id, patch, if_revision: None })
                .await
                .unwrap(),
        )
    }

    async fn publish(&self, prompt: &Prompt) -> (Prompt, Version) {
        let command = PromptCommand::Publish { prompt: prompt.id, if_revision: None };
        version_of(self.on_prompts(command).await.unwrap())
    }

    async fn add_file(&self, prompt: &Prompt, bytes: &[u8]) -> (Prompt, ContextItem) {
        let kind = ContextKind::File {
            name: "faq.txt".to_owned(),
            mime_type: "text/plain".to_owned(),
            size: bytes.len() as u64,
            sha256: "0".repeat(64),
        };
        self.add(prompt, kind, bytes.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect()).await
    }

    async fn add(&self, prompt: &Prompt, kind: ContextKind, chunks: Vec<Vec<u8>>) -> (Prompt, ContextItem) {
        let id = ContextId::generate(Samples::NOW, self.samples.entropy());
        let item = Box::new(NewContext { id, label: Some("The FAQ".to_owned()), kind, chunks });
        let committed = self.on_prompts(PromptCommand::AddContext { prompt: prompt.id, item }).await.unwrap();
        match committed.outcome {
            Outcome::Prompt(outcome) => match *outcome {
                PromptOutcome::Context(prompt, item) => (prompt, item),
                other => panic!("another outcome: {other:?}"),
            },
            other => panic!("another outcome: {other:?}"),
        }
    }

    async fn served(&self, name: &str, version: VersionRef) -> Served {
        self.served_to(name, version, Visibility::All).await
    }

    async fn served_to(&self, name: &str, version: VersionRef, visibility: Visibility) -> Served {
        let query = ServeQuery::One { workspace: self.workspace.id, slug: slug(name), version, visibility };
        self.store.serve_prompts(query).await.unwrap()
    }
}

fn outcome_of(committed: Committed) -> PromptOutcome {
    match committed.outcome {
        Outcome::Prompt(outcome) => *outcome,
        other => panic!("another outcome: {other:?}"),
    }
}

fn prompt_of(committed: Committed) -> Prompt {
    match outcome_of(committed) {
        PromptOutcome::Prompt(prompt) => prompt,
        other => panic!("another outcome: {other:?}"),
    }
}

fn version_of(committed: Committed) -> (Prompt, Version) {
    match outcome_of(committed) {
        PromptOutcome::Version(prompt, version) => (prompt, version),
        other => panic!("another outcome: {other:?}"),
    }
}

fn refusal(answer: Result<Committed, CommandError>) -> PromptError {
    match answer {
        Err(CommandError::Prompt(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

/// Drafts are kept, versions are frozen, and what is archived is not served.
pub async fn versions<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let workspace = installation.workspace.id;
    let prompt = installation.new_prompt("qa-bot").await;
    let found = async || store.prompt(workspace, slug("qa-bot")).await.unwrap().unwrap();
    assert_eq!(found().await, prompt);
    let same =
        NewPrompt { id: PromptId::from_bytes([9; 16]), slug: slug("qa-bot"), draft: prompt.draft.clone() };
    let again = installation.on_prompts(PromptCommand::Create(Box::new(same))).await;
    assert_eq!(refusal(again), PromptError::SlugTaken);
    assert!(installation.served("qa-bot", VersionRef::Latest).await.prompts.is_empty());

    let (_, first) = installation.publish(&prompt).await;
    assert_eq!(store.prompt_version(prompt.id, 1).await.unwrap().as_ref(), Some(&first));
    let edited = installation.edit(&prompt, "Answer shortly.").await;
    assert_eq!((found().await, edited.revision), (edited.clone(), 2));
    let stale = PromptCommand::Publish { prompt: prompt.id, if_revision: Some(1) };
    assert_eq!(refusal(installation.on_prompts(stale).await), PromptError::Revision { current: 2 });
    let (published, second) = installation.publish(&prompt).await;
    assert_eq!((published.latest, second.number), (Some(2), 2));
    let unchanged = PromptCommand::Publish { prompt: prompt.id, if_revision: None };
    assert_eq!(refusal(installation.on_prompts(unchanged).await), PromptError::Unchanged { version: 2 });

    let text = async |version| {
        let served = installation.served("qa-bot", version).await;
        served.prompts.into_iter().next().map(|served| (served.version, served.content.generator))
    };
    assert_eq!(text(VersionRef::Number(1)).await, Some((1, prompt.draft.generator.clone())));
    assert_eq!(text(VersionRef::Latest).await, Some((2, "Answer shortly.".to_owned())));
    assert_eq!(text(VersionRef::Draft).await, Some((0, "Answer shortly.".to_owned())));
    let archive = |archived| PromptCommand::SetVersionArchived { prompt: prompt.id, version: 2, archived };
    let committed = installation.on_prompts(archive(true)).await.unwrap();
    assert!(committed.restricting);
    assert_eq!(version_of(committed).0.latest, Some(1));
    assert_eq!(text(VersionRef::Number(2)).await, None);
    assert_eq!(text(VersionRef::Latest).await, Some((1, prompt.draft.generator.clone())));
    assert!(!installation.on_prompts(archive(false)).await.unwrap().restricting);
    assert_eq!(found().await.latest, Some(2));

    let numbers = async |before, limit| {
        let page = store.prompt_versions(prompt.id, before, limit).await.unwrap();
        (page.items.iter().map(|version| version.number).collect::<Vec<_>>(), page.has_more)
    };
    assert_eq!(numbers(None, 1).await, (vec![2], true));
    assert_eq!(numbers(Some(2), 1).await, (vec![1], false));

    let archived = PromptCommand::SetArchived { prompt: prompt.id, archived: true };
    assert!(installation.on_prompts(archived.clone()).await.unwrap().restricting);
    assert_eq!(text(VersionRef::Latest).await, None);
    let repeated = installation.on_prompts(archived).await.unwrap();
    assert!(!repeated.restricting);
    assert_eq!(store.changes_after(repeated.sequence, 1).await.unwrap(), []);
}

/// A file comes back as it was given, and goes with its item.
pub async fn context_items<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let prompt = installation.new_prompt("with-files").await;
    let bytes: Vec<u8> = (0..=CHUNK_BYTES).map(|byte| byte.to_le_bytes()[0]).collect();
    let (_, file) = installation.add_file(&prompt, &bytes).await;
    let url = "https://example.com/faq".to_owned();
    let (with, link) = installation.add(&prompt, ContextKind::Link { url }, Vec::new()).await;
    assert_eq!((with.context.clone(), with.revision), (vec![file.id, link.id], 3));
    let mut known = [file.clone(), link.clone()];
    known.sort_by_key(|item| item.id);
    assert_eq!(store.context_items(prompt.id).await.unwrap(), known);
    let found = store.context_item(file.id).await.unwrap().unwrap();
    assert_eq!((&found.item, found.prompt.id, found.is_published), (&file, prompt.id, false));
    assert!(found.is_visible(Visibility::All) && !found.is_visible(Visibility::Published));
    let chunk = async |position| store.context_chunk(file.id, position).await.unwrap();
    assert_eq!([chunk(0).await.unwrap(), chunk(1).await.unwrap()].concat(), bytes);
    assert_eq!((chunk(1).await.unwrap().len(), chunk(2).await), (1, None));

    installation.publish(&prompt).await;
    let published = async || {
        let found = store.context_item(file.id).await.unwrap().unwrap();
        (found.is_visible(Visibility::Published), found.is_in_service())
    };
    assert_eq!(published().await, (true, true));
    let archive = |archived| PromptCommand::SetVersionArchived { prompt: prompt.id, version: 1, archived };
    installation.on_prompts(archive(true)).await.unwrap();
    assert_eq!(published().await, (false, true), "only the draft has it now");
    installation.on_prompts(archive(false)).await.unwrap();
    let suspend = |suspended| WorkspacePatch { suspended: Some(suspended), ..WorkspacePatch::default() };
    installation.patch_workspace(suspend(true)).await.unwrap();
    assert_eq!(published().await, (false, false));
    installation.patch_workspace(suspend(false)).await.unwrap();
    let remove = PromptCommand::RemoveContext { prompt: prompt.id, item: file.id };
    assert!(installation.on_prompts(remove.clone()).await.unwrap().restricting);
    assert_eq!(refusal(installation.on_prompts(remove).await), PromptError::NotFound);
    assert_eq!((store.context_item(file.id).await.unwrap(), chunk(0).await), (None, None));
    for version in [VersionRef::Draft, VersionRef::Number(1)] {
        let served = installation.served("with-files", version).await;
        assert_eq!(served.prompts[0].items, std::slice::from_ref(&link), "also of a version that had it");
    }
    let other = installation.new_prompt("other").await;
    let elsewhere = PromptCommand::RemoveContext { prompt: other.id, item: link.id };
    assert_eq!(refusal(installation.on_prompts(elsewhere).await), PromptError::NotFound);

    assert!(installation.on_prompts(PromptCommand::Delete(prompt.id)).await.unwrap().restricting);
    assert_eq!(store.prompt(installation.workspace.id, slug("with-files")).await.unwrap(), None);
    assert_eq!(store.context_item(link.id).await.unwrap(), None);
    assert_eq!(store.prompt_version(prompt.id, 1).await.unwrap(), None);
    let gone = installation.on_prompts(PromptCommand::Delete(prompt.id)).await;
    assert_eq!(refusal(gone), PromptError::NotFound);
}

/// Lists page through everything that matches, and drafts are seen by whom they concern.
pub async fn prompt_pages<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let workspace = installation.workspace.id;
    let mut names = Vec::new();
    for number in 0..7 {
        let prompt = installation.new_prompt(&format!("p{number}")).await;
        if number % 2 == 0 {
            installation.publish(&prompt).await;
        }
        names.push((prompt.id, prompt.slug.as_str().to_owned()));
    }
    // Of the same millisecond: the order is that of the ids.
    names.sort();
    names.reverse();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let filter = PromptFilter { tag: Some("b".to_owned()), ..PromptFilter::default() };
        let page = store.prompts(PromptQuery { workspace, filter, after, limit: 3 }).await.unwrap();
        after = page.items.last().map(|prompt| prompt.id);
        seen.extend(page.items.into_iter().map(|prompt| (prompt.id, String::from(prompt.slug))));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen, names);
    let serve = async |workspace, after, limit, visibility| {
        let query = ServeQuery::Page { workspace, after, limit, visibility };
        store.serve_prompts(query).await.unwrap()
    };
    let all = serve(workspace, None, 100, Visibility::All).await;
    assert_eq!((all.prompts.len(), all.has_more), (7, false));
    assert_eq!(all.prompts.iter().filter(|served| served.version == 1).count(), 4);
    let published = serve(workspace, None, 3, Visibility::Published).await;
    assert_eq!((published.prompts.len(), published.has_more), (3, true));
    let last = published.prompts.last().map(|served| served.prompt);
    let rest = serve(workspace, last, 3, Visibility::Published).await;
    assert_eq!((rest.prompts.len(), rest.has_more), (1, false));
    let mine = Visibility::Own(store.prompt(workspace, slug("p1")).await.unwrap().unwrap().created_by);
    assert_eq!(serve(workspace, None, 100, mine).await.prompts.len(), 7);
    let nowhere = WorkspaceId::from_bytes([9; 16]);
    assert!(serve(nowhere, None, 100, Visibility::All).await.prompts.is_empty());
    let hidden = installation.served_to("p1", VersionRef::Draft, Visibility::Published).await;
    assert!(hidden.prompts.is_empty());
}

/// Each change of prompts is in the log, after what was served before it and not after what is served then.
pub async fn served_as_of<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let prompt = installation.new_prompt("qa-bot").await;
    let before = installation.served("qa-bot", VersionRef::Draft).await;
    let patch = Box::new(PromptPatch { generator: Some("Other.".to_owned()), ..PromptPatch::default() });
    let edit = PromptCommand::Edit { prompt: prompt.id, patch, if_revision: Some(1) };
    let committed = installation.on_prompts(edit).await.unwrap();
    let after = installation.served("qa-bot", VersionRef::Draft).await;
    assert!(before.as_of < committed.sequence && committed.sequence <= after.as_of);
    let changes = store.changes_after(committed.sequence - 1, 10).await.unwrap();
    assert_eq!(changes[0].change, Change::Prompts(installation.workspace.number));
    let entries = store.audit_after(0, 1_000).await.unwrap();
    let last = String::from_utf8(entries.last().unwrap().body.clone()).unwrap();
    assert!(last.contains("prompt.updated") && !last.contains("Other."), "{last}");
}

/// What a person made alone goes with them, some at a time; what somebody else published stays.
pub async fn prompts_of_an_erased_person_go<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let (user, workspace) = (installation.samples.user(), installation.workspace.id);
    let command = Command::CreateMember { user: user.clone(), workspace, role: Role::Admin };
    let Outcome::Membership(membership) = installation.operate(command).await.unwrap().outcome else {
        panic!("another outcome")
    };
    let author = creator(&membership);
    for name in ["first", "second", "third", "shared"] {
        let prompt = installation.new_prompt_by(author, name).await;
        installation.add_file(&prompt, b"by somebody").await;
        let by = if name == "shared" { creator(&installation.owner) } else { author };
        let publish = PromptCommand::Publish { prompt: prompt.id, if_revision: None };
        installation.on_prompts_by(by, publish).await.unwrap();
    }
    installation.new_prompt("others").await;
    let erase = async || {
        let command = PrivacyCommand::ErasePrompts { user: user.id, limit: 2 };
        let committed = installation.operate(Command::Privacy(command)).await.unwrap();
        let Outcome::Privacy(PrivacyOutcome::PromptsErased(count)) = committed.outcome else {
            panic!("another outcome")
        };
        (count, committed.restricting)
    };
    assert_eq!(erase().await, (2, true), "caches are told");
    assert_eq!(erase().await, (1, true));
    assert_eq!(erase().await.0, 0);
    let left = PromptQuery { workspace, filter: PromptFilter::default(), after: None, limit: 10 };
    let left = store.prompts(left).await.unwrap().items;
    let mut names: Vec<_> = left.iter().map(|prompt| prompt.slug.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["others", "shared"]);
    let entries = store.audit_after(0, 1_000).await.unwrap();
    let deleted =
        entries.iter().filter(|entry| String::from_utf8_lossy(&entry.body).contains("prompt.deleted"));
    assert_eq!(deleted.count(), 3, "each is on record");
    let nobody = PrivacyCommand::ErasePrompts { user: installation.samples.user().id, limit: 2 };
    let error = installation.operate(Command::Privacy(nobody)).await.unwrap_err();
    assert!(matches!(error, CommandError::Privacy(PrivacyError::NotFound)), "{error}");
}
