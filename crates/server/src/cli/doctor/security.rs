//! Sinks of the security event log.

use std::path::Path;

use rustix::fs::{Access, access};

use super::{Finding, State, checks};
use crate::{
    config::security::{Destination, SinkSettings},
    security::Cursor,
};

const NAME: &str = "security log";

/// Whether the sink can be written, and how far it is in the audit trail.
pub(super) fn sink(settings: &SinkSettings, data_dir: &Path) -> Finding {
    let name = &settings.name.0;
    match &settings.destination {
        Destination::File { path } => {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let directory = directory.unwrap_or(Path::new("."));
            if let Err(error) = access(directory, Access::WRITE_OK | Access::EXEC_OK) {
                let text = format!("sink {name}: {} cannot be written: {error}", directory.display());
                let fix = format!(
                    "Create it, and give it to the user that Keywright runs as: {}",
                    directory.display()
                );
                return Finding::fail(NAME, text, fix);
            }
        }
        Destination::Webhook { secret_file: Some(file), .. } => {
            let finding = checks::private_file(file, NAME, checks::Missing::IsBad);
            if finding.state != State::Ok {
                return finding;
            }
        }
        Destination::Webhook { .. } | Destination::Stdout | Destination::Syslog { .. } => {}
    }
    match Cursor::of(data_dir, name).read() {
        Ok(Some(position)) => {
            Finding::ok(NAME, format!("sink {name}: audit entry {} was delivered", position.sequence))
        }
        Ok(None) => {
            let fix = "Start the server with this configuration; its log says why when a sink takes nothing.";
            Finding::warn(NAME, format!("sink {name}: nothing was delivered yet"), fix)
        }
        Err(error) => {
            let fix = "Look at the file; without it the sink begins as a new one.";
            Finding::fail(NAME, format!("sink {name}: {error}"), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::security::SecuritySettings;

    #[test]
    fn a_sink_that_works_one_that_is_new_and_one_that_cannot() {
        let directory = tempfile::tempdir().unwrap();
        let settings = |path: &Path| {
            let text = format!("[[sinks]]\nname = \"a\"\ntype = \"file\"\npath = \"{}\"\n", path.display());
            toml::from_str::<SecuritySettings>(&text).unwrap().sinks.remove(0)
        };
        let good = settings(&directory.path().join("security.log"));
        assert_eq!(sink(&good, directory.path()).state, State::Warn);
        let cursor = Cursor::of(directory.path(), "a");
        cursor.write(crate::security::Position { sequence: 7, hash: [0; 32] }).unwrap();
        let finding = sink(&good, directory.path());
        assert!(finding.state == State::Ok && finding.found.contains("entry 7"), "{finding:?}");
        let bad = settings(&directory.path().join("none/security.log"));
        assert_eq!(sink(&bad, directory.path()).state, State::Fail);
    }
}
