use crate::caps;

/// The text is not an e-mail address that somebody can sign in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an e-mail address: it has one '@' with something on both sides, no spaces, and at most {} characters",
    caps::EMAIL_MAX_CHARS
)]
pub struct InvalidEmail;

/// The address that a person signs in with, in lower case: two people never differ in case alone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Checks the form of `text`; spaces around it are cut off.
    ///
    /// # Errors
    /// [`InvalidEmail`].
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim().to_lowercase();
        let (local, host) = text.split_once('@').ok_or(InvalidEmail)?;
        let is_plain = |part: &str| {
            !part.is_empty()
                && !part.contains(|letter: char| {
                    letter.is_whitespace()
                        || letter.is_control()
                        || matches!(letter, '@' | '<' | '>' | '"' | ',' | ';')
                })
        };
        if is_plain(local) && is_plain(host) && text.chars().count() <= caps::EMAIL_MAX_CHARS {
            Ok(Self(text))
        } else {
            Err(InvalidEmail)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, host)| host)
    }
}

/// Says nothing: an address is personal data.
impl core::fmt::Debug for EmailAddress {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("EmailAddress(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_folded_and_have_a_form_and_a_limit() {
        assert_eq!(EmailAddress::parse(" Ada@Example.COM ").unwrap().as_str(), "ada@example.com");
        assert_eq!(EmailAddress::parse("ada@example.com").unwrap().domain(), "example.com");
        let longest = format!("{}@x.example", "a".repeat(caps::EMAIL_MAX_CHARS - 10));
        assert_eq!(longest.chars().count(), caps::EMAIL_MAX_CHARS);
        assert!(EmailAddress::parse(&longest).is_ok());
        for bad in [
            "",
            "ada",
            "@x",
            "a@",
            "a@b@c",
            "a b@c",
            "a@b\r\nBcc: x",
            "a,b@c",
            "<a@b>",
            &format!("a{longest}"),
        ] {
            assert_eq!(EmailAddress::parse(bad), Err(InvalidEmail), "{bad}");
        }
        assert!(!format!("{:?}", EmailAddress::parse("ada@x").unwrap()).contains("ada"));
    }
}
