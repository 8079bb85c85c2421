//! The prompt that `dev` has ready: published, with a newer draft, a file and a link.

use keywright_domain::{
    command::Command,
    ids::{ContextId, OperatorId, PromptId, WorkspaceId},
    permit::{self, Action, Actor},
    prompt::{Content, ContextKind, NewContext, NewPrompt, PromptCommand, PromptPatch, PromptSlug},
    workspace::Slug,
};
use sha2::{Digest as _, Sha256};

use crate::{
    failure::Failure,
    installation::{Opened, explain_command, explain_store, system_context},
    system::SystemEntropy,
};

/// Its slug.
pub(super) const PROMPT: &str = "support-assistant";

const SYSTEM: &str =
    "You answer for the support of an online shop. What you do not know, you say you do not know.\n";
const FIRST: &str = "\
Answer the question of a customer in at most three sentences. Use the attached FAQ.

{{question:string // what the customer asks}}
";
const SECOND: &str = "\
Answer the question of a customer in at most three sentences, in {{language:string // such as English}}. Use the
attached FAQ, and name the section that you took the answer from.

{{question:string // what the customer asks}}
";
const FAQ: &str = "\
# Frequent questions

## Returns

Goods can be sent back within 30 days.

## Delivery

Orders placed before noon leave on the same day.
";
const LINK: &str = "https://example.com/help";

/// Makes the prompt, unless there is one of its name or no workspace for it.
pub(super) async fn seed(opened: &Opened, workspace: &str) -> Result<(), Failure> {
    let store = &opened.store;
    let Ok(slug) = Slug::parse(workspace) else { return Ok(()) };
    let found = store.workspace(slug).await.map_err(|error| explain_store(&error))?;
    let Some(workspace) = found.filter(|found| found.suspended_at.is_none() && found.deletion.is_none())
    else {
        return Ok(());
    };
    let slug = PromptSlug::parse(PROMPT).expect("a slug");
    if store.prompt(workspace.id, slug.clone()).await.map_err(|error| explain_store(&error))?.is_some() {
        return Ok(());
    }
    let operators = store.operators().await.map_err(|error| explain_store(&error))?;
    let Some(operator) = operators.iter().find(|operator| operator.revoked_at.is_none()) else {
        return Ok(());
    };
    let author = Author { opened, operator: operator.id, workspace: workspace.id };
    let draft = Content {
        title: "Support assistant".to_owned(),
        description: Some("Answers questions of customers.".to_owned()),
        category: Some("support".to_owned()),
        tags: vec!["example".to_owned()],
        generator: FIRST.to_owned(),
        system: Some(SYSTEM.to_owned()),
        critique: None,
    };
    let id = PromptId::generate(system_context().now, &SystemEntropy);
    author.does(PromptCommand::Create(Box::new(NewPrompt { id, slug, draft }))).await?;
    author.does(PromptCommand::AddContext { prompt: id, item: Box::new(faq()) }).await?;
    author.does(PromptCommand::AddContext { prompt: id, item: Box::new(link()) }).await?;
    author.does(PromptCommand::Publish { prompt: id, if_revision: None }).await?;
    let patch = Box::new(PromptPatch { generator: Some(SECOND.to_owned()), ..PromptPatch::default() });
    author.does(PromptCommand::Edit { prompt: id, patch, if_revision: None }).await?;
    Ok(())
}

fn faq() -> NewContext {
    let bytes = FAQ.as_bytes();
    let kind = ContextKind::File {
        name: "faq.md".to_owned(),
        mime_type: "text/markdown".to_owned(),
        size: bytes.len() as u64,
        sha256: hex::encode(Sha256::digest(bytes)),
    };
    let id = ContextId::generate(system_context().now, &SystemEntropy);
    NewContext { id, label: Some("Frequent questions".to_owned()), kind, chunks: vec![bytes.to_vec()] }
}

fn link() -> NewContext {
    let id = ContextId::generate(system_context().now, &SystemEntropy);
    let kind = ContextKind::Link { url: LINK.to_owned() };
    NewContext { id, label: Some("The help pages".to_owned()), kind, chunks: Vec::new() }
}

/// The operator, in a workspace.
struct Author<'a> {
    opened: &'a Opened,
    operator: OperatorId,
    workspace: WorkspaceId,
}

impl Author<'_> {
    async fn does(&self, command: PromptCommand) -> Result<(), Failure> {
        let mut context = system_context();
        context.permit =
            permit::authorize(Actor::Operator(self.operator), Action::WritePrompts, Some(self.workspace))
                .expect("an operator may do everything");
        let done = self.opened.store.execute(context, Command::Prompt(command)).await;
        done.map(drop).map_err(|error| explain_command(&error))
    }
}
