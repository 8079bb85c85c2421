//! Package names, by which clients ask for a prompt: `@workspace/slug:version`.

use super::PromptSlug;

/// Why a text is not a package name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "is of the form @workspace/prompt:version, where the version is v0 (the draft), v1, v2, … or latest, and may be left out"
)]
pub struct InvalidPackageName;

/// Which version of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VersionRef {
    /// `v0`.
    Draft,
    /// `v1`, `v2`, …
    Number(u32),
    /// The newest that is published; what no version means, too.
    Latest,
}

impl VersionRef {
    /// Reads `v0`, `v7` or `latest`.
    ///
    /// # Errors
    /// [`InvalidPackageName`].
    pub fn parse(text: &str) -> Result<Self, InvalidPackageName> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        let digits = text.strip_prefix('v').ok_or(InvalidPackageName)?;
        let is_plain = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        match digits.parse::<u32>() {
            Ok(0) if is_plain => Ok(Self::Draft),
            Ok(number) if is_plain => Ok(Self::Number(number)),
            _ => Err(InvalidPackageName),
        }
    }
}

/// A package name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageName {
    /// The workspace's slug, or what was given for one.
    pub namespace: String,
    /// The prompt.
    pub slug: PromptSlug,
    /// Which version.
    pub version: VersionRef,
}

impl PackageName {
    /// Reads a package name.
    ///
    /// # Errors
    /// [`InvalidPackageName`], also for white space around it: the shipped client lets a line break pass.
    pub fn parse(text: &str) -> Result<Self, InvalidPackageName> {
        let (namespace, rest) =
            text.strip_prefix('@').and_then(|text| text.split_once('/')).ok_or(InvalidPackageName)?;
        // A namespace has the letters of a slug; whether there is such a workspace is another question.
        let namespace = PromptSlug::parse(namespace).map_err(|_| InvalidPackageName)?;
        let (slug, version) = match rest.split_once(':') {
            Some((slug, version)) => (slug, VersionRef::parse(version)?),
            None => (rest, VersionRef::Latest),
        };
        let slug = PromptSlug::parse(slug).map_err(|_| InvalidPackageName)?;
        Ok(Self { namespace: namespace.into(), slug, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed() {
        for (text, version) in [
            ("@acme/qa-bot", VersionRef::Latest),
            ("@acme/qa-bot:latest", VersionRef::Latest),
            ("@acme/qa-bot:v0", VersionRef::Draft),
            ("@acme/qa-bot:v12", VersionRef::Number(12)),
        ] {
            let name = PackageName::parse(text).unwrap();
            assert_eq!(
                (name.namespace.as_str(), name.slug.as_str(), name.version),
                ("acme", "qa-bot", version)
            );
        }
    }

    #[test]
    fn malformed() {
        for text in [
            "",
            "acme/qa-bot",
            "@acme",
            "@/qa",
            "@acme/",
            "@acme/qa:",
            "@acme/qa:1",
            "@acme/qa:v",
            "@acme/qa:v01",
            "@acme/qa:v-1",
            "@acme/qa:v+1",
            "@acme/qa:v1:v2",
            "@acme/qa:../../x",
            "@acme/qa:v1\n",
            "@acme/qa\n",
            " @acme/qa",
            "@acme/q/a",
            "@acme/qä",
            "@acme/qa:v4294967296",
            "@acme/qa:Latest",
        ] {
            assert_eq!(PackageName::parse(text), Err(InvalidPackageName), "{text:?}");
        }
    }
}
