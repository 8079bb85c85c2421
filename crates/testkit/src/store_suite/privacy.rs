//! Personal data: sealed, found, opened again.

use std::sync::Arc;

use keywright_domain::{
    audit::{AuditBody, ChainVerifier},
    change::Change,
    command::{Command, CommandError, Outcome},
    ids::UserId,
    key::NewKey,
    permission::{PermissionSet, Role},
    permit::{Action, Actor, authorize},
    privacy::{Collection, ConsentName, ConsentTo, PrivacyCommand, PrivacyError, PrivacyOutcome, Who},
    retention::Retention,
    store::Store,
    time::Timestamp,
    usage::{AgentClass, UsageBatch, UsageRow},
    verdict::Code,
};

use super::members::creator;
use crate::{Installation, Person, Samples};

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

/// Of whoever opted out, nothing is kept of where they call from, from the next call on; engines are told with each of their
/// memberships, also with one that begins later.
pub async fn a_person_opts_out_of_collection<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let (user, workspace) = (installation.samples.user(), installation.workspace.id);
    let command = Command::CreateMember { user: user.clone(), workspace, role: Role::Admin };
    let Outcome::Membership(membership) = installation.operate(command).await.unwrap().outcome else {
        panic!("another outcome")
    };
    let creator = creator(&membership);
    let act = async |name: &str| {
        let key = installation.samples.new_key(name);
        let actor = Actor::Key { key: key.id, workspace, creator, permissions: PermissionSet::ALL };
        let permit = authorize(actor, Action::WriteKeys, Some(workspace)).unwrap();
        let new = NewKey { created_by: creator, ..key };
        store.execute(installation.samples.context(permit), Command::CreateKey(Box::new(new))).await.unwrap();
        let (head, _) = store.audit_head().await.unwrap();
        store.audit_after(head - 1, 1).await.unwrap().remove(0).personal.unwrap()
    };
    let choose = async |collection| {
        let command = Command::Privacy(PrivacyCommand::SetCollection { user: user.id, collection });
        installation.operate(command).await.unwrap()
    };
    let told = async || installation.load().await.1.memberships[&membership.number.0].collection;
    assert!(act("before").await.user_agent.is_some());
    let committed = choose(Collection::OptedOut).await;
    assert!(committed.restricting, "no node goes by the choice before");
    assert!(store.opted_out_since(user.id).await.unwrap().is_some());
    assert_eq!(told().await, Collection::OptedOut);
    let after = act("after").await;
    assert_eq!((after.address, after.user_agent), (None, None));
    let (log, head) =
        (store.changes_after(committed.sequence - 1, 1).await.unwrap(), store.audit_head().await.unwrap());
    assert!(
        matches!(&log[0].change, Change::Membership(view) if view.collection == Collection::OptedOut),
        "{log:?}"
    );
    assert!(choose(Collection::OptedOut).await.restricting, "a repeat waits as well");
    assert_eq!(store.audit_head().await.unwrap(), head, "and leaves no entry");
    choose(Collection::Kept).await;
    assert_eq!(told().await, Collection::Kept);
    assert!(act("again").await.user_agent.is_some());
    let nobody =
        PrivacyCommand::SetCollection { user: installation.samples.user().id, collection: Collection::Kept };
    let error = installation.operate(Command::Privacy(nobody)).await.unwrap_err();
    assert!(matches!(error, CommandError::Privacy(PrivacyError::NotFound)), "{error}");
}

