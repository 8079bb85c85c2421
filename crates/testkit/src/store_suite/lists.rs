//! Pages and filters.

use std::{collections::HashMap, sync::Arc};

use keywright_domain::{
    command::Command,
    environment::Environment,
    ids::{OperatorId, UserId},
    key::{ApiKey, KeyChange, KeyNumber, KeyStatus, NewKey},
    principal::{Creator, MembershipNumber, Principal},
    query::{KeyFilter, KeyQuery},
    store::Store,
    time::Timestamp,
    usage::{AgentClass, UsageBatch, UsageRow},
    verdict::Code,
    workspace::{RotationMode, Slug, WorkspacePatch, WorkspacePolicy},
};

use crate::{Installation, Samples};

/// Pages follow each other without gap or overlap, also when keys come and go in between.
pub async fn pages<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let mut expected = Vec::new();
    for number in 0..7 {
        expected.insert(0, installation.create_key(&format!("key {number}")).await.id);
    }
    let mut query = installation.query(KeyFilter::default(), 3);
    let mut seen = Vec::new();
    loop {
        let page = store.keys(query.clone()).await.unwrap();
        assert_eq!(page.has_more, seen.len() + page.items.len() < 7);
        seen.extend(page.items.iter().map(|key| key.id));
        if !page.has_more {
            break;
        }
        query.after = seen.last().copied();
        // The place where the next page continues is kept by a deleted key, too.
        installation.change(seen[seen.len() - 1], KeyChange::Delete).await.unwrap();
        installation.create_key("newer").await;
    }
    assert_eq!(seen, expected);
    query.after = Some(installation.samples.new_key("unknown").id);
    assert!(store.keys(query).await.unwrap().items.is_empty());
    let workspace = installation.samples.new_workspace("elsewhere").id;
    let query = KeyQuery { workspace, ..installation.query(KeyFilter::default(), 3) };
    assert!(store.keys(query).await.unwrap().items.is_empty());
}

/// Every filter, alone and with others, finds what the rules say.
pub async fn filters_agree_with_the_rules<S: Store>(store: Arc<S>) {
    let mut installation = Installation::set_up(Arc::clone(&store)).await;
    let (mut keys, last_uses) = zoo(&installation).await;
    keys.reverse();
    filters_agree_now(&installation, &keys, &last_uses).await;
    let policy = WorkspacePolicy {
        max_key_days: Some(120),
        rotation_mode: RotationMode::Enforce,
        idle_days: Some(20),
        ..WorkspacePolicy::default()
    };
    installation.workspace.policy = policy.clone();
    let patch = WorkspacePatch { policy: Some(policy), ..WorkspacePatch::default() };
    installation.patch_workspace(patch).await.unwrap();
    filters_agree_now(&installation, &keys, &last_uses).await;
}

async fn filters_agree_now<S: Store>(
    installation: &Installation<S>,
    keys: &[ApiKey],
    last_uses: &HashMap<KeyNumber, Timestamp>,
) {
    let store = &installation.store;
    let filters = filters(installation, keys);
    let mut found_any = 0;
    for days in [0, 1, 30, 89, 91, 200] {
        let now = Samples::NOW.plus_seconds(days * 86_400);
        for filter in &filters {
            let query = KeyQuery { now, ..installation.query(filter.clone(), 100) };
            let page = store.keys(query).await.unwrap();
            let found: Vec<_> = page.items.iter().map(|key| key.name.as_str()).collect();
            let expected: Vec<_> = keys
                .iter()
                .filter(|key| matches(filter, key, last_uses, now, installation))
                .map(|key| key.name.as_str())
                .collect();
            assert_eq!(found, expected, "{filter:?} after {days} days");
            found_any += usize::from(!found.is_empty());
        }
    }
    assert!(found_any > filters.len(), "filters that find nothing test nothing");
}

/// The filter in plain words.
fn matches<S: Store>(
    filter: &KeyFilter,
    key: &ApiKey,
    last_uses: &HashMap<KeyNumber, Timestamp>,
    now: Timestamp,
    installation: &Installation<S>,
) -> bool {
    let last = last_uses.get(&key.number).copied().unwrap_or(key.created_at);
    let due = key.rotation_due_at(&installation.workspace).is_some_and(|due| due <= now);
    filter.environment.is_none_or(|environment| key.environment == environment)
        && filter.status.is_none_or(|status| key.status_in(&installation.workspace, now) == status)
        && filter.idle.is_none_or(|asked| {
            asked == key.is_idle(&installation.workspace, last_uses.get(&key.number).copied(), now)
        })
        && filter.created_by.as_ref().is_none_or(|id| key.created_by.principal.id_text() == *id)
        && filter.external_id.as_ref().is_none_or(|id| key.external_id.as_ref() == Some(id))
        && filter.unused_since.is_none_or(|since| last < since)
        && filter.rotation_due.is_none_or(|asked| asked == due)
        && filter.name.as_ref().is_none_or(|part| key.name.to_lowercase().contains(&part.to_lowercase()))
        && filter.locator.is_none_or(|locator| key.secrets.iter().any(|secret| secret.locator == locator))
}

