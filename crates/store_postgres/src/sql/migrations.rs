//! The schema and its version.

/// Waits until no other node migrates the schema.
pub(crate) const LOCK: &str = "SELECT pg_advisory_xact_lock($1)::text";
/// Whether a schema is there.
pub(crate) const SCHEMA: &str = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1";
/// The tables of a schema.
pub(crate) const TABLES: &str = "SELECT tablename::text FROM pg_catalog.pg_tables WHERE schemaname = $1";
/// The migrations that were applied.
pub(crate) const APPLIED: &str = "SELECT name, sha256 FROM migrations ORDER BY number";
/// A migration was applied.
pub(crate) const INSERT: &str = "INSERT INTO migrations (number, name, sha256) VALUES ($1, $2, $3)";
