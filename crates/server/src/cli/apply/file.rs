//! The declarative file: what an installation should be.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use keywright_domain::limits::LimitWindow;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::super::values;
use crate::{
    config::describe_toml_error,
    failure::{Exit, Failure},
};

/// Largest file, in bytes.
const FILE_MAX_BYTES: u64 = 16 << 20;
/// The form of the file that this program knows.
const VERSION: u32 = 1;

/// An installation, or a part of it. What is not named is left alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The form of the file: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<u32>,
    /// Permissions beside the built-in ones, with their descriptions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) permissions: BTreeMap<String, String>,
    /// Plans by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) plans: BTreeMap<String, Plan>,
    /// Workspaces by slug.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) workspaces: BTreeMap<String, Workspace>,
}

/// A plan. Its limits are all that are named.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) key_limits: Vec<Limit>,
    #[serde(default)]
    pub(super) workspace_limits: Vec<Limit>,
}

/// A workspace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Workspace {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) suspended: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) policy: Option<Policy>,
    /// Keys by name. Their secrets are never in here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) keys: Option<BTreeMap<String, Key>>,
    /// Members by the address that they sign in with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) members: Option<BTreeMap<String, Member>>,
    /// Service accounts by their identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service_accounts: Option<BTreeMap<String, ServiceAccount>>,
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    pub(super) role: String,
    /// Permissions within the role, or `all` of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) permissions: Option<ListOrAll>,
}

/// A service account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceAccount {
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) owning_team: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<String>,
    /// Permissions within the role, or `all` of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) permissions: Option<ListOrAll>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) disabled: Option<bool>,
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_key_days: Option<NumberOrNone>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rotation_mode: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) overlap_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) idle_days: Option<NumberOrNone>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) idle_action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) allowed_ips: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) allowed_permissions: Option<ListOrAll>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) default_permissions: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_keys: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) self_service: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lease_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) atomic_revocation: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rotation: Option<Rotation>,
}

/// Rotation periods: `90d`, `3mo` or `none`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rotation {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) development: Option<Period>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) staging: Option<Period>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) production: Option<Period>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ci: Option<Period>,
}

/// A key without its secret.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    pub(super) environment: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) purpose: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) permissions: Option<Vec<String>>,
    /// An RFC 3339 date-time, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<String>,
    /// Limits of its own, or `plan` for those of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limits: Option<LimitsOrPlan>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) allowed_ips: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) external_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) disabled: Option<bool>,
    /// The service account that it belongs to, by its identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) service_account: Option<String>,
    /// Any table. Values that TOML cannot say are in `metadata_json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<serde_json::Map<String, Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metadata_json: Option<String>,
}

/// A limit as text: `minute=1000/60s`, `burst=50/1s:smooth`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Limit(pub(super) LimitWindow);

/// A whole number, or `"none"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberOrNone(pub(super) Option<u32>);

/// A list, or `"all"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListOrAll(pub(super) Option<Vec<String>>);

/// A list of limits, or `"plan"`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LimitsOrPlan(pub(super) Option<Vec<Limit>>);

/// A calendar period, as the API writes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Period(pub(super) Value);

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&values::limit_text(&self.0))
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        values::limit(&text).map(Self).map_err(de::Error::custom)
    }
}

impl Serialize for NumberOrNone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(number) => serializer.serialize_u32(number),
            None => serializer.serialize_str("none"),
        }
    }
}

