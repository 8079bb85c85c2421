//! The change log.

use std::collections::{BTreeSet, HashMap};

use keywright_domain::{
    change::{Change, EntityRef, KeyView, MembershipView, NumberedChange, WorkspaceView},
    operator::OperatorCredential,
    plan::Plan,
};
use tokio::try_join;
use tokio_postgres::Row;

use crate::{
    connect::Connected,
    fault::Fault,
    params,
    rows::{
        choices, each,
        installation::{self, catalogue},
        is_null, journal,
        journal::ChangeRow,
        keys, members,
    },
    sql,
};

/// The changes after `sequence`, at most `limit`, each with its entity's newest state.
///
/// One round trip if only keys changed, as with every revocation; else two. Entities of other kinds may be newer than
/// the log's end: then a change that is read later says the same once more.
pub(crate) async fn after(
    connected: &Connected,
    sequence: u64,
    limit: u32,
) -> Result<Vec<NumberedChange>, Fault> {
    let rows = connected.query(sql::keys::CHANGES_AFTER, params![sequence, limit]).await?;
    let found = group(&rows)?;
    let others = Others::read(connected, &found).await?;
    found
        .into_iter()
        .zip(sequence.saturating_add(1)..)
        // Between two generations there is a jump, and whoever follows must not take one part of the log for the other.
        .take_while(|((row, _), expected)| row.sequence == *expected)
        .map(|(change, _)| change)
        .map(|(row, key)| {
            let change = match key {
                Some(change) => change,
                None => others.newest(&row.entity)?,
            };
            Ok(NumberedChange { sequence: row.sequence, restricting: row.restricting, change })
        })
        .collect()
}

/// The changes, those of keys with their state; rows of one change follow each other.
fn group(rows: &[Row]) -> Result<Vec<(ChangeRow, Option<Change>)>, Fault> {
    let mut found: Vec<(ChangeRow, Option<Change>)> = Vec::new();
    for of_one in rows.chunk_by(|a, b| a.try_get::<_, i64>(keys::BEHIND).ok() == b.try_get(keys::BEHIND).ok())
    {
        let row = journal::change(&of_one[0], keys::BEHIND)?;
        let change = match row.entity {
            EntityRef::Key(number) if is_null(&of_one[0], 0)? => Some(Change::KeyRemoved(number)),
            EntityRef::Key(_) => {
                let key = keys::with_secrets(of_one)?.pop().expect("there is a row");
                Some(Change::Key(Box::new(KeyView::from(&key))))
            }
            _ => None,
        };
        found.push((row, change));
    }
    Ok(found)
}

/// The newest state of what is not a key.
#[derive(Default)]
struct Others {
    workspaces: HashMap<u32, WorkspaceView>,
    memberships: HashMap<u32, MembershipView>,
    plans: HashMap<String, Plan>,
    catalogue: Option<Change>,
    operators: Option<Change>,
}

