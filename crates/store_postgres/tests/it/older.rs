//! Databases that older programs left: the schema after the first migrations, with rows in it. Two nodes start at once.

use std::{fs, path::Path, sync::Arc};

use keywright_domain::{
    ids::UserId,
    principal::Principal,
    privacy::{PrivacyStore as _, Who},
    store::Store as _,
};
use keywright_store_postgres::{PostgresOptions, PostgresStore};
use keywright_testkit::{Installation, Samples};

use crate::server::{empty_store_in, own_schema, shared};

/// The steps of the schema, in order.
fn steps() -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// What an older program had written, as far as it is still written in the same way.
const TABLES: &str = "'plans', 'permissions', 'workspaces', 'memberships', 'operators', 'keys', 'secrets', 'changes', 'audit', \
                      'head'";

/// A schema after the first `count` migrations, with the rows of the schema `from` in it, and people in the clear.
fn older(from: &str, count: usize, owner: UserId) -> PostgresOptions {
    let owner = u128::from_be_bytes(owner.to_bytes());
    let options = own_schema(shared());
    let schema = &options.schema;
    let steps = steps();
    let first = &steps[0];
    let rest = steps[1..count].join("\n");
    let sql = format!(
        "CREATE SCHEMA {schema}; SET search_path TO {schema}; {first}
         CREATE TABLE migrations (number bigint PRIMARY KEY, name text NOT NULL, sha256 text NOT NULL);
         INSERT INTO migrations SELECT * FROM {from}.migrations WHERE number <= {count};
         DELETE FROM head;
         DO $$ DECLARE t text; c text; BEGIN
             FOREACH t IN ARRAY array[{TABLES}] LOOP
                 SELECT string_agg(quote_ident(old.column_name), ', ') INTO c
                 FROM information_schema.columns old JOIN information_schema.columns new USING (table_name, column_name)
                 WHERE old.table_schema = '{schema}' AND new.table_schema = '{from}' AND old.table_name = t;
                 EXECUTE format('INSERT INTO {schema}.%I (%s) SELECT %s FROM {from}.%I', t, c, c, t);
             END LOOP;
         END $$;
         INSERT INTO users VALUES (decode('{owner:032x}', 'hex'), 'Olga@Example.com', 'Olga', NULL, 5);
         INSERT INTO audit_personal VALUES (1, decode(repeat('07', 16), 'hex'), decode('7f000001', 'hex'), 'curl/8');
         {rest}"
    );
    shared().sql(&sql);
    options
}

/// The audit trail without what is personal in it.
async fn chain(store: &PostgresStore) -> Vec<(Vec<u8>, [u8; 32])> {
    let entries = store.audit_after(0, 100).await.unwrap();
    entries.into_iter().map(|entry| (entry.body, entry.hash)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_of_older_programs_are_brought_up_to_date_by_two_nodes_at_once() {
    let present = own_schema(shared());
    let origin = Installation::set_up(empty_store_in(present.clone()).await).await;
    for number in 0..3 {
        origin.create_key(&format!("key {number}")).await;
    }
    let Principal::User(owner) = origin.owner.principal else { panic!("the owner is a person") };
    let expected = origin.load().await;
    let trail = chain(&origin.store).await;
    let all = steps().len();
    for count in [1, 2, 4, all - 1] {
        let options = older(&present.schema, count, owner);
        let schema = options.schema.clone();
        let start = || tokio::spawn(PostgresStore::connect(options.clone(), keywright_testkit::vault()));
        let (first, second) = (start(), start());
        for (number, store) in [first, second].into_iter().enumerate() {
            let store = Arc::new(store.await.unwrap().unwrap());
            let moved = Installation {
                store: Arc::clone(&store),
                samples: Samples::new((10 * count + number) as u64),
                operator: origin.operator.clone(),
                workspace: origin.workspace.clone(),
                owner: origin.owner.clone(),
            };
            if number == 0 {
                assert_eq!(moved.load().await, expected, "{count}");
                assert_eq!(chain(&store).await, trail, "{count}");
            }
            let person = store.person(Who::Id(owner)).await.unwrap().unwrap();
            assert_eq!(
                (person.email.as_str(), person.name.as_str()),
                ("Olga@Example.com", "Olga"),
                "{count}"
            );
            moved.create_key("after").await;
        }
        let sql = format!(
            "SELECT (SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}' AND tablename LIKE 'unsealed%'), \
             (SELECT count(*) FROM {schema}.audit_personal WHERE sequence = 1), \
             (SELECT max(number) FROM {schema}.migrations)"
        );
        assert_eq!(shared().sql(&sql), format!("0|1|{all}"), "{count}");
    }
}
