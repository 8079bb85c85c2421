//! Commands about prompts.

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
use rusqlite::params;

use super::record::{Draft, Scope};
use crate::{
    fault::Fault,
    rows::{
        installation::{all, count, first},
        principal_columns, prompts, time_column,
    },
    sql::prompts as sql,
};

impl Scope<'_> {
    pub(super) fn prompt_command(&mut self, command: PromptCommand) -> Result<Draft, Fault> {
        let id = self.context.permit.workspace().ok_or(CommandError::Permit)?;
        let workspace = self.workspaces.get(self.connection, id)?.workspace.clone();
        match command {
            PromptCommand::Create(new) => self.create_prompt(*new, &workspace),
            PromptCommand::Edit { prompt, patch, if_revision } => {
                self.edit_prompt(prompt, *patch, if_revision, &workspace)
            }
            PromptCommand::Publish { prompt, if_revision } => {
                self.publish_prompt(prompt, if_revision, &workspace)
            }
            PromptCommand::SetArchived { prompt, archived } => {
                self.archive_prompt(prompt, archived, &workspace)
            }
            PromptCommand::SetVersionArchived { prompt, version, archived } => {
                self.archive_version(prompt, version, archived, &workspace)
            }
            PromptCommand::AddContext { prompt, item } => self.add_context(prompt, &item, &workspace),
            PromptCommand::RemoveContext { prompt, item } => self.remove_context(prompt, item, &workspace),
            PromptCommand::Delete(prompt) => self.delete_prompt(prompt, &workspace),
        }
    }

    fn author(&self) -> Result<Principal, Fault> {
        let creator = self.context.permit.actor().as_creator().ok_or(CommandError::Permit)?;
        Ok(creator.principal)
    }

    fn found_prompt(&self, id: PromptId, workspace: &Workspace) -> Result<Prompt, Fault> {
        let found = prompts::prompt_by_id(self.connection, id)?;
        let found = found.filter(|prompt| prompt.workspace == workspace.id);
        found.ok_or_else(|| PromptError::NotFound.into())
    }

    fn create_prompt(&mut self, new: NewPrompt, workspace: &Workspace) -> Result<Draft, Fault> {
        let parameters = params![workspace.id.to_bytes(), new.slug.as_str()];
        let namesake = first(self.connection, sql::PROMPT_BY_SLUG, parameters, prompts::prompt)?.is_some();
        let number = count(self.connection, sql::COUNT_PROMPTS, [workspace.number.0])?;
        let (by, now) = (self.author()?, self.context.now);
        let decided = rules::create(new, workspace.id, by, namesake, number, now)?;
        prompts::insert_prompt(self.connection, &decided.value, workspace.number)?;
        Ok(prompt_draft(workspace, decided.value.id, &decided, PromptOutcome::Prompt(decided.value.clone())))
    }

    fn edit_prompt(
        &mut self,
        id: PromptId,
        patch: PromptPatch,
        if_revision: Option<u64>,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace)?;
        let decided = rules::edit(&before, patch, if_revision, self.context.now)?;
        self.keep_prompt(workspace, &decided)
    }

    fn keep_prompt(&mut self, workspace: &Workspace, decided: &Decided<Prompt>) -> Result<Draft, Fault> {
        if decided.effect != Effect::None {
            prompts::update_prompt(self.connection, &decided.value)?;
        }
        Ok(prompt_draft(workspace, decided.value.id, decided, PromptOutcome::Prompt(decided.value.clone())))
    }

    fn publish_prompt(
        &mut self,
        id: PromptId,
        if_revision: Option<u64>,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace)?;
        let parameters = params![id.to_bytes(), before.published];
        let newest = first(self.connection, sql::VERSION, parameters, prompts::version)?;
        let (by, now) = (self.author()?, self.context.now);
        let decided = rules::publish(&before, newest.as_ref(), if_revision, by, now)?;
        let rules::Published { prompt, version } = decided.value.clone();
        prompts::insert_version(self.connection, id, &version)?;
        prompts::update_prompt(self.connection, &prompt)?;
        Ok(prompt_draft(workspace, id, &decided, PromptOutcome::Version(prompt, version)))
    }

    fn archive_prompt(
        &mut self,
        id: PromptId,
        archived: bool,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace)?;
        let decided = rules::set_archived(&before, archived, self.context.now);
        self.keep_prompt(workspace, &decided)
    }

    fn archive_version(
        &mut self,
        id: PromptId,
        number: u32,
        archived: bool,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace)?;
        let marks = all(self.connection, sql::VERSION_MARKS, [id.to_bytes()], prompts::version_mark)?;
        let decided = rules::set_version_archived(&before, &marks, number, archived, self.context.now)?;
        let (prompt, mark) = decided.value.clone();
        if decided.effect != Effect::None {
            let archived_at = time_column(mark.archived_at);
            self.connection.prepare_cached(sql::ARCHIVE_VERSION)?.execute(params![
                id.to_bytes(),
                number,
                archived_at
            ])?;
            prompts::update_prompt(self.connection, &prompt)?;
        }
        let parameters = params![id.to_bytes(), number];
        let version = first(self.connection, sql::VERSION, parameters, prompts::version)?
            .ok_or_else(|| Fault::Damaged("a version of a prompt vanished".to_owned()))?;
        Ok(prompt_draft(workspace, id, &decided, PromptOutcome::Version(prompt, version)))
    }

    fn add_context(&mut self, id: PromptId, new: &NewContext, workspace: &Workspace) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace)?;
        let items = count(self.connection, sql::COUNT_ITEMS, [id.to_bytes()])?;
        let items = usize::try_from(items).unwrap_or(usize::MAX);
        let bytes = count(self.connection, sql::SUM_BYTES, [workspace.number.0])?;
        let decided = rules::add_context(&before, new, items, bytes, self.context.now)?;
        let (prompt, item) = decided.value.clone();
        prompts::insert_item(self.connection, &item, &new.chunks, workspace.number)?;
        prompts::update_prompt(self.connection, &prompt)?;
        let mut draft = prompt_draft(workspace, id, &decided, PromptOutcome::Context(prompt, item));
        draft.target = new.id.to_string();
        Ok(draft)
    }

    fn remove_context(
        &mut self,
        id: PromptId,
        item: ContextId,
        workspace: &Workspace,
    ) -> Result<Draft, Fault> {
        let before = self.found_prompt(id, workspace)?;
        let found = first(self.connection, sql::CONTEXT_ITEM, [item.to_bytes()], prompts::context_item)?;
        found.filter(|found| found.prompt == id).ok_or(PromptError::NotFound)?;
        let decided = rules::remove_context(&before, item, self.context.now);
        prompts::delete_item(self.connection, item)?;
        self.keep_prompt(workspace, &decided)
    }

    fn delete_prompt(&mut self, id: PromptId, workspace: &Workspace) -> Result<Draft, Fault> {
        let decided = rules::delete(self.found_prompt(id, workspace)?);
        self.remove_prompt(id)?;
        Ok(prompt_draft(workspace, id, &decided, PromptOutcome::Prompt(decided.value.clone())))
    }

    /// Deletes prompts of a person who is to be erased, at most `limit`.
    pub(super) fn erase_prompts(&mut self, user: UserId, limit: u32) -> Result<Draft, Fault> {
        let (kind, creator) = principal_columns(Principal::User(user));
        let parameters = params![kind, creator, limit];
        let found = all(self.connection, sql::PROMPTS_OF_NOBODY_ELSE, parameters, prompts::prompt)?;
        let deleted = PrivacyOutcome::PromptsErased(found.len().try_into().unwrap_or(u64::MAX));
        let mut draft = Draft::new(Outcome::Privacy(deleted), user.to_string());
        for prompt in found {
            let workspace = self.workspaces.get(self.connection, prompt.workspace)?.workspace.clone();
            self.remove_prompt(prompt.id)?;
            record(&mut draft, &workspace, &rules::delete(prompt));
        }
        Ok(draft)
    }

    fn remove_prompt(&mut self, id: PromptId) -> Result<(), Fault> {
        let items = all(self.connection, sql::CONTEXT_ITEMS, [id.to_bytes()], prompts::context_item)?;
        for item in items {
            prompts::delete_item(self.connection, item.id)?;
        }
        self.connection.prepare_cached(sql::DELETE_VERSIONS)?.execute([id.to_bytes()])?;
        self.connection.prepare_cached(sql::DELETE_PROMPT)?.execute([id.to_bytes()])?;
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
