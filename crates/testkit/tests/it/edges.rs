//! Which crate may depend on which, and what each room must never know.

use std::collections::BTreeSet;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

use crate::tree::root;

/// `(crate, what it depends on)`. A new edge is a decision about the rooms (`ARCHITECTURE.md`, ADR 1), not a way to get
/// something compiled.
const NORMAL: &[(&str, &str)] = &[
    ("api", "domain"),
    ("api", "engine"),
    ("api", "keyformat"),
    ("api", "redaction"),
    ("api", "template"),
    // Benchmarks measure rooms from outside; nothing that is shipped knows them.
    ("bench", "chaos"),
    ("bench", "domain"),
    ("bench", "engine"),
    ("bench", "keyformat"),
    ("bench", "store-sqlite"),
    ("bench", "vault"),
    // Fault injection drives the shipped executable from outside.
    ("chaos", "testkit"),
    ("cluster", "domain"),
    ("domain", "keyformat"),
    ("engine", "domain"),
    ("engine", "keyformat"),
    ("redaction", "keyformat"),
    ("server", "api"),
    ("server", "cluster"),
    ("server", "domain"),
    ("server", "engine"),
    ("server", "keyformat"),
    ("server", "redaction"),
    ("server", "store-postgres"),
    ("server", "store-sqlite"),
    ("server", "vault"),
    ("store-postgres", "domain"),
    ("store-postgres", "keyformat"),
    ("store-sqlite", "domain"),
    ("store-sqlite", "keyformat"),
    ("testkit", "domain"),
    ("testkit", "keyformat"),
    ("testkit", "vault"),
    ("vault", "domain"),
];

/// The same for tests, examples and benchmarks.
const DEV: &[(&str, &str)] = &[
    ("api", "store-sqlite"),
    ("api", "testkit"),
    ("server", "testkit"),
    // Installations move from one store to the other.
    ("store-postgres", "store-sqlite"),
    ("store-postgres", "testkit"),
    ("store-sqlite", "testkit"),
];

/// All that `keyformat` ships with: others should be able to depend on it alone.
const KEYFORMAT_SHIPS_WITH: &[&str] = &["memchr", "subtle", "zeroize"];

/// The same for the libraries on texts.
const TEXT_LIBRARIES_SHIP_WITH: &[(&str, &[&str])] =
    &[("redaction", &["memchr"]), ("template", &["serde_json", "thiserror"])];

/// Crates from elsewhere that a room must never know in what it ships.
const NEVER: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "tokio",
            "rusqlite",
            "axum",
            "http",
            "hyper",
            "serde_json",
            "getrandom",
            "rand",
            "rustix",
            "tracing",
        ],
    ),
    ("cluster", &["tokio", "tokio-postgres", "rustix", "getrandom", "rand", "tracing", "parking_lot"]),
    ("engine", &["tokio", "rusqlite", "axum", "http", "hyper", "serde_json", "getrandom", "rand"]),
    ("store-postgres", &["rusqlite", "axum", "http", "hyper", "tower", "getrandom", "rand"]),
    ("store-sqlite", &["axum", "http", "hyper", "tower", "getrandom", "rand"]),
    ("api", &["rusqlite", "hyper", "clap", "toml", "getrandom", "rand"]),
    ("server", &["rusqlite"]),
];

#[test]
fn crates_depend_on_each_other_only_along_the_allowed_edges() {
    let metadata = metadata();
    check("dependencies", NORMAL, &edges(&metadata, DependencyKind::Normal));
    check("dev-dependencies", DEV, &edges(&metadata, DependencyKind::Development));
    check("build-dependencies", &[], &edges(&metadata, DependencyKind::Build));
}

#[test]
fn the_testkit_is_not_shipped() {
    let shipped: Vec<_> = NORMAL.iter().filter(|(from, to)| *from != "chaos" && *to == "testkit").collect();
    assert!(shipped.is_empty(), "testkit may only be a dev-dependency: {shipped:?}");
}

#[test]
fn rooms_do_not_know_what_they_must_not() {
    let metadata = metadata();
    for (room, never) in NEVER {
        for name in outside(&metadata, room) {
            assert!(
                !never.contains(&name.as_str()),
                "`{room}` depends on `{name}`, which that room must never know. ARCHITECTURE.md says what belongs where."
            );
        }
    }
}

#[test]
fn keyformat_can_be_depended_on_alone() {
    let allowed = KEYFORMAT_SHIPS_WITH.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let outside = outside(&metadata(), "keyformat");
    assert_eq!(
        outside, allowed,
        "keyformat is for others to depend on: each of its dependencies becomes theirs"
    );
}

#[test]
fn text_libraries_ship_with_little() {
    let metadata = metadata();
    for (room, allowed) in TEXT_LIBRARIES_SHIP_WITH {
        let allowed = allowed.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(outside(&metadata, room), allowed, "{room}");
    }
}

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo metadata reads the manifests of the workspace")
}

/// The edges between crates of the workspace, without the `keywright-` in front of their names.
fn edges(metadata: &Metadata, kind: DependencyKind) -> BTreeSet<(String, String)> {
    let mut edges = BTreeSet::new();
    for package in metadata.workspace_packages() {
        for dependency in package.dependencies.iter().filter(|dependency| dependency.kind == kind) {
            if dependency.path.is_some() {
                edges.insert((room(&package.name), room(&dependency.name)));
            }
        }
    }
    edges
}

/// The crates from elsewhere that a room ships with.
fn outside(metadata: &Metadata, of: &str) -> BTreeSet<String> {
    let package = metadata
        .workspace_packages()
        .into_iter()
        .find(|package| room(&package.name) == of)
        .unwrap_or_else(|| panic!("there is no crate keywright-{of}"));
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.filter(|dependency| dependency.path.is_none()).map(|dependency| dependency.name.clone()).collect()
}

fn room(package: &str) -> String {
    package.strip_prefix("keywright-").unwrap_or(package).to_owned()
}

fn check(section: &str, allowed: &[(&str, &str)], found: &BTreeSet<(String, String)>) {
    let allowed: BTreeSet<_> =
        allowed.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    let new: Vec<_> = found.difference(&allowed).map(arrow).collect();
    assert!(
        new.is_empty(),
        "new edges in [{section}]: {}.\nIf the rooms should change, write an ADR and add the edge to \
         crates/testkit/tests/it/edges.rs; otherwise move the code to where it may know this.",
        new.join(", ")
    );
    let gone: Vec<_> = allowed.difference(found).map(arrow).collect();
    assert!(
        gone.is_empty(),
        "edges of [{section}] that nobody needs any more: {}.\nRemove them from crates/testkit/tests/it/edges.rs, so \
         that they do not come back unnoticed.",
        gone.join(", ")
    );
}

fn arrow((from, to): &(String, String)) -> String {
    format!("{from} → {to}")
}
