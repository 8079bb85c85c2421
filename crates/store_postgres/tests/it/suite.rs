//! The conformance suite.

use std::sync::Arc;

use keywright_store_postgres::PostgresStore;

use crate::server;

async fn empty() -> (Arc<PostgresStore>, ()) {
    (server::empty_store().await, ())
}

keywright_testkit::store_suite!(empty);
