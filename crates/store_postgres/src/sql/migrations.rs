//! The schema and its version.

statements! {
    /// Waits until no other node migrates the schema.
    LOCK = "SELECT pg_advisory_xact_lock($1)::text";
    /// Whether a schema is there.
    SCHEMA = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1";
    /// The tables of a schema.
    TABLES = "SELECT tablename::text FROM pg_catalog.pg_tables WHERE schemaname = $1";
    /// The migrations that were applied.
    APPLIED = "SELECT name, sha256 FROM migrations ORDER BY number";
    /// A migration was applied.
    INSERT = "INSERT INTO migrations (number, name, sha256) VALUES ($1, $2, $3)";
}
