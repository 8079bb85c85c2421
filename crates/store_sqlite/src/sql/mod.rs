//! Every SQL statement of the store, by topic.
//!
//! A test prepares each of them and refuses plans that read a whole table.

/// Declares statements as constants, and lists them all for the test of their plans.
macro_rules! statements {
    ($($(#[$docs:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$docs])* pub(crate) const $name: &str = $sql;)+

        /// Every statement of this topic with its name.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub(crate) mod accounts;
pub(crate) mod credits;
pub(crate) mod identities;
pub(crate) mod installation;
pub(crate) mod invitations;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod members;
pub(crate) mod privacy;
pub(crate) mod prompts;
pub(crate) mod purge;
pub(crate) mod sealing;
pub(crate) mod usage;

#[cfg(test)]
mod tests;
