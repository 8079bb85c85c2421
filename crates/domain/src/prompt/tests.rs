use super::*;
use crate::{ids::UserId, key::Effect};

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const LATER: Timestamp = Timestamp::from_unix_ms(1_800_000_060_000);
const BY: Principal = Principal::User(UserId::from_bytes([7; 16]));

fn content() -> Content {
    Content { title: "Bot".to_owned(), generator: "Answer {{question}}".to_owned(), ..Content::default() }
}

fn new() -> NewPrompt {
    let slug = PromptSlug::parse("qa-bot").unwrap();
    NewPrompt { id: PromptId::from_bytes([1; 16]), slug, draft: content() }
}

fn prompt() -> Prompt {
    create(new(), WorkspaceId::from_bytes([2; 16]), BY, false, 0, NOW).unwrap().value
}

fn published() -> Published {
    publish(&prompt(), None, None, BY, NOW).unwrap().value
}

fn text(generator: &str) -> PromptPatch {
    PromptPatch { generator: Some(generator.to_owned()), ..PromptPatch::default() }
}

fn file(bytes: usize) -> NewContext {
    let data = vec![b'x'; bytes];
    NewContext {
        id: ContextId::from_bytes([9; 16]),
        label: None,
        kind: ContextKind::File {
            name: "faq.txt".to_owned(),
            mime_type: "text/plain".to_owned(),
            size: bytes as u64,
            sha256: "0".repeat(64),
        },
        chunks: data.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect(),
    }
}

#[test]
fn fields_have_both_limits() {
    let with = |change: &dyn Fn(&mut Content)| {
        let mut content = content();
        change(&mut content);
        content.check().is_ok()
    };
    for (good, bad) in [
        (
            with(&|it| it.title = "x".repeat(TITLE_MAX_CHARS)),
            with(&|it| it.title = "x".repeat(TITLE_MAX_CHARS + 1)),
        ),
        (with(&|it| it.title = "x".to_owned()), with(&|it| it.title = " ".to_owned())),
        (
            with(&|it| it.description = Some("x".repeat(DESCRIPTION_MAX_BYTES))),
            with(&|it| it.description = Some("x".repeat(DESCRIPTION_MAX_BYTES + 1))),
        ),
        (
            with(&|it| it.category = Some("x".repeat(CATEGORY_MAX_CHARS))),
            with(&|it| it.category = Some("x".repeat(CATEGORY_MAX_CHARS + 1))),
        ),
        (
            with(&|it| it.tags = vec!["x".to_owned(); TAGS_MAX]),
            with(&|it| it.tags = vec!["x".to_owned(); TAGS_MAX + 1]),
        ),
        (
            with(&|it| it.tags = vec!["x".repeat(TAG_MAX_CHARS)]),
            with(&|it| it.tags = vec!["x".repeat(TAG_MAX_CHARS + 1)]),
        ),
        (
            with(&|it| it.generator = "x".repeat(TEXT_MAX_BYTES)),
            with(&|it| it.generator = "x".repeat(TEXT_MAX_BYTES + 1)),
        ),
        (with(&|it| it.system = Some("a\n\tb".to_owned())), with(&|it| it.system = Some("a\0b".to_owned()))),
        (
            with(&|it| it.critique = Some("x".repeat(TEXT_MAX_BYTES))),
            with(&|it| it.critique = Some("x".repeat(TEXT_MAX_BYTES + 1))),
        ),
    ] {
        assert!(good && !bad);
    }
    assert!(PromptSlug::parse(&"x".repeat(SLUG_MAX_BYTES)).is_ok());
    assert!(PromptSlug::parse(&"x".repeat(SLUG_MAX_BYTES + 1)).is_err());
}

#[test]
fn a_workspace_takes_so_many_prompts_and_one_of_each_name() {
    let workspace = WorkspaceId::from_bytes([2; 16]);
    assert!(create(new(), workspace, BY, false, PROMPTS_MAX - 1, NOW).is_ok());
    assert_eq!(
        create(new(), workspace, BY, false, PROMPTS_MAX, NOW).unwrap_err(),
        PromptError::TooManyPrompts
    );
    assert_eq!(create(new(), workspace, BY, true, 0, NOW).unwrap_err(), PromptError::SlugTaken);
}

