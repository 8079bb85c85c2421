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
use tokio::try_join;

use super::journal::cut;
use crate::{
    connect::{Connected, Param},
    fault::Fault,
    params,
    rows::{installation, keys, number, principal_columns},
    sql,
};

/// A page of keys that are not deleted, newest first.
pub(crate) async fn page(connected: &Connected, query: &KeyQuery) -> Result<Page<ApiKey>, Fault> {
    let empty = Page { items: Vec::new(), has_more: false };
    let id = query.workspace.to_bytes();
    // A workspace's number and a key's never change, so the page may be of a later snapshot.
    let (workspace, before) =
        try_join!(connected.first(sql::installation::WORKSPACE_BY_ID, params![id]), async {
            match query.after {
                None => Ok(Some(i64::MAX)),
                Some(after) => {
                    let found = connected.first(sql::keys::NUMBER_OF, params![after.to_bytes(), id]).await?;
                    found.map(|row| number(&row, 0)).transpose()
                }
            }
        },)?;
    let (Some(workspace), Some(before)) = (workspace, before) else { return Ok(empty) };
    let workspace = installation::workspace(&workspace)?;
    let part = Part { before, limit: u64::from(query.limit) + 1, revoked: Revoked::AsFiltered };
    let Some((statement, values)) = matching(&workspace, &query.filter, query.now, &part) else {
        return Ok(empty);
    };
    let rows = connected.query(statement, values).await?;
    Ok(cut(keys::with_secrets(&rows)?, query.limit))
}

/// The statement, and its parameters, for the keys that match and are not revoked, at most `limit`; `None`: none can.
pub(crate) fn not_revoked(
    workspace: &Workspace,
    filter: &KeyFilter,
    now: Timestamp,
    limit: u32,
) -> Option<(&'static str, Vec<Param>)> {
    let part = Part { before: i64::MAX, limit: u64::from(limit), revoked: Revoked::LeftOut };
    matching(workspace, filter, now, &part)
}

/// Which of the matching keys.
struct Part {
    /// Those with a lower number.
    before: i64,
    limit: u64,
    revoked: Revoked,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Revoked {
    AsFiltered,
    LeftOut,
}

fn matching(
    workspace: &Workspace,
    filter: &KeyFilter,
    now: Timestamp,
    part: &Part,
) -> Option<(&'static str, Vec<Param>)> {
    let creator = match filter.created_by.as_deref().map(parse_principal) {
        // No principal has this id, so no key has this creator.
        Some(None) => return None,
        Some(Some(principal)) => Some(principal_columns(principal)),
        None => None,
    };
    let statement = match filter {
        KeyFilter { locator: Some(_), .. } => sql::keys::PAGE_BY_LOCATOR,
        KeyFilter { external_id: Some(_), .. } => sql::keys::PAGE_BY_EXTERNAL_ID,
        _ => sql::keys::PAGE,
    };
    let life = KeyLife::from(&workspace.policy);
    let due = |environment| {
        let period = workspace.policy.rotation.period(environment);
        period.map(|period| newest_due(period, now))
    };
    let values = params![
        workspace.number.0,
        part.before,
        filter.environment.map(|environment| i64::from(environment as u8)),
        creator.map(|(kind, _)| kind),
        creator.map(|(_, id)| id),
        filter.name.as_ref().map(|name| keys::folded(name)),
        filter.unused_since,
        filter.status.map(|status| i64::from(status_column(status))),
        now,
        filter.rotation_due,
        due(Environment::Development),
        due(Environment::Staging),
        due(Environment::Production),
        due(Environment::Ci),
        part.limit,
        filter.external_id.as_deref(),
        filter.locator.as_ref().map(Locator::as_str),
        part.revoked == Revoked::LeftOut,
        filter.idle,
        workspace.idle_before(now),
        life.max_days.map(|days| now.plus_seconds(-i64::from(days) * 86_400)),
        life.enforced_rotation.is_some(),
        filter.orphaned,
    ];
    Some((statement, values))
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
