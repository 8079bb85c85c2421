//! What is left of a person in the tables.

use std::sync::Arc;

use keywright_domain::store::Store as _;
use keywright_store_postgres::PostgresStore;
use keywright_testkit::{Installation, Person};

use crate::server::{own_schema, shared};

/// How many rows of all tables of the schema have one of these texts, bytes being shown in hexadecimal.
fn rows_with(schema: &str, texts: &[String]) -> u32 {
    let names = format!("SELECT tablename FROM pg_tables WHERE schemaname = '{schema}' ORDER BY tablename");
    let any: Vec<String> = texts.iter().map(|text| format!("t::text ILIKE '%{text}%'")).collect();
    let tables = shared().sql(&names);
    let counts: Vec<String> = tables
        .lines()
        .map(|table| format!("(SELECT count(*) FROM {schema}.{table} t WHERE {})", any.join(" OR ")))
        .collect();
    shared().sql(&format!("SELECT {}", counts.join(" + "))).parse().unwrap()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn once_retention_has_passed_nothing_of_an_erased_person_is_left() {
    let options = own_schema(shared());
    let schema = options.schema.clone();
    let store = Arc::new(PostgresStore::connect(options, keywright_testkit::vault()).await.unwrap());
    let installation = Installation::set_up(Arc::clone(&store)).await;
    let person = Person::live(&installation).await;
    let hex = hex_of(&Person::ADDRESS);
    assert!(rows_with(&schema, std::slice::from_ref(&hex)) >= 1, "the search finds what is there");
    person.leave_for_good(&installation).await;
    Person::verify_chain(&store).await;
    let mut texts = vec![hex, Person::address().to_string()];
    for text in [Person::EMAIL, Person::NAME, "Quatsch", "zerlinda", Person::AGENT] {
        texts.extend([text.to_owned(), hex_of(text.as_bytes())]);
    }
    assert_eq!(rows_with(&schema, &texts), 0);
    store.close().await.unwrap();
}