#[test]
fn an_edit_counts_the_revision_and_says_no_text() {
    let decided = edit(&prompt(), text("My name is Jane."), Some(1), LATER).unwrap();
    assert_eq!((decided.value.revision, decided.value.updated_at), (2, LATER));
    assert_eq!(decided.fields[0].after.as_deref(), Some("16 bytes"));
    let again = edit(&decided.value, text("My name is Jane."), None, LATER).unwrap();
    assert_eq!((again.effect, again.value.revision), (Effect::None, 2));
    let stale = edit(&decided.value, text("x"), Some(1), LATER).unwrap_err();
    assert_eq!(stale, PromptError::Revision { current: 2 });
    let emptied = PromptPatch { title: Some(String::new()), ..PromptPatch::default() };
    assert!(matches!(edit(&prompt(), emptied, None, LATER), Err(PromptError::Field { field: "title", .. })));
}

#[test]
fn publishing_freezes_the_draft_under_the_next_number() {
    let first = published();
    assert_eq!((first.prompt.published, first.prompt.latest, first.version.number), (1, Some(1), 1));
    assert_eq!(first.version.content, prompt().draft);
    let same = publish(&first.prompt, Some(&first.version), None, BY, LATER).unwrap_err();
    assert_eq!(same, PromptError::Unchanged { version: 1 });
    let edited = edit(&first.prompt, text("Other"), None, LATER).unwrap().value;
    assert_eq!(
        publish(&edited, Some(&first.version), Some(1), BY, LATER).unwrap_err(),
        PromptError::Revision { current: 2 }
    );
    let second = publish(&edited, Some(&first.version), Some(2), BY, LATER).unwrap().value;
    assert_eq!((second.version.number, second.prompt.latest), (2, Some(2)));
    let empty = edit(&edited, text(" \n"), None, LATER).unwrap().value;
    let refused = publish(&empty, None, None, BY, LATER).unwrap_err();
    assert!(matches!(refused, PromptError::Field { field: "generator", .. }));
    let mut full = edited;
    full.published = VERSIONS_MAX - 1;
    assert!(publish(&full, None, None, BY, LATER).is_ok());
    full.published = VERSIONS_MAX;
    assert_eq!(publish(&full, None, None, BY, LATER).unwrap_err(), PromptError::TooManyVersions);
}

#[test]
fn the_latest_is_the_newest_in_service() {
    let prompt = Prompt { published: 3, latest: Some(3), ..prompt() };
    let marks = [1, 2, 3].map(|number| VersionMark { number, archived_at: None });
    let third = set_version_archived(&prompt, &marks, 3, true, LATER).unwrap();
    assert_eq!((third.value.0.latest, third.effect), (Some(2), Effect::Restricting));
    let mut marks = marks;
    marks[2] = third.value.1;
    let first = set_version_archived(&third.value.0, &marks, 1, true, LATER).unwrap();
    assert_eq!(first.value.0.latest, Some(2));
    marks[0] = first.value.1;
    let none = set_version_archived(&first.value.0, &marks, 2, true, LATER).unwrap();
    assert_eq!(none.value.0.latest, None);
    marks[1] = none.value.1;
    assert_eq!(set_version_archived(&none.value.0, &marks, 2, true, LATER).unwrap().effect, Effect::None);
    let back = set_version_archived(&none.value.0, &marks, 1, false, LATER).unwrap();
    assert_eq!((back.value.0.latest, back.effect), (Some(1), Effect::Loosening));
    assert_eq!(set_version_archived(&prompt, &marks, 4, true, LATER).unwrap_err(), PromptError::NotFound);
}

#[test]
fn an_archived_prompt_is_not_changed() {
    let archived = set_archived(&prompt(), true, LATER);
    assert_eq!((archived.effect, archived.value.archived_at), (Effect::Restricting, Some(LATER)));
    let archived = archived.value;
    assert_eq!(set_archived(&archived, true, LATER).effect, Effect::None);
    assert_eq!(edit(&archived, text("x"), None, LATER).unwrap_err(), PromptError::Archived);
    assert_eq!(publish(&archived, None, None, BY, LATER).unwrap_err(), PromptError::Archived);
    assert_eq!(add_context(&archived, &file(1), 0, 0, LATER).unwrap_err(), PromptError::Archived);
    let restored = set_archived(&archived, false, LATER);
    assert_eq!((restored.effect, restored.value.archived_at), (Effect::Loosening, None));
}

