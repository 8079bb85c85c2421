//! Environments of keys, and the mode each implies.

use serde::{Deserialize, Serialize};

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Environment {
    /// Local development.
    Development = 0,
    /// Pre-production validation.
    Staging = 1,
    /// Live applications.
    Production = 2,
    /// Automated testing and deployment.
    Ci = 3,
}

impl Environment {
    /// All environments.
    pub const ALL: [Self; 4] = [Self::Development, Self::Staging, Self::Production, Self::Ci];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
            Self::Ci => "ci",
        }
    }

    /// Reads the name on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|environment| environment.as_str() == text)
    }

    /// The environment with this number, as stores keep it.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// `live` for production, `test` for everything else.
    pub const fn mode(self) -> Mode {
        match self {
            Self::Production => Mode::Live,
            Self::Development | Self::Staging | Self::Ci => Mode::Test,
        }
    }
}

/// Which resources a key opens: it is part of the secret's prefix and enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Mode {
    /// Resources of the test modes.
    Test = 0,
    /// Live resources.
    Live = 1,
}

impl Mode {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    /// Reads the name on the wire.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Test, Self::Live].into_iter().find(|mode| mode.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_environment_has_its_name_and_mode() {
        let table = [
            ("development", Environment::Development, Mode::Test),
            ("staging", Environment::Staging, Mode::Test),
            ("production", Environment::Production, Mode::Live),
            ("ci", Environment::Ci, Mode::Test),
        ];
        for (number, (name, environment, mode)) in (0_u8..).zip(table) {
            assert_eq!(Environment::parse(name), Some(environment));
            assert_eq!((environment.as_str(), environment.mode()), (name, mode));
            assert_eq!(Environment::from_u8(number), Some(environment));
            assert_eq!(Mode::parse(mode.as_str()), Some(mode));
        }
        assert_eq!(table.map(|(_, environment, _)| environment), Environment::ALL);
        assert_eq!(
            (Environment::from_u8(4), Environment::parse("prod"), Mode::parse("Live")),
            (None, None, None)
        );
    }
}
