//! Findings that are known and accepted.

use std::{collections::HashSet, fs, path::Path};

use serde::{Deserialize, Serialize};

use super::finding::Finding;
use crate::failure::{Exit, Failure};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Baseline {
    version: u32,
    findings: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    fingerprint: String,
    rule: String,
    path: String,
    hint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

/// The fingerprints that a file accepts.
///
/// # Errors
/// When the file cannot be read or has another form.
pub(super) fn read(file: &Path) -> Result<HashSet<String>, Failure> {
    let unusable = |why: String| {
        Failure::new(Exit::Negative, format!("cannot use the baseline {}: {why}", file.display()))
            .remedy("Write a new one: keywright scan … --write-baseline FILE")
    };
    let text = fs::read_to_string(file).map_err(|error| unusable(error.to_string()))?;
    let baseline: Baseline = serde_json::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    if baseline.version != VERSION {
        return Err(unusable(format!("it has version {}, this program reads {VERSION}", baseline.version)));
    }
    Ok(baseline.findings.into_iter().map(|entry| entry.fingerprint).collect())
}

/// Writes a file that accepts these findings.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(file: &Path, findings: &[Finding]) -> Result<(), Failure> {
    let mut entries: Vec<Entry> = findings
        .iter()
        .map(|finding| Entry {
            fingerprint: finding.fingerprint.clone(),
            rule: finding.rule.id().to_owned(),
            path: finding.path.clone(),
            hint: finding.hint.clone(),
            comment: None,
        })
        .collect();
    entries.sort_by(|one, other| (&one.path, &one.fingerprint).cmp(&(&other.path, &other.fingerprint)));
    entries.dedup_by(|one, other| one.fingerprint == other.fingerprint);
    let baseline = Baseline { version: VERSION, findings: entries };
    let text = serde_json::to_string_pretty(&baseline).expect("a baseline is made of strings and numbers");
    fs::write(file, text + "\n")
        .map_err(|error| Failure::new(Exit::Negative, format!("cannot write {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::{
        super::finding::{Place, findings},
        *,
    };

    #[test]
    fn what_is_written_is_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("baseline.json");
        let found = findings(b"sk_live_abc123", &Place { path: "f", first_line: 1, commit: None });
        write(&file, &found).unwrap();
        assert!(read(&file).unwrap().contains(&found[0].fingerprint));
        fs::write(&file, "{\"version\": 2, \"findings\": []}").unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("version 2"));
        fs::write(&file, "[]").unwrap();
        assert!(read(&file).is_err());
        assert!(read(&directory.path().join("missing")).is_err());
    }
}
