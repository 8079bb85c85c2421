//! `docs/REQUIREMENTS.md`: every requirement of the life of a key has its row, and every test it names exists.

use std::{collections::BTreeSet, ops::RangeInclusive};

use crate::tree::{files, text};

const DOCUMENT: &str = "docs/REQUIREMENTS.md";

/// The numbers that must have a row. More are added as more is built; none is taken off.
const OWNED: &[RangeInclusive<u16>] = &[
    1..=4,
    7..=10,
    13..=13,
    17..=50,
    52..=54,
    56..=82,
    88..=106,
    136..=182,
    189..=209,
    226..=255,
    263..=300,
    327..=331,
    336..=336,
    349..=357,
    362..=378,
    387..=404,
    413..=413,
    415..=423,
];

/// Rows that may do without a test, because what they ask for is not built yet. Only to be shortened.
const WITHOUT_TEST: &[u16] = &[393];

struct Row {
    number: u16,
    where_met: String,
    tests: Vec<String>,
}

#[test]
fn every_requirement_has_its_row() {
    let owned: Vec<u16> = OWNED.iter().cloned().flatten().collect();
    let rows: Vec<u16> = rows().iter().map(|row| row.number).collect();
    assert_eq!(rows, owned, "each number once, in order");
}

#[test]
fn what_is_built_is_shown_by_a_test() {
    for row in rows() {
        assert!(!row.where_met.is_empty(), "{DOCUMENT}, {}: it does not say where", row.number);
        let may_lack_it = WITHOUT_TEST.contains(&row.number);
        assert_eq!(row.tests.is_empty(), may_lack_it, "{DOCUMENT}, {}: a row names a test", row.number);
        assert!(!may_lack_it || row.where_met.contains("later"), "{DOCUMENT}, {}: say `later`", row.number);
    }
}

#[test]
fn every_named_test_exists() {
    let files: BTreeSet<String> = files().into_iter().collect();
    for row in rows() {
        for test in &row.tests {
            let (path, name) = test.split_once("::").unwrap_or_else(|| panic!("{test} is not `path::name`"));
            // Tests of shipped clients, providers and browsers are written in Python.
            let is_script = path.starts_with("tests/");
            let path = if is_script { path.to_owned() } else { format!("crates/{path}") };
            assert!(files.contains(&path), "{DOCUMENT}, {}: there is no file {path}", row.number);
            assert!(has_test(&path, name), "{DOCUMENT}, {}: {path} has no test {name}", row.number);
        }
    }
}

/// A function of that name, with `test` among its attributes or in the suite that makes a test of each.
fn has_test(path: &str, name: &str) -> bool {
    let text = text(path);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    if path.starts_with("tests/") {
        return name.starts_with("test_") && lines.contains(&format!("def {name}(self):").as_str());
    }
    let begins = [format!("fn {name}("), format!("fn {name}<")];
    let named = (0..lines.len()).filter(|at| begins.iter().any(|begin| lines[*at].contains(begin)));
    let mut attributes = named.map(|at| lines[..at].iter().rev().take_while(|line| line.starts_with("#[")));
    let in_suite = path.contains("/store_suite/");
    attributes.any(|mut of| in_suite || of.any(|line| line.contains("test")))
}

/// Code named as a place, from its crate on.
#[test]
fn every_named_place_exists() {
    let files = files();
    for row in rows() {
        for place in in_backticks(&row.where_met).filter(|place| place.contains("/src/")) {
            let place = format!("crates/{place}");
            assert!(
                files.iter().any(|name| *name == place || place.ends_with('/') && name.starts_with(&place)),
                "{DOCUMENT}, {}: there is no {place}",
                row.number
            );
        }
    }
}

/// The rows of all tables: those that begin with a number.
fn rows() -> Vec<Row> {
    text(DOCUMENT).lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
    let number = cells.first()?.parse().ok()?;
    assert_eq!(cells.len(), 4, "{DOCUMENT}: a row has four cells: {line}");
    let tests = in_backticks(cells[3]).map(str::to_owned).collect();
    Some(Row { number, where_met: cells[2].to_owned(), tests })
}

fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
