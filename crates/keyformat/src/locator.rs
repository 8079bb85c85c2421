use std::fmt;
use std::str::FromStr;

use crate::LOCATOR_LENGTH;
use crate::checksum::is_base62;

/// The public part of a secret, by which its record is found: 12 base62 characters.
///
/// It may be shown, logged and stored in the clear.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locator([u8; LOCATOR_LENGTH]);

impl Locator {
    /// Reads a locator that stands alone, as in a database row, a log line or a query parameter.
    ///
    /// # Errors
    ///
    /// [`InvalidLocator`] unless it is exactly 12 letters and digits.
    pub fn parse(text: impl AsRef<[u8]>) -> Result<Self, InvalidLocator> {
        let bytes = <[u8; LOCATOR_LENGTH]>::try_from(text.as_ref()).map_err(|_| InvalidLocator)?;
        if bytes.iter().all(|byte| is_base62(*byte)) { Ok(Self(bytes)) } else { Err(InvalidLocator) }
    }

    /// The characters.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; LOCATOR_LENGTH] {
        &self.0
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("a locator is ASCII")
    }

    /// Takes characters already known to be base62.
    #[inline]
    pub(crate) const fn from_base62(bytes: [u8; LOCATOR_LENGTH]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl fmt::Debug for Locator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Locator({})", self.as_str())
    }
}

impl FromStr for Locator {
    type Err = InvalidLocator;

    fn from_str(text: &str) -> Result<Self, InvalidLocator> {
        Self::parse(text)
    }
}

/// The text is not 12 letters and digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidLocator;

impl fmt::Display for InvalidLocator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a locator is exactly {LOCATOR_LENGTH} letters and digits")
    }
}

impl std::error::Error for InvalidLocator {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_twelve_base62_characters() {
        assert_eq!(Locator::parse("aB3dE6gH9kLm").unwrap().to_string(), "aB3dE6gH9kLm");
        assert_eq!(Locator::parse("aB3dE6gH9kL"), Err(InvalidLocator));
        assert_eq!(Locator::parse("aB3dE6gH9kLmn"), Err(InvalidLocator));
        assert_eq!(Locator::parse("aB3dE6gH9k_m"), Err(InvalidLocator));
        assert_eq!(Locator::parse("aB3dE6gH9ké"), Err(InvalidLocator));
    }

    #[test]
    fn shows_itself() {
        let locator: Locator = "aB3dE6gH9kLm".parse().unwrap();
        assert_eq!(format!("{locator:?}"), "Locator(aB3dE6gH9kLm)");
        assert_eq!(format!("{locator:>14}"), "  aB3dE6gH9kLm");
    }
}