impl<'de> Deserialize<'de> for NumberOrNone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = NumberOrNone;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number, or \"none\"")
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<NumberOrNone, E> {
                u32::try_from(number)
                    .map(|number| NumberOrNone(Some(number)))
                    .map_err(|_| E::custom("expected a whole number from 0 on, or \"none\""))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<NumberOrNone, E> {
                if text == "none" {
                    return Ok(NumberOrNone(None));
                }
                Err(E::custom("expected a whole number, or \"none\""))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Reads a list, or this one word, which stands for none.
fn list_or<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    word: &'static str,
) -> Result<Option<Vec<T>>, D::Error> {
    struct Visitor<T>(&'static str, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
        type Value = Option<Vec<T>>;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a list, or \"{}\"", self.0)
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            if text == self.0 {
                Ok(None)
            } else {
                Err(E::custom(format!("expected a list, or \"{}\"", self.0)))
            }
        }
        fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = items.next_element()? {
                list.push(item);
            }
            Ok(Some(list))
        }
    }
    deserializer.deserialize_any(Visitor(word, std::marker::PhantomData))
}

fn serialize_list_or<T: Serialize, S: Serializer>(
    list: Option<&Vec<T>>,
    word: &str,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match list {
        Some(list) => list.serialize(serializer),
        None => serializer.serialize_str(word),
    }
}

impl Serialize for ListOrAll {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_list_or(self.0.as_ref(), "all", serializer)
    }
}

impl<'de> Deserialize<'de> for ListOrAll {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list_or(deserializer, "all").map(Self)
    }
}

impl Serialize for LimitsOrPlan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_list_or(self.0.as_ref(), "plan", serializer)
    }
}

impl<'de> Deserialize<'de> for LimitsOrPlan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        list_or(deserializer, "plan").map(Self)
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&values::period_text(&self.0))
    }
}

impl<'de> Deserialize<'de> for Period {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        values::period(&text).map(Self).map_err(de::Error::custom)
    }
}

/// Reads a file, or all `*.toml` of a directory in the order of their names, or standard input for `-`.
///
/// # Errors
/// A usage failure that names file, line and column.
pub(super) fn read(
    place: &Path,
    input: impl FnOnce(u64) -> Result<Vec<u8>, Failure>,
) -> Result<Wanted, Failure> {
    if place == Path::new("-") {
        let bytes = input(FILE_MAX_BYTES)?;
        return parse(&String::from_utf8_lossy(&bytes), "standard input");
    }
    let mut all = Wanted::default();
    for file in files(place)? {
        let text = read_text(&file)?;
        merge(&mut all, parse(&text, &file.display().to_string())?, &file)?;
    }
    Ok(all)
}

fn cannot_read(place: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Exit::Arguments, format!("cannot read {}: {error}", place.display()))
}

fn files(place: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !place.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let entries = std::fs::read_dir(place).map_err(|error| cannot_read(place, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| cannot_read(place, &error))?.path();
        if file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::new(Exit::Arguments, format!("{} has no file *.toml", place.display())));
    }
    Ok(files)
}

fn read_text(file: &Path) -> Result<String, Failure> {
    let length = std::fs::metadata(file).map_err(|error| cannot_read(file, &error))?.len();
    if length > FILE_MAX_BYTES {
        let text = format!("{} has more than {FILE_MAX_BYTES} bytes", file.display());
        return Err(Failure::new(Exit::Arguments, text));
    }
    std::fs::read_to_string(file).map_err(|error| cannot_read(file, &error))
}

/// Reads one file.
///
/// # Errors
/// As [`read`].
pub(super) fn parse(text: &str, source: &str) -> Result<Wanted, Failure> {
    let wanted: Wanted = toml::from_str(text)
        .map_err(|error| describe_toml_error(text, source, &error).with_exit(Exit::Arguments))?;
    match wanted.version {
        None | Some(VERSION) => Ok(wanted),
        Some(other) => Err(Failure::new(
            Exit::Arguments,
            format!("{source}: version {other} is not known to this program, which knows version {VERSION}"),
        )),
    }
}

