use rusqlite::Connection;

use crate::{migrate, open};

/// Statements that may read a whole table, and why. The list may only shrink.
const MAY_SCAN: &[(&str, &str)] = &[
    ("LOAD_WORKSPACES", "the start reads everything once"),
    ("LOAD_MEMBERSHIPS", "the start reads everything once"),
    ("PLANS", "at most 100 rows"),
    ("COUNT_PLANS", "at most 100 rows"),
    ("PERMISSIONS", "at most 256 rows"),
    ("OPERATORS", "a handful of rows"),
    ("ANY_OPERATOR", "stops at the first row"),
    ("COUNT_ACTIVE_OPERATORS", "a handful of rows"),
    ("CHECKPOINTS", "all of them are asked for"),
    ("AUDIT_HEAD", "stops at the first row"),
];

fn statements() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        super::accounts::ALL,
        super::invitations::ALL,
        super::identities::ALL,
        super::installation::ALL,
        super::journal::ALL,
        super::keys::ALL,
        super::purge::ALL,
        super::members::ALL,
        super::credits::ALL,
        super::sealing::ALL,
        super::usage::ALL,
        super::prompts::ALL,
        super::privacy::ALL,
    ]
    .concat()
    .into_iter()
}

fn plan(connection: &Connection, statement: &str) -> Vec<String> {
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
    for parameter in 1..=explained.parameter_count() {
        explained.raw_bind_parameter(parameter, 1).unwrap();
    }
    let mut rows = explained.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get::<_, String>(3).unwrap());
    }
    steps
}

/// `SCAN x` without an index, and sorting what an index could give in order.
fn is_costly(step: &str) -> bool {
    (step.starts_with("SCAN") && !step.contains("CONSTANT ROW") && !step.contains("SUBQUERY"))
        || step.contains("USE TEMP B-TREE")
        || step.contains("AUTOMATIC")
}

#[test]
fn every_statement_is_found_by_an_index() {
    let mut connection = open::memory().unwrap();
    migrate::migrate(&mut connection).unwrap();
    let mut scanning = Vec::new();
    for (name, statement) in statements() {
        let steps = plan(&connection, statement);
        if steps.iter().any(|step| is_costly(step)) {
            scanning.push(name);
            let allowed = MAY_SCAN.iter().any(|(allowed, _)| *allowed == name);
            assert!(allowed, "{name} reads a whole table or sorts: {steps:#?}");
        }
    }
    for (name, _) in MAY_SCAN {
        assert!(scanning.contains(name), "{name} needs no exception any more: remove it from the list");
    }
}

#[test]
fn a_scan_is_noticed() {
    let mut connection = open::memory().unwrap();
    migrate::migrate(&mut connection).unwrap();
    for costly in
        ["SELECT * FROM keys WHERE name = ?1", "SELECT id FROM keys WHERE number > ?1 ORDER BY name"]
    {
        let steps = plan(&connection, costly);
        assert!(steps.iter().any(|step| is_costly(step)), "{steps:?}");
    }
}
