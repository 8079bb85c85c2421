//! Lists of keys.

use keywright_domain::{
    environment::Environment,
    ids::{OperatorId, ServiceAccountId, UserId},
    key::{ApiKey, KeyStatus},
    principal::Principal,
    query::{KeyFilter, KeyQuery, Page},
    time::{Period, Timestamp},
    workspace::{KeyLife, Workspace},
};
use keywright_keyformat::Locator;
use rusqlite::{Connection, params};

use super::journal::cut;
use crate::{
    fault::Fault,
    rows::{installation::workspace_by_id, keys, principal_columns},
    sql::keys as sql,
};

/// A page of keys that are not deleted, newest first.
pub(crate) fn page(connection: &Connection, query: &KeyQuery) -> Result<Page<ApiKey>, Fault> {
    let empty = Page { items: Vec::new(), has_more: false };
    let Some(found) = workspace_by_id(connection, query.workspace)? else { return Ok(empty) };
    let before = match query.after {
        None => None,
        Some(id) => match keys::number_of(connection, id, found.workspace.number)? {
            None => return Ok(empty),
            number => number,
        },
    };
    let part = Part { before, limit: u64::from(query.limit) + 1, revoked: Revoked::AsFiltered };
    Ok(cut(matching(connection, &found.workspace, &query.filter, query.now, &part)?, query.limit))
}

/// The keys that match and are not revoked, at most `limit`.
pub(crate) fn not_revoked(
    connection: &Connection,
    workspace: &Workspace,
    filter: &KeyFilter,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<ApiKey>, Fault> {
    let part = Part { before: None, limit: u64::from(limit), revoked: Revoked::LeftOut };
    matching(connection, workspace, filter, now, &part)
}

/// Which of the matching keys.
struct Part {
    /// Those with a lower number.
    before: Option<u32>,
    limit: u64,
    revoked: Revoked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Revoked {
    AsFiltered,
    LeftOut,
}

fn matching(
    connection: &Connection,
    workspace: &Workspace,
    filter: &KeyFilter,
    now: Timestamp,
    part: &Part,
) -> Result<Vec<ApiKey>, Fault> {
    let creator = match filter.created_by.as_deref().map(parse_principal) {
        // No principal has this id, so no key has this creator.
        Some(None) => return Ok(Vec::new()),
        Some(Some(principal)) => Some(principal_columns(principal)),
        None => None,
    };
    let statement = match filter {
        KeyFilter { locator: Some(_), .. } => sql::PAGE_BY_LOCATOR,
        KeyFilter { external_id: Some(_), .. } => sql::PAGE_BY_EXTERNAL_ID,
        _ => sql::PAGE,
    };
    let life = KeyLife::from(&workspace.policy);
    let due = |environment| {
        let period = workspace.policy.rotation.period(environment);
        period.map(|period| newest_due(period, now).unix_ms())
    };
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(params![
        workspace.number.0,
        part.before.map_or(i64::MAX, i64::from),
        filter.environment.map(|environment| environment as u8),
        creator.map(|(kind, _)| kind),
        creator.map(|(_, id)| id),
        filter.name.as_ref().map(|name| name.to_lowercase()),
        filter.unused_since.map(Timestamp::unix_ms),
        filter.status.map(status_column),
        now.unix_ms(),
        filter.rotation_due,
        due(Environment::Development),
        due(Environment::Staging),
        due(Environment::Production),
        due(Environment::Ci),
        part.limit,
        filter.external_id,
        filter.locator.as_ref().map(Locator::as_str),
        part.revoked == Revoked::LeftOut,
        filter.idle,
        workspace.idle_before(now).map(Timestamp::unix_ms),
        life.max_days.map(|days| now.plus_seconds(-i64::from(days) * 86_400).unix_ms()),
        life.enforced_rotation.is_some(),
        filter.orphaned,
    ])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut key = keys::read(row, workspace.id)?;
        key.secrets = keys::secrets(connection, key.number)?;
        found.push(key);
    }
    Ok(found)
}

/// The numbers that the page statements give to statuses.
const fn status_column(status: KeyStatus) -> u8 {
    match status {
        KeyStatus::Active => 0,
        KeyStatus::Disabled => 1,
        KeyStatus::Expired => 2,
        KeyStatus::Revoked => 3,
    }
}

fn parse_principal(text: &str) -> Option<Principal> {
    let user = UserId::parse(text).map(Principal::User);
    let service_account = || ServiceAccountId::parse(text).map(Principal::ServiceAccount);
    let operator = || OperatorId::parse(text).map(Principal::Operator);
    user.or_else(|_| service_account()).or_else(|_| operator()).ok()
}

/// The newest issue date whose rotation is due at `now`: SQL knows no calendar, so the domain's answer is searched for.
/// It can be, because a later date is never due earlier.
fn newest_due(period: Period, now: Timestamp) -> Timestamp {
    // The longest period is 120 months.
    let (mut due, mut not_due) =
        (now.plus_seconds(-4_000 * 86_400).unix_ms(), now.unix_ms().saturating_add(1));
    while not_due - due > 1 {
        let middle = due + (not_due - due) / 2;
        if period.after(Timestamp::from_unix_ms(middle)) <= now {
            due = middle;
        } else {
            not_due = middle;
        }
    }
    Timestamp::from_unix_ms(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_due_date_is_due_and_a_millisecond_later_is_not() {
        let now = Timestamp::parse_rfc3339("2027-02-28T10:00:00.123Z").unwrap();
        for period in
            [Period::Days(1), Period::Days(3_650), Period::Months(1), Period::Months(3), Period::Months(120)]
        {
            let newest = newest_due(period, now);
            assert!(period.after(newest) <= now, "{period:?}");
            assert!(period.after(newest.plus_ms(1)) > now, "{period:?}");
        }
    }
}
