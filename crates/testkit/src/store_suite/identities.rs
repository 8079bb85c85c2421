//! Whom OpenID Connect providers know.

use std::sync::Arc;

use keywright_domain::{
    account::AccountError,
    command::{Command, CommandError, Outcome},
    identity::{ExternalIdentity, IdentityCommand, IdentityError},
    ids::UserId,
    permission::Role,
    privacy::{PrivacyCommand, Who},
    store::Store,
};

use crate::Installation;

fn identity(issuer: &str, subject: &str) -> ExternalIdentity {
    ExternalIdentity { issuer: issuer.to_owned(), subject: subject.to_owned() }
}

async fn refused<S: Store>(installation: &Installation<S>, command: IdentityCommand) -> IdentityError {
    match installation.operate(Command::Identity(command)).await {
        Err(CommandError::Identity(error)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

/// A person is found by issuer and subject to the letter, belongs to one identity's holder only, and is gone once erased.
pub async fn people_whom_providers_know<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let user = installation.samples.user();
    let one = identity("https://id.example", "Subject-1");
    assert!(store.user_of(one.clone()).await.unwrap().is_none());
    let create = IdentityCommand::Create { user: user.clone(), identity: one.clone() };
    installation.operate(Command::Identity(create)).await.unwrap();
    assert!(store.user_of(one.clone()).await.unwrap() == Some(user.clone()));
    for other in [identity("https://id.example", "subject-1"), identity("https://id.example/", "Subject-1")] {
        assert!(store.user_of(other).await.unwrap().is_none());
    }
    let mut other = installation.samples.user();
    other.email = user.email.to_uppercase();
    let two = identity("https://other.example", "2");
    let taken = IdentityCommand::Create { user: other, identity: two.clone() };
    let taken = installation.operate(Command::Identity(taken)).await;
    assert!(matches!(taken, Err(CommandError::Account(AccountError::EmailTaken))), "{taken:?}");
    let nobody = IdentityCommand::Link { user: UserId::from_bytes([9; 16]), identity: two.clone() };
    assert_eq!(refused(&installation, nobody).await, IdentityError::NoUser);
    for _ in 0..2 {
        let link = IdentityCommand::Link { user: user.id, identity: two.clone() };
        installation.operate(Command::Identity(link)).await.unwrap();
    }
    assert!(store.user_of(two.clone()).await.unwrap().is_some());
    let other = installation.samples.user();
    let steal = IdentityCommand::Create { user: other.clone(), identity: one.clone() };
    assert_eq!(refused(&installation, steal).await, IdentityError::Taken);
    assert!(store.person(Who::Id(other.id)).await.unwrap().is_none(), "nothing is left of it");
    let erase = Command::Privacy(PrivacyCommand::Erase { user: user.id });
    installation.operate(erase).await.unwrap();
    assert!(store.user_of(one).await.unwrap().is_none() && store.user_of(two).await.unwrap().is_none());
}

/// Groups make people members, once.
pub async fn people_join_workspaces<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let user = installation.samples.user();
    let identity = identity("https://id.example", "1");
    let create = IdentityCommand::Create { user: user.clone(), identity };
    installation.operate(Command::Identity(create)).await.unwrap();
    let workspace = installation.workspace.id;
    let mut numbers = Vec::new();
    for role in [Role::Member, Role::Admin] {
        let join = IdentityCommand::Join { user: user.id, workspace, role };
        let committed = installation.operate(Command::Identity(join)).await.unwrap();
        let Outcome::Membership(membership) = committed.outcome else { panic!("{:?}", committed.outcome) };
        assert_eq!(membership.role, Role::Member, "who is a member keeps the role");
        numbers.push(membership.number);
    }
    assert_eq!(numbers[0], numbers[1]);
    let nobody = IdentityCommand::Join { user: UserId::from_bytes([9; 16]), workspace, role: Role::Member };
    assert_eq!(refused(&installation, nobody).await, IdentityError::NoUser);
}
