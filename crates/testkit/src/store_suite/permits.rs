//! Permits.

use std::sync::Arc;

use keywright_domain::{
    account::{AccountCommand, CredentialCommand, InvitationCommand, TokenDigest},
    command::{Command, CommandError, WorkspaceCommand},
    ids::{InvitationId, PromptId, ServiceAccountId},
    key::{KeyChange, KeyNumber},
    member::{MemberCommand, Switch},
    permission::{PermissionName, Role},
    permit::Action,
    plan::Plan,
    prompt::PromptCommand,
    query::KeyFilter,
    store::Store,
    workspace::WorkspacePatch,
};

use crate::{Installation, Samples};

/// Each command is refused with every permit but its own, before anything else is looked at.
pub async fn a_permit_for_something_else_is_refused<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let key = installation.create_key("worker").await.id;
    let before = (installation.load().await, store.audit_head().await.unwrap());
    let own = installation.workspace.id;
    let other = installation.samples.new_workspace("other").id;
    let mut refused = 0;
    for (command, needed) in commands(&installation, key) {
        for action in Action::ALL {
            for workspace in [None, Some(own), Some(other)] {
                let is_right = match needed {
                    Needed::Installation => action == Action::Operate && workspace.is_none(),
                    Needed::Keys => action == Action::WriteKeys && workspace.is_some(),
                    Needed::Prompts => action == Action::WritePrompts && workspace.is_some(),
                    Needed::Workspace => action == Action::WriteWorkspace && workspace == Some(own),
                    Needed::Members(needed) => action == needed && workspace.is_some(),
                    Needed::End => action == Action::DeleteWorkspace && workspace == Some(own),
                };
                if is_right {
                    continue;
                }
                let context = installation.samples.context(Samples::permit(action, workspace));
                let error = store.execute(context, command.clone()).await.unwrap_err();
                assert!(
                    matches!(error, CommandError::Permit),
                    "{action:?} {workspace:?} {command:?}: {error}"
                );
                refused += 1;
            }
        }
    }
    // Every action on 3 scopes; commands on keys, members and prompts are right on two scopes, the others on one.
    let all = Action::ALL.len() * 3;
    assert_eq!(refused, 16 * (all - 1) + (3 + 5 + 1) * (all - 2));
    assert_eq!(before, (installation.load().await, store.audit_head().await.unwrap()));
}

#[derive(Clone, Copy)]
enum Needed {
    Installation,
    Keys,
    Prompts,
    Workspace,
    Members(Action),
    End,
}

fn commands<S: Store>(
    installation: &Installation<S>,
    key: keywright_domain::ids::KeyId,
) -> Vec<(Command, Needed)> {
    let samples = &installation.samples;
    let workspace = installation.workspace.id;
    let name = PermissionName::parse("chat:send").unwrap();
    let suspend = WorkspacePatch { suspended: Some(true), ..WorkspacePatch::default() };
    let accept = InvitationCommand::Accept { digest: TokenDigest([1; 32]), newcomer: None };
    let withdraw = InvitationCommand::Withdraw(InvitationId::from_bytes([1; 16]));
    let account = ServiceAccountId::from_bytes([1; 16]);
    let on_members = |command: MemberCommand| {
        let needed = Needed::Members(command.needs());
        (Command::Member(command), needed)
    };
    vec![
        (Command::Bootstrap(Box::new(samples.bootstrap("again"))), Needed::Installation),
        (Command::CreateKey(Box::new(samples.new_key("new"))), Needed::Keys),
        (Command::ChangeKey { key, change: KeyChange::Disable }, Needed::Keys),
        (Command::Prompt(PromptCommand::Delete(PromptId::from_bytes([1; 16]))), Needed::Prompts),
        (Command::RevokeKeys { filter: KeyFilter::default(), reason: None }, Needed::Keys),
        (Command::Redigest(Vec::new()), Needed::Installation),
        (Command::CreateWorkspace(Box::new(samples.new_workspace("new"))), Needed::Installation),
        (Command::PatchWorkspace { workspace, patch: suspend }, Needed::Workspace),
        (Command::Workspace(WorkspaceCommand::Delete { workspace, grace_days: None }), Needed::End),
        (Command::Workspace(WorkspaceCommand::Restore { workspace }), Needed::End),
        (
            Command::Workspace(WorkspaceCommand::Purge { workspace, after: KeyNumber(0) }),
            Needed::Installation,
        ),
        (Command::CreateMember { user: samples.user(), workspace, role: Role::Owner }, Needed::Installation),
        (Command::PutPlan(Plan::builtin()[0].clone()), Needed::Installation),
        (Command::DeletePlan("standard".to_owned()), Needed::Installation),
        (Command::PutPermission { name, description: String::new() }, Needed::Installation),
        (Command::CreateOperator(Box::new(samples.new_operator("new"))), Needed::Installation),
        (Command::RevokeOperator(installation.operator.id), Needed::Installation),
        (Command::Account(AccountCommand::BeginAttempt(Vec::new())), Needed::Installation),
        (Command::Credential(CredentialCommand::EndSessionsOf(samples.user().id)), Needed::Installation),
        (Command::Invitation(accept), Needed::Installation),
        (Command::Invitation(withdraw), Needed::Members(Action::WriteMembers)),
        on_members(MemberCommand::Leave { hand_over_to: None }),
        on_members(MemberCommand::HandOverKey { key, to: account }),
        on_members(MemberCommand::SwitchServiceAccount { account, switch: Switch::Off }),
        on_members(MemberCommand::TransferOwnership { from: None, to: samples.user().id }),
    ]
}
