//! SARIF 2.1.0 (OASIS), as code scanners read it.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::finding::{Finding, Rule, Severity};

/// What is escaped in a relative URI.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'^')
    .add(b'[')
    .add(b']')
    .add(b'|')
    .add(b'\\');

/// The whole document.
pub(super) fn document(findings: &[Finding]) -> Value {
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "keywright",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": "https://github.com/keywright/keywright",
                "rules": Rule::ALL.map(rule),
            }},
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn rule(rule: Rule) -> Value {
    json!({
        "id": format!("keywright/{}", rule.id()),
        "name": match rule {
            Rule::Key => "ApiKey",
            Rule::Suspect => "SuspectedApiKey",
            Rule::OtherVendor => "OtherVendorCredential",
            Rule::Placeholder => "KeyPlaceholder",
        },
        "shortDescription": {"text": rule.describe()},
        "help": {"text": "Revoke or rotate the key first, then take it out of the file; its history keeps it. A key belongs \
                  in a secret store or an environment variable."},
        "defaultConfiguration": {"level": level(rule.severity())},
        "properties": {"tags": ["security", "secret"], "security-severity": score(rule.severity())},
    })
}

fn result(finding: &Finding) -> Value {
    let rule_index = Rule::ALL.iter().position(|rule| *rule == finding.rule).expect("all rules are listed");
    let place = finding
        .commit
        .as_ref()
        .filter(|_| !finding.present)
        .map_or_else(String::new, |commit| format!(", in commit {}", commit.get(..12).unwrap_or(commit)));
    json!({
        "ruleId": format!("keywright/{}", finding.rule.id()),
        "ruleIndex": rule_index,
        "level": level(finding.severity),
        "message": {"text": format!("{}: {}{place}", finding.rule.describe(), finding.hint)},
        "locations": [{"physicalLocation": {
            "artifactLocation": artifact(&finding.path),
            "region": {
                "startLine": finding.line, "startColumn": finding.column, "endColumn": finding.end_column,
            },
        }}],
        "partialFingerprints": {"keywright/v1": finding.fingerprint},
        "properties": {
            "confirmed": finding.confirmed, "locator": finding.locator, "commit": finding.commit,
            "present": finding.present, "installation": finding.installation,
        },
    })
}

fn artifact(path: &str) -> Value {
    let uri = utf8_percent_encode(path, PATH).to_string();
    if path.starts_with('/') { json!({"uri": format!("file://{uri}")}) } else { json!({"uri": uri}) }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

const fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.8",
        Severity::High => "9.0",
        Severity::Medium => "5.0",
        Severity::Low => "2.0",
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::finding::{Place, findings},
        *,
    };

    #[test]
    fn the_required_properties_are_there() {
        let key = "sk_live_07ELSZgnu18FMTahov29GNUbipw3AHOVcjqx0t0MxH";
        let text = format!("{key}\nsk_live_abc123\n");
        let found = findings(
            text.as_bytes(),
            &Place { path: "a dir/ä#.py", first_line: 1, commit: Some("0123456789abcdef") },
        );
        let document = document(&found);
        assert_eq!(document["version"], "2.1.0");
        let run = &document["runs"][0];
        assert_eq!(run["tool"]["driver"]["name"], "keywright");
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        assert!(
            rules.iter().all(|rule| rule["id"].is_string() && rule["shortDescription"]["text"].is_string())
        );
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        for result in results {
            let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
            assert_eq!(rule["id"], result["ruleId"]);
            assert!(result["message"]["text"].as_str().unwrap().contains("in commit 0123456789ab"));
            assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
            let location = &result["locations"][0]["physicalLocation"];
            assert_eq!(location["artifactLocation"]["uri"], "a%20dir/%C3%A4%23.py");
            assert!(location["region"]["startLine"].as_u64().unwrap() >= 1);
            assert!(location["region"]["endColumn"].as_u64() > location["region"]["startColumn"].as_u64());
            assert_eq!(result["partialFingerprints"]["keywright/v1"].as_str().unwrap().len(), 32);
        }
        assert!(!document.to_string().contains("MTahov"));
        assert_eq!(artifact("/a b")["uri"], "file:///a%20b");
    }
}
