//! The conformance suite, on a database in memory and on one in a directory.

mod in_memory {
    use std::sync::Arc;

    use keywright_store_sqlite::SqliteStore;

    #[expect(clippy::unused_async, reason = "the suite awaits it: other stores are slower to make")]
    async fn empty() -> (Arc<SqliteStore>, ()) {
        (Arc::new(SqliteStore::open_in_memory(keywright_testkit::vault()).unwrap()), ())
    }

    keywright_testkit::store_suite!(empty);
}

mod in_a_directory {
    use std::sync::Arc;

    use keywright_store_sqlite::{Options, SqliteStore};
    use tempfile::TempDir;

    #[expect(clippy::unused_async, reason = "the suite awaits it: other stores are slower to make")]
    async fn empty() -> (Arc<SqliteStore>, TempDir) {
        let directory = TempDir::new().unwrap();
        (
            Arc::new(
                SqliteStore::open(directory.path(), &Options::default(), keywright_testkit::vault()).unwrap(),
            ),
            directory,
        )
    }

    keywright_testkit::store_suite!(empty);
}
