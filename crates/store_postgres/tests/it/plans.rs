//! Every statement is found by an index.

use keywright_domain::store::Store as _;
use keywright_store_postgres::PostgresStore;

use crate::server::{own_schema, shared};

/// Statements that may read a whole table, and why. The list may only shrink.
const MAY_SCAN: &[(&str, &str)] = &[
    ("LOAD_WORKSPACES", "the start reads everything once"),
    ("LOAD_MEMBERSHIPS", "the start reads everything once"),
    ("COUNT_KEYS", "the start reads everything once"),
    ("PLANS", "at most 100 rows"),
    ("COUNT_PLANS", "at most 100 rows"),
    ("PERMISSIONS", "at most 256 rows"),
    ("OPERATORS", "a handful of rows"),
    ("ANY_OPERATOR", "stops at the first row"),
    ("COUNT_ACTIVE_OPERATORS", "a handful of rows"),
    ("CHECKPOINTS", "all of them are asked for"),
];

/// Enough rows that the planner takes them seriously.
const FILL: &str = "
INSERT INTO workspaces SELECT n, int8send(n), 'w' || n, 'W', 'standard', '{}', NULL, 0, 20 FROM generate_series(1, 1000) n;
INSERT INTO memberships SELECT n, n % 1000 + 1, 0, int8send(n), 0, NULL, 0, NULL, NULL FROM generate_series(1, 5000) n;
INSERT INTO service_accounts SELECT n, int8send(n), n % 1000 + 1, 'a', 'a' || n || '@b', NULL, NULL, 0, '', 0, NULL FROM generate_series(1, 5000) n;
INSERT INTO workspace_slugs SELECT 'f' || n, n % 1000 + 1 FROM generate_series(1, 5000) n;
INSERT INTO keys SELECT n, int8send(n), n % 1000 + 1, 0, '', 0, '', n % 5000 + 1, 0, NULL, NULL, NULL, NULL, NULL, NULL, 'e' || n % 5000,
    NULL, 'k', 'k', NULL, NULL FROM generate_series(1, 20000) n;
INSERT INTO secrets SELECT n, 1, int8send(n), 'l' || n, 1, '', 0, NULL, NULL, '' FROM generate_series(1, 20000) n;
INSERT INTO operators SELECT n, int8send(n), 'o', '', 'o' || n, '', 1, '', 0, NULL FROM generate_series(1, 500) n;
INSERT INTO incidents SELECT n, int8send(n), n % 1000 + 1, '', NULL, 0 FROM generate_series(1, 5000) n;
INSERT INTO prompts SELECT int8send(n), n % 1000 + 1, 'p' || n, '{}', '[]', 1, 1, 1, 0, int8send(n % 100), 0, 0, NULL FROM generate_series(1, 20000) n;
INSERT INTO prompt_versions SELECT int8send(n), 1, '{}', '[]', 0, 0, '', NULL FROM generate_series(1, 20000) n;
INSERT INTO context_items SELECT int8send(n), int8send(n), n % 1000 + 1, NULL, '{}', 1, 0 FROM generate_series(1, 20000) n;
INSERT INTO context_chunks SELECT int8send(n), 0, '' FROM generate_series(1, 20000) n;
INSERT INTO changes SELECT n, 0, false, n, NULL FROM generate_series(1, 20000) n;
INSERT INTO audit SELECT n, int8send(n), '', n % 1000 + 1, 'key.created', 't' || n % 5000, '' FROM generate_series(1, 20000) n;
INSERT INTO users SELECT int8send(n), NULL, 0, int8send(n), '' FROM generate_series(1, 5000) n;
INSERT INTO sessions SELECT int8send(n), int8send(n % 5000 + 1), int8send(n), 0, '', n, n, n FROM generate_series(1, 20000) n;
INSERT INTO attempts SELECT int8send(n), 1, n, 0 FROM generate_series(1, 20000) n;
INSERT INTO invitations SELECT int8send(n), n % 1000 + 1, int8send(n), int8send(n), 1, NULL, 2, '', 0, 0, 0, n FROM generate_series(1, 5000) n;
INSERT INTO recoveries SELECT int8send(n), int8send(n), n FROM generate_series(1, 5000) n;
INSERT INTO second_factors SELECT int8send(n), '', 0, NULL, 0 FROM generate_series(1, 5000) n;
INSERT INTO recovery_codes SELECT int8send(n % 5000 + 1), int8send(n) FROM generate_series(1, 20000) n;
INSERT INTO data_keys SELECT 0, int8send(n), n % 100, '' FROM generate_series(1, 5000) n;
INSERT INTO audit_personal SELECT n, 0, 0, int8send(n), '' FROM generate_series(1, 20000) n;
INSERT INTO idempotency SELECT 'a' || n % 100, 'k' || n, '', '', NULL, n FROM generate_series(1, 20000) n;
INSERT INTO usage_batches SELECT int8send(n % 100), n, NULL FROM generate_series(1, 5000) n;
INSERT INTO usage_minute SELECT n, n % 3000, 0, 1, 1 FROM generate_series(1, 20000) n;
INSERT INTO usage_hour SELECT n, n % 3000, 0, 1, 1 FROM generate_series(1, 20000) n;
INSERT INTO usage_day SELECT n, n % 3000, 0, 1, 1 FROM generate_series(1, 20000) n;
INSERT INTO usage_workspace_minute SELECT n, n % 3000, 0, 1, 1 FROM generate_series(1, 20000) n;
INSERT INTO usage_workspace_hour SELECT n, n % 3000, 0, 1, 1 FROM generate_series(1, 20000) n;
INSERT INTO usage_workspace_day SELECT n, n % 3000, 0, 1, 1 FROM generate_series(1, 20000) n;
INSERT INTO last_used SELECT n, 1, 0, NULL, 0 FROM generate_series(1, 20000) n;
INSERT INTO key_origins SELECT n, int8send(n), 0, 0, 1, 1 FROM generate_series(1, 20000) n;
INSERT INTO credit_accounts SELECT int8send(n), int8send(n % 1000 + 1), 'x:' || n, 0, 0, 0, 0, 0, 1, 60, 1, n, 0 FROM generate_series(1, 20000) n;
INSERT INTO credit_slices SELECT int8send(n), int8send(n), 1, n FROM generate_series(1, 20000) n;
INSERT INTO credit_reservations SELECT int8send(n), int8send(n), 1, n % 2, 0, n, n, CASE n % 2 WHEN 1 THEN n END FROM generate_series(1, 20000) n;
INSERT INTO opt_outs SELECT int8send(n), 0 FROM generate_series(1, 5000) n;
INSERT INTO consents SELECT int8send(n), 1, 'terms', '1', 0, NULL FROM generate_series(1, 5000) n;
INSERT INTO ledger SELECT n, n % 3000, 1, '', '', 0, 0, 1 FROM generate_series(1, 20000) n;";

