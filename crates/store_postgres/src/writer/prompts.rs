//! Commands about prompts.

use super::record::{Draft, Scope};
use crate::{
    fault::Fault,
    params,
    rows::{each, principal_columns, prompts},
    sql::prompts as sql,
};
use keywright_domain::{
    administration::Decided,
    change::{Change, EntityRef},
    command::{CommandError, Outcome},
    ids::{ContextId, PromptId, UserId},
    key::Effect,
    principal::Principal,
    privacy::PrivacyOutcome,
    prompt::{
        self as rules, NewContext, NewPrompt, Prompt, PromptCommand, PromptError, PromptOutcome, PromptPatch,
    },
    workspace::Workspace,
};

impl Scope<'_> {
    pub(super) async fn prompt_command(&mut self, command: PromptCommand) -> Result<Draft, Fault> {
        let id = self.context.permit.workspace().ok_or(CommandError::Permit)?;
        let workspace = self.group.workspace(id).await?.workspace.clone();
        match command {
            PromptCommand::Create(new) => self.create_prompt(*new, &workspace).await,
            PromptCommand::Edit { prompt, patch, if_revision } => {
                self.edit_prompt(prompt, *patch, if_revision, &workspace).await
            }
            PromptCommand::Publish { prompt, if_revision } => {
                self.publish_prompt(prompt, if_revision, &workspace).await
            }
            PromptCommand::SetArchived { prompt, archived } => {
                self.archive_prompt(prompt, archived, &workspace).await
            }
            PromptCommand::SetVersionArchived { prompt, version, archived } => {
                self.archive_version(prompt, version, archived, &workspace).await
            }
            PromptCommand::AddContext { prompt, item } => self.add_context(prompt, &item, &workspace).await,
            PromptCommand::RemoveContext { prompt, item } => {
                self.remove_context(prompt, item, &workspace).await
            }
            PromptCommand::Delete(prompt) => self.delete_prompt(prompt, &workspace).await,
        }
    }

    fn delete_item(&mut self, item: ContextId) {
        self.group.transaction.write(sql::DELETE_CHUNKS, params![item.to_bytes()]);
        self.group.transaction.write(sql::DELETE_ITEM, params![item.to_bytes()]);
    }

    fn author(&self) -> Result<Principal, Fault> {
        let creator = self.context.permit.actor().as_creator().ok_or(CommandError::Permit)?;
        Ok(creator.principal)
    }

    async fn found_prompt(&mut self, id: PromptId, workspace: &Workspace) -> Result<Prompt, Fault> {
        let row = self.group.transaction.first(sql::PROMPT_BY_ID, params![id.to_bytes()]).await?;
        let found = row.as_ref().map(prompts::prompt).transpose()?;
        let found = found.filter(|prompt| prompt.workspace == workspace.id);
        found.ok_or_else(|| PromptError::NotFound.into())
    }

    async fn create_prompt(&mut self, new: NewPrompt, workspace: &Workspace) -> Result<Draft, Fault> {
        let parameters = params![workspace.id.to_bytes(), new.slug.as_str()];
        let namesake = self.group.transaction.first(sql::PROMPT_BY_SLUG, parameters).await?.is_some();
        let known = self.counted(sql::COUNT_PROMPTS, params![workspace.number.0]).await?;
        let (by, now) = (self.author()?, self.context.now);
        let decided = rules::create(new, workspace.id, by, namesake, known, now)?;
        let values = prompts::prompt_params(&decided.value, workspace.number);
        self.group.transaction.write(sql::INSERT_PROMPT, values);
        Ok(prompt_draft(workspace, decided.value.id, &decided, PromptOutcome::Prompt(decided.value.clone())))
    }

    async fn edit_prompt(
        &mut self,
        id: PromptId,
        patch: PromptPatch,
        if_revision: Option<u64>,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace).await?;
        let decided = rules::edit(&before, patch, if_revision, self.context.now)?;
        Ok(self.keep_prompt(workspace, &decided))
    }

    fn keep_prompt(&mut self, workspace: &Workspace, decided: &Decided<Prompt>) -> Draft {
        if decided.effect != Effect::None {
            self.group.transaction.write(sql::UPDATE_PROMPT, prompts::prompt_update_params(&decided.value));
        }
        prompt_draft(workspace, decided.value.id, decided, PromptOutcome::Prompt(decided.value.clone()))
    }

    async fn publish_prompt(
        &mut self,
        id: PromptId,
        if_revision: Option<u64>,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace).await?;
        let parameters = params![id.to_bytes(), before.published];
        let row = self.group.transaction.first(sql::VERSION, parameters).await?;
        let newest = row.as_ref().map(prompts::version).transpose()?;
        let (by, now) = (self.author()?, self.context.now);
        let decided = rules::publish(&before, newest.as_ref(), if_revision, by, now)?;
        let rules::Published { prompt, version } = decided.value.clone();
        self.group.transaction.write(sql::INSERT_VERSION, prompts::version_params(id, &version));
        self.group.transaction.write(sql::UPDATE_PROMPT, prompts::prompt_update_params(&prompt));
        Ok(prompt_draft(workspace, id, &decided, PromptOutcome::Version(prompt, version)))
    }

    async fn archive_prompt(
        &mut self,
        id: PromptId,
        archived: bool,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace).await?;
        let decided = rules::set_archived(&before, archived, self.context.now);
        Ok(self.keep_prompt(workspace, &decided))
    }

    async fn archive_version(
        &mut self,
        id: PromptId,
        number: u32,
        archived: bool,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace).await?;
        let rows = self.group.transaction.query(sql::VERSION_MARKS, params![id.to_bytes()]).await?;
        let marks = each(&rows, prompts::version_mark)?;
        let decided = rules::set_version_archived(&before, &marks, number, archived, self.context.now)?;
        let (prompt, mark) = decided.value.clone();
        if decided.effect != Effect::None {
            let values = params![id.to_bytes(), number, mark.archived_at];
            self.group.transaction.write(sql::ARCHIVE_VERSION, values);
            self.group.transaction.write(sql::UPDATE_PROMPT, prompts::prompt_update_params(&prompt));
        }
        let parameters = params![id.to_bytes(), number];
        let row = self.group.transaction.first(sql::VERSION, parameters).await?;
        let version = row.as_ref().map(prompts::version).transpose()?;
        let version = version.ok_or_else(|| Fault::Damaged("a version of a prompt vanished".to_owned()))?;
        Ok(prompt_draft(workspace, id, &decided, PromptOutcome::Version(prompt, version)))
    }

    async fn add_context(
        &mut self,
        id: PromptId,
        new: &NewContext,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace).await?;
        let items = self.counted(sql::COUNT_ITEMS, params![id.to_bytes()]).await?;
        let items = usize::try_from(items).unwrap_or(usize::MAX);
        let bytes = self.counted(sql::SUM_BYTES, params![workspace.number.0]).await?;
        let decided = rules::add_context(&before, new, items, bytes, self.context.now)?;
        let (prompt, item) = decided.value.clone();
        self.group.transaction.write(sql::INSERT_ITEM, prompts::item_params(&item, workspace.number));
        for (position, bytes) in (0_u32..).zip(&new.chunks) {
            let values = params![item.id.to_bytes(), position, bytes.clone()];
            self.group.transaction.write(sql::INSERT_CHUNK, values);
        }
        self.group.transaction.write(sql::UPDATE_PROMPT, prompts::prompt_update_params(&prompt));
        let mut draft = prompt_draft(workspace, id, &decided, PromptOutcome::Context(prompt, item));
        draft.target = new.id.to_string();
        Ok(draft)
    }

    async fn remove_context(
        &mut self,
        id: PromptId,
        item: ContextId,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace).await?;
        let row = self.group.transaction.first(sql::CONTEXT_ITEM, params![item.to_bytes()]).await?;
        let found = row.as_ref().map(prompts::context_item).transpose()?;
        found.filter(|found| found.prompt == id).ok_or(PromptError::NotFound)?;
        let decided = rules::remove_context(&before, item, self.context.now);
        self.delete_item(item);
        Ok(self.keep_prompt(workspace, &decided))
    }

    async fn delete_prompt(&mut self, id: PromptId, workspace: &Workspace) -> Result<Draft, Fault> {
        let decided = rules::delete(self.found_prompt(id, workspace).await?);
        self.remove_prompt(id).await?;
        Ok(prompt_draft(workspace, id, &decided, PromptOutcome::Prompt(decided.value.clone())))
    }

    /// Deletes prompts of a person who is to be erased, at most `limit`.
    pub(super) async fn erase_prompts(&mut self, user: UserId, limit: u32) -> Result<Draft, Fault> {
        let (kind, creator) = principal_columns(Principal::User(user));
        let values = params![kind, creator, i64::from(limit)];
        let rows = self.group.transaction.query(sql::PROMPTS_OF_NOBODY_ELSE, values).await?;
        let found = each(&rows, prompts::prompt)?;
        let deleted = PrivacyOutcome::PromptsErased(found.len().try_into().unwrap_or(u64::MAX));
        let mut draft = Draft::new(Outcome::Privacy(deleted), user.to_string());
        for prompt in found {
            let workspace = self.group.workspace(prompt.workspace).await?.workspace.clone();
            self.remove_prompt(prompt.id).await?;
            record(&mut draft, &workspace, &rules::delete(prompt));
        }
        Ok(draft)
    }

    async fn remove_prompt(&mut self, id: PromptId) -> Result<(), Fault> {
        let rows = self.group.transaction.query(sql::CONTEXT_ITEMS, params![id.to_bytes()]).await?;
        let items = each(&rows, prompts::context_item)?;
        for item in items {
            self.delete_item(item.id);
        }
        self.group.transaction.write(sql::DELETE_VERSIONS, params![id.to_bytes()]);
        self.group.transaction.write(sql::DELETE_PROMPT, params![id.to_bytes()]);
        Ok(())
    }
}

fn prompt_draft<T>(
    workspace: &Workspace,
    id: PromptId,
    decided: &Decided<T>,
    outcome: PromptOutcome,
) -> Draft {
    let mut draft = Draft::new(Outcome::Prompt(Box::new(outcome)), id.to_string());
    draft.wait = Some(workspace.policy.wait);
    if decided.effect != Effect::None {
        record(&mut draft, workspace, decided);
    }
    draft
}

fn record<T>(draft: &mut Draft, workspace: &Workspace, decided: &Decided<T>) {
    let number = workspace.number;
    let (entity, change) = (EntityRef::Prompts(number), Change::Prompts(number));
    draft.record("prompt", Some((workspace.id, number)), decided, entity, change);
}
