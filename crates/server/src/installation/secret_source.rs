//! Secrets that the configuration names: in a file of their own, or in the environment.

use std::path::Path;

use zeroize::Zeroizing;

use super::read_private;
use crate::failure::{Exit, Failure};

/// The secret in `file`, or else in the variable `env`; a line break at its end does not belong to it. `what` names it in
/// messages. `None` when neither is named.
///
/// # Errors
/// When the file is missing or readable for others, when the variable is not set, when there is nothing in it.
pub(crate) fn read_secret(
    file: Option<&Path>,
    env: Option<&str>,
    what: &str,
) -> Result<Option<Zeroizing<String>>, Failure> {
    let (text, place) = match (file, env) {
        (Some(path), _) => {
            let text = read_private(path, what)?.ok_or_else(|| {
                Failure::new(
                    Exit::NoInput,
                    format!("there is no file {}, which is to hold {what}", path.display()),
                )
            })?;
            (text, path.display().to_string())
        }
        (None, Some(name)) => (from_environment(name, what)?, format!("the variable {name}")),
        (None, None) => return Ok(None),
    };
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::new(Exit::Config, format!("{place}, which is to hold {what}, is empty")));
    }
    Ok(Some(Zeroizing::new(secret.to_owned())))
}

/// What the variable `name` holds, which is `what`.
#[expect(clippy::disallowed_methods, reason = "the configuration names the variable")]
pub(super) fn from_environment(name: &str, what: &str) -> Result<Zeroizing<String>, Failure> {
    std::env::var(name).map(Zeroizing::new).map_err(|_| {
        Failure::new(Exit::Config, format!("the variable {name}, which is to hold {what}, is not set"))
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_secret_in_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        let read = || read_secret(Some(&path), None, "a password").map_err(|failure| failure.to_string());
        assert!(read().unwrap_err().contains("there is no file"));
        fs::write(&path, "hunter2\r\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read().unwrap_err().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read().unwrap().unwrap().as_str(), "hunter2");
        fs::write(&path, "\n").unwrap();
        assert!(read().unwrap_err().contains("is empty"));
    }

    #[test]
    fn a_variable_that_is_not_set() {
        assert!(read_secret(None, None, "a password").unwrap().is_none());
        let error = read_secret(None, Some("NO_SUCH_VARIABLE_HERE"), "a password").unwrap_err().to_string();
        assert!(error.contains("NO_SUCH_VARIABLE_HERE") && error.contains("a password"), "{error}");
    }
}
