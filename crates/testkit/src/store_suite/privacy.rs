//! Personal data: sealed, found, opened again.

use std::sync::Arc;

use keywright_domain::{
    command::{Command, Outcome},
    ids::UserId,
    permission::Role,
    privacy::{PrivacyCommand, PrivacyOutcome, Who},
    store::Store,
};

use crate::Installation;

/// A person is found by id and by address, in upper or lower case.
pub async fn people_are_found<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let mut user = installation.samples.user();
    user.email = "Grace.Hopper@Example.com".to_owned();
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
