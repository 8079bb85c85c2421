//! `keywright doctor`: is everything as it should be?

mod certificate;
mod checks;
mod mail;
mod security;

use std::path::{Path, PathBuf};

use clap::Args;
use keywright_domain::time::Clock as _;
use serde::Serialize;
use serde_json::json;

use self::checks::Missing;
use super::console::Console;
use crate::{
    config::{Config, Database, value::DatabaseAddress},
    failure::{Exit, Failure},
    system::SystemClock,
};

/// Most bytes of a health answer.
const HEALTH_MAX_BYTES: u64 = 65_536;

/// Look whether an installation is as it should be
///
/// Looks at the data directory (permissions, lock, free space), the database (damage, schema), the end of the audit trail,
/// the peppers and the signing key, the clock, usage that waits to be written, certificates, the mail server, sinks of security
/// events, and a running server. Changes nothing, and may be run beside a server. Each line says ok, warn or fail, and what to
/// do.
///
/// Exit code 0 when nothing failed, 1 when something did.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keywright doctor --data /var/lib/keywright
  keywright doctor --config /etc/keywright.toml --json
  keywright doctor --database postgres://keywright@db/keywright
  keywright doctor --url https://keys.example.com")]
pub(crate) struct Doctor {
    /// Data directory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file; names the data directory, peppers and certificates
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A PostgreSQL database that several nodes share, instead of `database.url` in the configuration
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Address of a running server
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warn,
    Fail,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    state: State,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), fix: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Warn, found: found.into(), fix: Some(fix.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, state: State::Fail, found: found.into(), fix: Some(fix.into()) }
    }
}

impl Doctor {
    /// Does what the arguments say.
    pub(crate) fn run(self, mut console: Console) -> Result<(), Failure> {
        if self.data.is_none() && self.config.is_none() && self.url.is_none() && self.database.is_none() {
            return Err(Failure::new(Exit::Arguments, "nothing to look at was named")
                .remedy("Name --data DIR, --config FILE, --database URL or --url URL, or several of them."));
        }
        let findings = self.examine();
        if self.json {
            console.answer_json(&json!({"findings": findings}))?;
        } else {
            for finding in &findings {
                let state = match finding.state {
                    State::Ok => "ok  ",
                    State::Warn => "warn",
                    State::Fail => "FAIL",
                };
                console.answer(&format!("{state}  {:12}  {}", finding.check, finding.found))?;
                if let Some(fix) = &finding.fix {
                    console.answer(&format!("{:20}fix: {fix}", ""))?;
                }
            }
        }
        console.finish()?;
        let failed = findings.iter().filter(|finding| finding.state == State::Fail).count();
        if failed == 0 {
            return Ok(());
        }
        Err(Failure::new(Exit::Negative, format!("{failed} of {} checks failed", findings.len())))
    }

    fn examine(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let config = self.config.as_ref().and_then(|file| match Config::load(file) {
            Ok(config) => {
                findings.push(Finding::ok("config", file.display().to_string()));
                Some(config)
            }
            Err(failure) => {
                let text = failure.to_string();
                findings.push(Finding::fail("config", text, "Correct it: keywright config check"));
                None
            }
        });
        let shared = match &self.database {
            Some(url) => Some(DatabaseAddress::try_from(url.clone()).map(Database::at)),
            None => config.as_ref().and_then(|config| config.database.clone()).map(Ok),
        };
        findings.extend(shared.as_ref().map(checks::shared_database));
        let data = self.data.clone().or_else(|| config.as_ref().map(|config| config.data_dir.clone()));
        if let Some(directory) = data {
            let peppers_elsewhere = config.as_ref().is_some_and(|config| !config.peppers.is_empty());
            let kind = if shared.is_some() { Holds::Node } else { Holds::Installation };
            findings.extend(examine_directory(&directory, peppers_elsewhere, kind));
            if config.as_ref().is_none_or(|config| config.encryption_keys.is_empty()) && directory.is_dir() {
                let path = directory.join("encryption-keys.toml");
                findings.push(checks::private_file(&path, "key-encryption keys", Missing::IsBad));
            }
        }
        if let Some(tls) = config.as_ref().and_then(|config| config.tls.as_ref()) {
            findings.push(checks::tls(&tls.certificate, SystemClock.now()));
            findings.push(checks::private_file(&tls.key, "tls key", Missing::IsBad));
        }
        findings.extend(config.as_ref().and_then(|config| config.mail.as_ref()).map(mail::server));
        if let Some(config) = &config {
            let sinks = &config.security_events.sinks;
            findings.extend(sinks.iter().map(|sink| security::sink(sink, &config.data_dir)));
        }
        findings.extend(self.url.as_ref().map(|url| examine_server(url)));
        findings
    }
}

/// What a data directory is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// The database, too.
    Installation,
    /// Only what belongs to one node.
    Node,
}

