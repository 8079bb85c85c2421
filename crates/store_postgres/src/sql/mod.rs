//! Every SQL statement of the store, by topic.
//!
//! A test prepares each of them and refuses plans that read a whole table.

/// Declares statements as constants, and lists them all.
macro_rules! statements {
    ($($(#[$docs:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$docs])* pub(crate) const $name: &str = $sql;)+

        /// Every statement of this topic with its name.
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

use std::sync::LazyLock;

pub(crate) mod accounts;
pub(crate) mod credits;
pub(crate) mod identities;
pub(crate) mod installation;
pub(crate) mod invitations;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod members;
pub(crate) mod migrations;
pub(crate) mod privacy;
pub(crate) mod prompts;
pub(crate) mod purge;
pub(crate) mod sealing;
pub(crate) mod usage;

/// Every statement on the store's tables with its name, for tests of their plans.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    [
        accounts::ALL,
        invitations::ALL,
        identities::ALL,
        installation::ALL,
        journal::ALL,
        keys::ALL,
        limits::ALL,
        members::ALL,
        sealing::ALL,
        purge::ALL,
        usage::ALL,
        credits::ALL,
        prompts::ALL,
        privacy::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

/// The statements that the writer prepares ahead.
pub(crate) fn writer() -> &'static [&'static str] {
    static STATEMENTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        texts(&[
            accounts::ALL,
            invitations::ALL,
            identities::ALL,
            installation::ALL,
            journal::ALL,
            keys::ALL,
            members::ALL,
            credits::ALL,
            sealing::ALL,
            prompts::ALL,
            privacy::ALL,
        ])
    });
    &STATEMENTS
}

/// The statements that adding usage prepares ahead.
pub(crate) fn usage_writer() -> &'static [&'static str] {
    static STATEMENTS: LazyLock<Vec<&'static str>> = LazyLock::new(|| texts(&[usage::ALL]));
    &STATEMENTS
}

fn texts(topics: &[&[(&str, &'static str)]]) -> Vec<&'static str> {
    topics.iter().flat_map(|topic| topic.iter().map(|(_, sql)| *sql)).collect()
}

#[cfg(test)]
mod tests {
    use super::{journal, keys};

    /// The columns of a key are written by two statements.
    #[test]
    fn a_key_is_changed_alike_with_the_journal_and_without() {
        let (set, condition) = keys::UPDATE.split_once(" WHERE ").unwrap();
        let shifted = (1..=15).rev().fold(set.to_owned(), |text, number| {
            text.replace(&format!("${number}"), &format!("#{}", number + 28))
        });
        let shifted = shifted.replace('#', "$");
        assert_eq!(condition, "number = $1");
        assert!(
            journal::WRITE_IF_UNCHANGED.contains(&format!("{shifted} FROM written WHERE number = $29")),
            "{shifted}"
        );
    }
}
