//! Templates as their users see them.

mod filling;
mod laws;
mod sizes;