/// Consents are recorded, replaced, withdrawn, and go with the person.
pub async fn consents<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let (user, workspace) = (installation.samples.user(), installation.workspace.id);
    let command = Command::CreateMember { user: user.clone(), workspace, role: Role::Viewer };
    installation.operate(command).await.unwrap();
    let name = |text: &str| ConsentName::parse(text).unwrap();
    let give = async |consent: &str, version: &str| {
        let consent = ConsentTo { name: name(consent), version: name(version) };
        installation.operate(Command::Privacy(PrivacyCommand::GiveConsent { user: user.id, consent })).await
    };
    give("terms", "1").await.unwrap();
    give("terms", "1").await.unwrap();
    give("newsletter", "1").await.unwrap();
    give("terms", "2").await.unwrap();
    let known = store.consents(user.id).await.unwrap();
    let shown: Vec<_> = known
        .iter()
        .map(|consent| {
            (consent.to.name.as_str(), consent.to.version.as_str(), consent.withdrawn_at.is_some())
        })
        .collect();
    assert_eq!(shown, [("terms", "1", true), ("newsletter", "1", false), ("terms", "2", false)]);
    let withdraw = async |consent: &str| {
        let command = PrivacyCommand::WithdrawConsent { user: user.id, name: name(consent) };
        installation.operate(Command::Privacy(command)).await
    };
    withdraw("newsletter").await.unwrap();
    let error = withdraw("newsletter").await.unwrap_err();
    assert!(matches!(error, CommandError::Privacy(PrivacyError::NoConsent)), "{error}");
    installation.operate(Command::Privacy(PrivacyCommand::Erase { user: user.id })).await.unwrap();
    assert!(store.consents(user.id).await.unwrap().is_empty());
    assert!(matches!(give("terms", "1").await, Err(CommandError::Privacy(PrivacyError::NotFound))));
}

/// What was kept long enough goes, and nothing else; the audit chain still verifies.
pub async fn retention<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let key = installation.create_key("used").await;
    let (day, now) = (86_400, Samples::NOW);
    let row = |minute: i64| UsageRow {
        key: key.number,
        secret_ordinal: 1,
        minute,
        address: Some([203, 0, 113, 7].into()),
        route: String::new(),
        code: Code::Valid,
        agent: AgentClass::Library,
        count: 1,
        cost: 1,
        last_at: Timestamp::from_unix_ms(minute * 60_000),
    };
    let today = now.unix_seconds().div_euclid(60);
    let rows = vec![row(today), row(today + 10 * 1_440)];
    store.flush_usage(UsageBatch { incarnation: [1; 16], batch: 1, rows }).await.unwrap();
    let retention =
        Retention { audit_personal_days: 5, access_days: 5, usage_minute_days: 5, usage_hour_days: 5 };
    let retain = async |at: Timestamp| installation.retain(&retention, at).await;
    let personal = async || {
        Person::verify_chain(&store).await;
        let entries = store.audit_after(0, 100).await.unwrap();
        entries.iter().filter(|entry| entry.personal.is_some()).count()
    };
    let before = personal().await;
    assert_eq!(retain(now.plus_seconds(5 * day)).await, 0);
    assert_eq!(personal().await, before);
    // Five days and a while later the first is old, and what came ten days later is not.
    assert!(retain(now.plus_seconds(7 * day)).await > 0);
    assert_eq!(personal().await, 0);
    let ledger = store.ledger(key.number, None, 10).await.unwrap();
    assert_eq!(ledger.iter().map(|row| row.minute).collect::<Vec<_>>(), [today + 10 * 1_440]);
    let last = &store.last_used(vec![key.number]).await.unwrap()[&key.number][0];
    assert!(last.address.is_some(), "used ten days later");
    retain(now.plus_seconds(17 * day)).await;
    let last = &store.last_used(vec![key.number]).await.unwrap()[&key.number][0];
    assert_eq!((last.address, last.at), (None, row(today + 10 * 1_440).last_at));
    assert!(store.ledger(key.number, None, 10).await.unwrap().is_empty());
    assert!(store.origins(key.number).await.unwrap().is_empty());
    assert!(store.recent_cost(0).await.unwrap().is_empty());
    assert_eq!(retain(now.plus_seconds(17 * day)).await, 0);
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
    let creator = creator(&membership);
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