#[test]
fn context_items_have_limits_on_both_sides() {
    let add = |new: &NewContext, items, bytes| add_context(&prompt(), new, items, bytes, LATER);
    assert_eq!(add(&file(3), 0, 0).unwrap().value.0.context, [ContextId::from_bytes([9; 16])]);
    assert!(add(&file(0), 0, 0).is_ok(), "an empty file is a file");
    assert!(add(&file(1), CONTEXT_ITEMS_MAX - 1, 0).is_ok());
    assert_eq!(add(&file(1), CONTEXT_ITEMS_MAX, 0).unwrap_err(), PromptError::TooManyItems);
    assert!(add(&file(1), 0, CONTEXT_BYTES_PER_WORKSPACE_MAX - 1).is_ok());
    assert_eq!(add(&file(1), 0, CONTEXT_BYTES_PER_WORKSPACE_MAX).unwrap_err(), PromptError::TooManyBytes);
    let largest = usize::try_from(FILE_MAX_BYTES).unwrap();
    assert!(add(&file(largest), 0, 0).is_ok());
    let field = |new: &NewContext| match add(new, 0, 0) {
        Err(PromptError::Field { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(field(&file(largest + 1)), "file");
    let named = |given: &str| {
        let mut new = file(1);
        if let ContextKind::File { name, .. } = &mut new.kind {
            given.clone_into(name);
        }
        new
    };
    assert!(add(&named(&"x".repeat(FILE_NAME_MAX_CHARS)), 0, 0).is_ok());
    for bad in ["", "a/b", "..", "a\\b", "a\nb", &"x".repeat(FILE_NAME_MAX_CHARS + 1)] {
        assert_eq!(field(&named(bad)), "file_name", "{bad:?}");
    }
    let mut typed = file(1);
    if let ContextKind::File { mime_type, .. } = &mut typed.kind {
        "application/x-msdownload".clone_into(mime_type);
    }
    assert_eq!(field(&typed), "mime_type");
    let labelled = |label: usize| NewContext { label: Some("x".repeat(label)), ..file(1) };
    assert!(add(&labelled(LABEL_MAX_CHARS), 0, 0).is_ok());
    assert_eq!(field(&labelled(LABEL_MAX_CHARS + 1)), "label");
    let link = |url: &str| NewContext {
        kind: ContextKind::Link { url: url.to_owned() },
        chunks: Vec::new(),
        ..file(0)
    };
    assert!(add(&link("https://example.com/faq"), 0, 0).is_ok());
    assert_eq!(field(&link("http://169.254.169.254/latest/meta-data")), "url");
}

#[test]
fn an_item_that_is_removed_leaves_the_draft() {
    let with = add_context(&prompt(), &file(1), 0, 0, NOW).unwrap().value.0;
    let without = remove_context(&with, with.context[0], LATER);
    assert!(without.value.context.is_empty());
    assert_eq!((without.value.revision, without.effect), (3, Effect::Restricting));
    let of_a_version = remove_context(&prompt(), with.context[0], LATER);
    assert_eq!((of_a_version.value.revision, of_a_version.effect), (1, Effect::Restricting));
}

#[test]
fn drafts_are_for_those_who_write_and_for_their_creator() {
    let other = Principal::User(UserId::from_bytes([8; 16]));
    for (visibility, sees) in [
        (Visibility::All, true),
        (Visibility::Own(BY), true),
        (Visibility::Own(other), false),
        (Visibility::Published, false),
    ] {
        assert_eq!(visibility.shows_draft_of(&prompt()), sees, "{visibility:?}");
    }
}

#[test]
fn filters() {
    let mut prompt = prompt();
    prompt.draft.category = Some("support".to_owned());
    prompt.draft.tags = vec!["a".to_owned()];
    let some = |text: &str| Some(text.to_owned());
    let any = PromptFilter::default;
    for (filter, matches) in [
        (any(), true),
        (PromptFilter { category: some("support"), ..any() }, true),
        (PromptFilter { category: some("sales"), ..any() }, false),
        (PromptFilter { tag: some("a"), ..any() }, true),
        (PromptFilter { tag: some("b"), ..any() }, false),
        (PromptFilter { search: some("QA-"), ..any() }, true),
        (PromptFilter { search: some("bot"), ..any() }, true),
        (PromptFilter { search: some("cat"), ..any() }, false),
        (PromptFilter { archived: Some(false), ..any() }, true),
        (PromptFilter { archived: Some(true), ..any() }, false),
    ] {
        assert_eq!(filter.matches(&prompt), matches, "{filter:?}");
    }
}
