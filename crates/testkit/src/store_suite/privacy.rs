//! Personal data: sealed, found, opened again.

use std::sync::Arc;

use keywright_domain::{
    audit::{AuditBody, ChainVerifier},
    command::{Command, CommandError, Outcome},
    ids::UserId,
    key::NewKey,
    permission::{PermissionSet, Role},
    permit::{Action, Actor, authorize},
    principal::Creator,
    privacy::{PrivacyCommand, PrivacyError, PrivacyOutcome, Who},
    store::Store,
};

use crate::Installation;

/// A person is found by id and by address, in upper or lower case.
pub async fn people_are_found<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let mut user = installation.samples.user();
    "Grace.Hopper@Example.com".clone_into(&mut user.email);
    let workspace = installation.workspace.id;
    let command = Command::CreateMember { user: user.clone(), workspace, role: Role::Member };
    installation.operate(command).await.unwrap();
    let by_email = async |email: &str| store.person(Who::Email(email.to_owned())).await.unwrap();
    assert!(store.person(Who::Id(user.id)).await.unwrap() == Some(user.clone()));
    assert!(by_email("grace.hopper@example.com").await == Some(user.clone()));
    assert!(by_email(" GRACE.HOPPER@EXAMPLE.COM").await == Some(user));
    assert!(by_email("grace.hopper@example.org").await.is_none());
    assert!(store.person(Who::Id(UserId::from_bytes([9; 16]))).await.unwrap().is_none());
}

/// Address and user agent of an audit entry come back as they were.
pub async fn personal_data_comes_back<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    installation.create_key("one").await;
    let entries = store.audit_after(0, 100).await.unwrap();
    assert!(entries.len() > 2);
    for entry in entries {
        let personal = entry.personal.expect("nothing was erased");
        assert_eq!(personal.address, Some([192, 0, 2, 7].into()));
        assert_eq!(personal.user_agent.as_deref(), Some("keywright-testkit/1"));
    }
}

/// Under the newest key-encryption key, nothing is wrapped anew.
pub async fn nothing_to_wrap_anew<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let rewrap = Command::Privacy(PrivacyCommand::Rewrap { limit: 10 });
    let outcome = installation.operate(rewrap).await.unwrap().outcome;
    assert!(matches!(outcome, Outcome::Privacy(PrivacyOutcome::Rewrapped(0))), "{outcome:?}");
}

/// Who is erased is found no more; their memberships end and their keys stop, what they did is recorded without where from,
/// and the audit chain still verifies.
pub async fn an_erased_person_is_gone_and_the_chain_verifies<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let samples = &installation.samples;
    let user = samples.user();
    let workspace = installation.workspace.id;
    let command = Command::CreateMember { user: user.clone(), workspace, role: Role::Admin };
    let Outcome::Membership(membership) = installation.operate(command).await.unwrap().outcome else {
        panic!("another outcome")
    };
    let creator = Creator { principal: membership.principal, membership: membership.number };
    let actor = Actor::Key {
        key: installation.create_key("acting").await.id,
        workspace,
        creator,
        permissions: PermissionSet::ALL,
    };
    let permit = authorize(actor, Action::WriteKeys, Some(workspace)).unwrap();
    let new = NewKey { created_by: creator, ..samples.new_key("of the person") };
    store.execute(samples.context(permit), Command::CreateKey(Box::new(new))).await.unwrap();
    let theirs = async || {
        let entries = store.audit_after(0, 1_000).await.unwrap();
        let mut chain = ChainVerifier::default();
        let mut theirs = Vec::new();
        for entry in &entries {
            let body: AuditBody = serde_json::from_slice(&entry.body).unwrap();
            chain.push(entry, &body.personal).unwrap();
            if body.actor.principal == Some(membership.principal) {
                theirs.push(entry.personal.clone());
            }
        }
        (theirs, entries)
    };
    assert!(theirs().await.0.iter().all(Option::is_some) && !theirs().await.0.is_empty());
    assert_eq!(store.memberships_of_person(user.id).await.unwrap().len(), 1);

    let erase = || Command::Privacy(PrivacyCommand::Erase { user: user.id });
    let committed = installation.operate(erase()).await.unwrap();
    assert!(committed.restricting);
    assert!(matches!(committed.outcome, Outcome::Privacy(PrivacyOutcome::Erased(1))));
    assert!(store.person(Who::Id(user.id)).await.unwrap().is_none());
    assert!(store.person(Who::Email(user.email.clone())).await.unwrap().is_none());
    assert!(store.memberships_of_person(user.id).await.unwrap().is_empty());
    let (_, state) = installation.load().await;
    let ended = state.memberships.values().find(|view| view.number == membership.number);
    assert!(ended.is_none_or(|view| view.permissions == PermissionSet::EMPTY), "{ended:?}");
    let (theirs, entries) = theirs().await;
    assert!(!theirs.is_empty() && theirs.iter().all(Option::is_none), "erased with their key");
    assert!(entries.last().unwrap().personal.is_some(), "the operator's data is not theirs");
    let again = installation.operate(erase()).await.unwrap_err();
    assert!(matches!(again, CommandError::Privacy(PrivacyError::NotFound)), "{again}");
    // The address is free for another person.
    let mut other = samples.user();
    other.email = user.email;
    installation.operate(Command::CreateMember { user: other, workspace, role: Role::Viewer }).await.unwrap();
}