/// Keys of all kinds, and when they were last used.
async fn zoo<S: Store>(installation: &Installation<S>) -> (Vec<ApiKey>, HashMap<KeyNumber, Timestamp>) {
    let samples = &installation.samples;
    let person =
        Creator { principal: Principal::User(UserId::from_bytes([9; 16])), membership: MembershipNumber(1) };
    let mut ids = Vec::new();
    for (position, environment) in Environment::ALL.into_iter().cycle().take(24).enumerate() {
        let mut new = NewKey {
            environment,
            secret: samples.new_secret(environment),
            ..samples.new_key(&format!("Schlüssel {position}"))
        };
        new.external_id = (position % 5 == 0).then(|| format!("customer-{}", position % 2));
        new.expires_at = (position % 7 == 3).then(|| Samples::NOW.plus_seconds(86_400));
        if position % 3 == 0 {
            new.created_by = person;
        }
        let created_at = Samples::NOW.plus_seconds(-86_400 * i64::try_from(position % 4).unwrap());
        let context = samples.context_at(created_at, installation.keys_permit());
        ids.push(new.id);
        installation.execute(context, Command::CreateKey(Box::new(new))).await.unwrap();
    }
    let secret = samples.new_secret(Environment::Production);
    let rotate = KeyChange::Rotate { secret, overlap_seconds: None };
    for (position, change) in [
        (1, KeyChange::Disable),
        (2, KeyChange::Revoke { reason: None }),
        (3, KeyChange::Disable),
        (6, rotate),
        (8, KeyChange::Delete),
    ] {
        installation.change(ids[position], change).await.unwrap();
    }
    let (mut keys, mut last_uses, mut rows) = (Vec::new(), HashMap::new(), Vec::new());
    for id in ids {
        let Some(key) = installation.store.key(installation.workspace.id, id).await.unwrap() else {
            continue;
        };
        if key.number.0 % 4 == 1 {
            let at = Samples::NOW.plus_seconds(i64::from(key.number.0) * 86_400);
            last_uses.insert(key.number, at);
            rows.push(use_of(key.number, at));
        }
        keys.push(key);
    }
    installation.store.flush_usage(UsageBatch { incarnation: [1; 16], batch: 1, rows }).await.unwrap();
    (keys, last_uses)
}

fn use_of(key: KeyNumber, at: Timestamp) -> UsageRow {
    UsageRow {
        key,
        secret_ordinal: 1,
        minute: at.unix_ms() / 60_000,
        address: None,
        route: String::new(),
        code: Code::Valid,
        agent: AgentClass::Library,
        count: 1,
        cost: 1,
        last_at: at,
    }
}

fn filters<S: Store>(installation: &Installation<S>, keys: &[ApiKey]) -> Vec<KeyFilter> {
    let any = KeyFilter::default;
    let mut filters = vec![any()];
    filters.extend(Environment::ALL.map(|one| KeyFilter { environment: Some(one), ..any() }));
    filters.extend(KeyStatus::ALL.map(|one| KeyFilter { status: Some(one), ..any() }));
    filters.extend([true, false].map(|one| KeyFilter { rotation_due: Some(one), ..any() }));
    filters.extend([true, false].map(|one| KeyFilter { idle: Some(one), ..any() }));
    filters.extend(["SCHLÜSSEL 1", "schlüssel", "%", "_", "", "2"].map(|one| {
        let name = Some(one.to_owned());
        KeyFilter { name, ..any() }
    }));
    let creators = [
        UserId::from_bytes([9; 16]).to_string(),
        OperatorId::from_bytes([7; 16]).to_string(),
        UserId::from_bytes([7; 16]).to_string(),
        "nobody".to_owned(),
    ];
    filters.extend(creators.map(|one| KeyFilter { created_by: Some(one), ..any() }));
    filters.extend(["customer-0", "customer-1", "customer"].map(|one| {
        let external_id = Some(one.to_owned());
        KeyFilter { external_id, ..any() }
    }));
    for days in [-2, 0, 1, 5, 14, 100] {
        let unused_since = Some(Samples::NOW.plus_seconds(days * 86_400));
        filters.push(KeyFilter { unused_since, ..any() });
        filters.push(KeyFilter { unused_since, status: Some(KeyStatus::Active), ..any() });
    }
    for key in keys {
        for secret in &key.secrets {
            filters.push(KeyFilter { locator: Some(secret.locator), ..any() });
        }
    }
    let unknown = installation.samples.new_key("unknown").secret.locator;
    filters.push(KeyFilter { locator: Some(unknown), ..any() });
    filters.push(KeyFilter {
        environment: Some(Environment::Production),
        rotation_due: Some(true),
        name: Some("1".to_owned()),
        ..any()
    });
    filters
}

/// Workspaces are listed by slug.
pub async fn workspaces_by_slug<S: Store>(store: Arc<S>) {
    let installation = Installation::set_up(Arc::clone(&store)).await;
    for slug in ["zeta", "beta", "delta"] {
        let new = installation.samples.new_workspace(slug);
        installation.operate(Command::CreateWorkspace(Box::new(new))).await.unwrap();
    }
    let page = async |after: Option<&str>, limit| {
        let after = after.map(|slug| Slug::parse(slug).unwrap());
        let page = store.workspaces(after, limit).await.unwrap();
        let slugs: Vec<_> = page.items.into_iter().map(|workspace| String::from(workspace.slug)).collect();
        (slugs.join(" "), page.has_more)
    };
    assert_eq!(page(None, 3).await, ("acme beta delta".to_owned(), true));
    assert_eq!(page(Some("delta"), 3).await, ("zeta".to_owned(), false));
    assert_eq!(page(None, 4).await, ("acme beta delta zeta".to_owned(), false));
}