/// Whether there are statistics is the test's to say, not the server's, which on a busy machine has the time to look.
const NO_CARE: &str = "
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema() LOOP
        EXECUTE format('ALTER TABLE %I SET (autovacuum_enabled = false)', name);
    END LOOP;
END $$;";

/// What the planner knows of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Statistics {
    /// Nothing, as in the first minute of an installation.
    None,
    /// As after the server's own care.
    Fresh,
}

/// A schema with rows.
async fn filled(statistics: Statistics) -> String {
    let options = own_schema(shared());
    PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.unwrap().close().await.unwrap();
    shared().sql(&format!("SET search_path TO {}; {NO_CARE} {FILL}", options.schema));
    if statistics == Statistics::Fresh {
        // Not of the whole database: it would reach the tables of the other tests while they are empty.
        shared().sql(&format!(
            "DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = '{0}' LOOP \
             EXECUTE 'ANALYZE {0}.' || quote_ident(t); END LOOP; END $$",
            options.schema
        ));
    }
    options.schema
}

/// The plan of a statement for any parameters, if whole tables are read only where nothing else is possible.
fn plan(schema: &str, statement: &str) -> String {
    let parameters = (1..60).rev().find(|number| statement.contains(&format!("${number}"))).unwrap_or(0);
    let nulls = vec!["NULL"; parameters].join(", ");
    let arguments = if parameters == 0 { String::new() } else { format!("({nulls})") };
    shared().sql(&format!(
        "SET search_path TO {schema}; {}; PREPARE asked AS {statement}; EXPLAIN (COSTS OFF) EXECUTE asked{arguments}",
        keywright_store_postgres::planner_settings()
    ))
}

/// Reads of whole tables, also by way of an index.
fn scans(plan: &str) -> bool {
    let lines: Vec<&str> = plan.lines().collect();
    let whole_index = |(number, line): (usize, &&str)| {
        let reads = line.contains("Index Scan") || line.contains("Index Only Scan");
        let next = lines.get(number + 1).copied().unwrap_or_default();
        reads
            && !next.trim_start().starts_with("Index Cond")
            && !next.trim_start().starts_with("Recheck Cond")
    };
    plan.contains("Seq Scan") || lines.iter().enumerate().any(whole_index)
}

#[tokio::test]
async fn every_statement_is_found_by_an_index() {
    for statistics in [Statistics::None, Statistics::Fresh] {
        check(&filled(statistics).await, statistics);
    }
}

fn check(schema: &str, statistics: Statistics) {
    let (mut scanning, mut costly) = (Vec::new(), String::new());
    for (name, statement) in keywright_store_postgres::statements() {
        if statement == "COMMIT" {
            continue;
        }
        let plan = plan(schema, statement);
        if scans(&plan) {
            scanning.push(name);
            let allowed = MAY_SCAN.iter().any(|(allowed, _)| *allowed == name);
            if !allowed {
                costly += name;
                costly += " reads a whole table:\n";
                costly += &plan;
            }
        }
    }
    assert!(costly.is_empty(), "{statistics:?} statistics: {costly}");
    for (name, _) in MAY_SCAN.iter().filter(|_| statistics == Statistics::Fresh) {
        assert!(scanning.contains(name), "{name} needs no exception any more: remove it from the list");
    }
}

#[tokio::test]
async fn a_scan_is_noticed() {
    let schema = filled(Statistics::Fresh).await;
    for costly in
        ["SELECT * FROM keys WHERE name = $1", "SELECT id FROM keys WHERE name = $1 ORDER BY number"]
    {
        assert!(scans(&plan(&schema, costly)), "{costly}");
    }
}
