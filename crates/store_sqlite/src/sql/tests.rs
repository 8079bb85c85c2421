//! Plans of all statements.
