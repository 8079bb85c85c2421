//! Keywright on `PostgreSQL`.