impl Others {
    async fn read(connected: &Connected, found: &[(ChangeRow, Option<Change>)]) -> Result<Self, Fault> {
        let mut asked = Asked::default();
        for (row, _) in found {
            asked.add(&row.entity);
        }
        if asked == Asked::default() {
            return Ok(Self::default());
        }
        // Sent together: one round trip.
        let (workspaces, memberships, plans, permissions, operators, opt_outs) = try_join!(
            biased;
            asked.query(connected, !asked.workspaces.is_empty(), sql::installation::WORKSPACES_BY_NUMBERS, || {
                params![asked.workspaces.iter().copied().collect::<Vec<_>>()]
            }),
            asked.query(connected, !asked.memberships.is_empty(), sql::installation::MEMBERSHIPS_BY_NUMBERS, || {
                params![asked.memberships.iter().copied().collect::<Vec<_>>()]
            }),
            asked.query(connected, !asked.plans.is_empty(), sql::installation::PLANS_BY_NAMES, || {
                params![asked.plans.iter().cloned().collect::<Vec<_>>()]
            }),
            asked.query(connected, asked.catalogue, sql::installation::PERMISSIONS, Vec::new),
            asked.query(connected, asked.operators, sql::installation::OPERATORS, Vec::new),
            asked.query(connected, !asked.memberships.is_empty(), sql::privacy::OPT_OUTS, Vec::new),
        )?;
        let workspaces = each(&workspaces, installation::workspace)?;
        let memberships = each(&memberships, members::membership)?;
        let opt_outs = choices::opt_outs(&opt_outs)?;
        let plans = each(&plans, installation::plan)?;
        Ok(Self {
            workspaces: workspaces.iter().map(|found| (found.number.0, WorkspaceView::from(found))).collect(),
            memberships: memberships
                .iter()
                .map(|found| (found.number.0, MembershipView::of(found, &opt_outs)))
                .collect(),
            plans: plans.into_iter().map(|plan| (plan.name.clone(), plan)).collect(),
            catalogue: Some(catalogue_change(&permissions)?),
            operators: Some(operators_change(&operators)?),
        })
    }

    fn newest(&self, entity: &EntityRef) -> Result<Change, Fault> {
        let missing = || Fault::Damaged(format!("the change log names {entity:?}, which is not there"));
        match entity {
            EntityRef::Key(number) => Ok(Change::KeyRemoved(*number)),
            EntityRef::Workspace(number) => Ok(match self.workspaces.get(&number.0) {
                Some(workspace) => Change::Workspace(workspace.clone()),
                None => Change::WorkspaceRemoved(*number),
            }),
            EntityRef::Membership(number) => {
                self.memberships.get(&number.0).cloned().map(Change::Membership).ok_or_else(missing)
            }
            EntityRef::Plan(name) => Ok(match self.plans.get(name) {
                Some(plan) => Change::Plan(plan.clone()),
                None => Change::PlanRemoved(name.clone()),
            }),
            EntityRef::Catalogue => self.catalogue.clone().ok_or_else(missing),
            EntityRef::Operators => self.operators.clone().ok_or_else(missing),
            EntityRef::Prompts(number) => Ok(Change::Prompts(*number)),
        }
    }
}

/// What has to be read beside keys.
#[derive(Default, PartialEq, Eq)]
struct Asked {
    workspaces: BTreeSet<u32>,
    memberships: BTreeSet<u32>,
    plans: BTreeSet<String>,
    catalogue: bool,
    operators: bool,
}

impl Asked {
    fn add(&mut self, entity: &EntityRef) {
        match entity {
            EntityRef::Key(_) | EntityRef::Prompts(_) => {}
            EntityRef::Workspace(number) => drop(self.workspaces.insert(number.0)),
            EntityRef::Membership(number) => drop(self.memberships.insert(number.0)),
            EntityRef::Plan(name) => drop(self.plans.insert(name.clone())),
            EntityRef::Catalogue => self.catalogue = true,
            EntityRef::Operators => self.operators = true,
        }
    }

    async fn query(
        &self,
        connected: &Connected,
        is_asked: bool,
        statement: &'static str,
        params: impl FnOnce() -> Vec<crate::connect::Param>,
    ) -> Result<Vec<Row>, Fault> {
        if is_asked { connected.query(statement, params()).await } else { Ok(Vec::new()) }
    }
}

/// The permission catalogue as a change.
pub(crate) fn catalogue_change(rows: &[Row]) -> Result<Change, Fault> {
    Ok(Change::Catalogue(catalogue(rows)?.entries().cloned().collect()))
}

/// The operator credentials as a change.
pub(crate) fn operators_change(rows: &[Row]) -> Result<Change, Fault> {
    let mut operators: Vec<OperatorCredential> = each(rows, installation::operator)?;
    operators.retain(|operator| operator.revoked_at.is_none());
    Ok(Change::Operators(operators))
}