/// Adds one file to the others: a thing stands in one file only.
fn merge(all: &mut Wanted, one: Wanted, file: &Path) -> Result<(), Failure> {
    let twice = |kind: &str, name: &str| {
        Failure::new(
            Exit::Arguments,
            format!("{}: {kind} {name} stands in another file, too", file.display()),
        )
    };
    for (name, permission) in one.permissions {
        if all.permissions.insert(name.clone(), permission).is_some() {
            return Err(twice("permission", &name));
        }
    }
    for (name, plan) in one.plans {
        if all.plans.insert(name.clone(), plan).is_some() {
            return Err(twice("plan", &name));
        }
    }
    for (slug, workspace) in one.workspaces {
        if all.workspaces.insert(slug.clone(), workspace).is_some() {
            return Err(twice("workspace", &slug));
        }
    }
    Ok(())
}

/// The file as text.
///
/// # Errors
/// A defect.
pub(super) fn text(wanted: &Wanted) -> Result<String, Failure> {
    toml::to_string_pretty(wanted)
        .map_err(|error| Failure::new(Exit::Software, format!("this cannot be written as TOML: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
version = 1

[permissions]
"reports:export" = "Download reports"

[plans.gold]
description = "More."
key_limits = ["minute=5000/60s", "burst=50/1s:smooth"]
workspace_limits = ["day=5/86400s:exact:or-open"]

[workspaces.acme]
name = "Acme Inc."
plan = "gold"

[workspaces.acme.policy]
max_key_days = "none"
idle_days = 90
allowed_permissions = "all"
rotation = { production = "90d", ci = "none", staging = "3mo" }

[workspaces.acme.keys.web]
environment = "production"
limits = "plan"
metadata = { team = "web" }
"#;

    #[test]
    fn everything_that_is_read_is_written_again() {
        let wanted = parse(TEXT, "x").unwrap();
        let acme = &wanted.workspaces["acme"];
        let policy = acme.policy.as_ref().unwrap();
        assert_eq!(
            (policy.max_key_days, policy.idle_days),
            (Some(NumberOrNone(None)), Some(NumberOrNone(Some(90))))
        );
        assert_eq!(wanted.plans["gold"].key_limits.len(), 2);
        assert_eq!(parse(&text(&wanted).unwrap(), "y").unwrap(), wanted);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, place, what) in [
            ("[plans.gold]\nkey_limit = []\n", "x:2:1", "did you mean `key_limits`?"),
            ("[plans.gold]\nkey_limits = [\"minute\"]\n", "x:2:", "NAME=LIMIT/WINDOW"),
            ("[workspaces.acme.policy]\nmax_key_days = \"never\"\n", "x:2:16", "\"none\""),
            ("[workspaces.acme.policy]\nmax_key_days = -1\n", "x:2:16", "from 0 on"),
            ("[workspaces.acme.policy.rotation]\nci = \"often\"\n", "x:2:6", "90d"),
            ("[workspaces.acme.policy]\nallowed_permissions = \"some\"\n", "x:2:23", "\"all\""),
            ("[workspaces.acme.keys.web]\nsecret = \"x\"\n", "x:2:1", "unknown key `secret`"),
            ("[workspaces.acme\n", "x:1:", ""),
            ("version = 2\n", "x", "version 2"),
        ] {
            let failure = parse(text, "x").unwrap_err();
            assert_eq!(failure.exit(), Exit::Arguments);
            let shown = failure.to_string();
            assert!(shown.contains(place) && shown.contains(what), "{text}: {shown}");
        }
    }

    #[test]
    fn a_directory_is_one_installation() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("b.toml", "[plans.gold]\n");
        write("a.toml", "[permissions]\n\"a:b\" = \"\"\n");
        write("notes.txt", "not TOML [");
        let none = |_| panic!("standard input is not asked for");
        let all = read(directory.path(), none).unwrap();
        assert_eq!((all.plans.len(), all.permissions.len()), (1, 1));
        write("c.toml", "[plans.gold]\n");
        let twice = read(directory.path(), none).unwrap_err().to_string();
        assert!(twice.contains("plan gold stands in another file"), "{twice}");
        let empty = tempfile::tempdir().unwrap();
        assert!(read(empty.path(), none).is_err() && read(Path::new("/nowhere"), none).is_err());
    }
}