fn examine_directory(path: &Path, peppers_elsewhere: bool, kind: Holds) -> Vec<Finding> {
    let mut findings = vec![checks::directory(path)];
    if !path.is_dir() {
        return findings;
    }
    if kind == Holds::Installation {
        findings.push(checks::lock(path));
    }
    findings.push(checks::free_space(path));
    let now = SystemClock.now();
    if kind == Holds::Node {
        findings.push(checks::clock(now, None));
    } else if checks::has_database(path) {
        let (finding, opened) = checks::database(path);
        findings.push(finding);
        match opened {
            Some(opened) => findings.extend(checks::audit(&opened, now)),
            None => findings.push(checks::clock(now, None)),
        }
    } else {
        let fix = format!("Set the installation up: keywright init --data {}", path.display());
        findings.push(Finding::fail("database", "there is none", fix));
    }
    if !peppers_elsewhere {
        findings.push(checks::private_file(&path.join("peppers.toml"), "peppers", Missing::IsBad));
    }
    findings.push(checks::private_file(&path.join("audit-signing-key"), "signing key", Missing::IsFine));
    findings.push(checks::spool(&path.join("spool")));
    findings
}

fn examine_server(url: &str) -> Finding {
    let name = "server";
    let fix = "Look whether it runs and listens there, and into its log.";
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(std::time::Duration::from_secs(10)))
        .build()
        .new_agent();
    let address = format!("{}/readyz", url.trim_end_matches('/'));
    match agent.get(&address).call() {
        Err(error) => Finding::fail(name, format!("{address}: {error}"), fix),
        Ok(mut answer) => {
            let status = answer.status();
            let body =
                answer.body_mut().with_config().limit(HEALTH_MAX_BYTES).read_to_string().unwrap_or_default();
            let body = super::console::printable(body.trim());
            let degraded = degraded(&body);
            if status.is_success() && !degraded.is_empty() {
                Finding::warn(name, format!("{address}: ready, but {degraded}"), "Look into its log for why.")
            } else if status.is_success() {
                Finding::ok(name, format!("{address}: ready"))
            } else {
                Finding::fail(name, format!("{address}: not ready (HTTP {}): {body}", status.as_u16()), fix)
            }
        }
    }
}

/// What does not work, as a health answer tells it.
fn degraded(body: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let reasons = answer["degraded"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
    reasons.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use keywright_domain::time::Timestamp;
    use keywright_store_sqlite::{Options, SqliteStore};

    use super::{
        super::{
            console::{Dialogue, captured::console},
            fake_server::FakeServer,
        },
        *,
    };

    fn state(findings: &[Finding], check: &str) -> Option<State> {
        findings.iter().find(|finding| finding.check == check).map(|finding| finding.state)
    }

    #[test]
    fn a_sound_directory_and_its_defects() {
        let parent = tempfile::tempdir().unwrap();
        let data = parent.path().join("data");
        let store = SqliteStore::open(&data, &Options::default(), keywright_testkit::vault()).unwrap();
        let peppers = data.join("peppers.toml");
        fs::write(&peppers, "x").unwrap();
        fs::set_permissions(&peppers, fs::Permissions::from_mode(0o600)).unwrap();
        let findings = examine_directory(&data, false, Holds::Installation);
        assert!(findings.iter().all(|finding| finding.state != State::Fail), "{findings:#?}");
        assert!(findings.iter().any(|finding| finding.check == "lock" && finding.found.contains("in use")));
        drop(store);
        assert!(checks::lock(&data).found.contains("free"));

        fs::set_permissions(&peppers, fs::Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).unwrap();
        fs::write(data.join("keywright.db"), "this is no database, whatever its name says").unwrap();
        let findings = examine_directory(&data, false, Holds::Installation);
        for check in ["directory", "database", "peppers"] {
            assert_eq!(state(&findings, check), Some(State::Fail), "{check}");
        }
        assert!(findings.iter().all(|finding| (finding.state == State::Ok) == finding.fix.is_none()));
        fs::remove_file(&peppers).unwrap();
        assert_eq!(
            state(&examine_directory(&data, false, Holds::Installation), "peppers"),
            Some(State::Fail)
        );
        assert_eq!(state(&examine_directory(&data, true, Holds::Installation), "peppers"), None);
        assert_eq!(
            state(&examine_directory(&parent.path().join("none"), false, Holds::Installation), "directory"),
            Some(State::Fail)
        );
    }

    #[test]
    fn a_clock_that_went_back() {
        let now = SystemClock.now();
        assert_eq!(checks::clock(now, Some(now.plus_ms(60_000))).state, State::Ok);
        assert_eq!(checks::clock(now, Some(now.plus_ms(60_001))).state, State::Fail);
        assert_eq!(checks::clock(Timestamp::from_unix_ms(0), None).state, State::Fail);
    }

    #[test]
    fn a_server_that_is_ready_and_one_that_is_not() {
        let limping = (200, "{\"degraded\": [\"letters wait\"]}".to_owned());
        let server = FakeServer::start(vec![(200, "{}".to_owned()), limping, (503, "no store".to_owned())]);
        assert_eq!(examine_server(server.url()).state, State::Ok);
        let finding = examine_server(server.url());
        assert!(finding.state == State::Warn && finding.found.contains("letters wait"));
        let finding = examine_server(server.url());
        assert!(finding.state == State::Fail && finding.found.contains("no store"));
        let (console, out, _) = console(b"", Dialogue::Impossible);
        let doctor = Doctor {
            data: None,
            config: None,
            database: None,
            url: Some(server.url().to_owned()),
            json: true,
        };
        assert_eq!(doctor.run(console).unwrap_err().exit(), Exit::Negative);
        assert!(out.text().contains("\"fail\""));
    }
}
