use std::borrow::Cow;
use std::fmt;

use crate::IssuerTag;

/// Why a text is not a key. Never holds a piece of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// Nothing, or nothing but white space.
    Empty,
    /// Quotes at the beginning or the end, typographic ones included.
    Quoted,
    /// White space or a line break at the beginning or the end.
    SurroundingSpace,
    /// White space or a line break within.
    InnerSpace,
    /// `Bearer ` or a whole header where the key alone belongs.
    BearerPrefixInside,
    /// A character that is not ASCII, perhaps an invisible one.
    NonAscii,
    /// The name of a variable instead of its value (`$API_KEY`, `{{ api_key }}`), or what programs print for an unset
    /// one (`undefined`, `null`).
    UnexpandedVariable,
    /// An example from a document: `your_api_key_here`, `sk_live_abc123`.
    Placeholder,
    /// A key in a masked form, with `…`, `***` or the like.
    Masked,
    /// Prefix and locator without the rest.
    LocatorOnly,
    /// A credential of this other vendor.
    OtherVendor(&'static str),
    /// Does not begin with `sk_live_`, `sk_test_` or `ok_`.
    UnknownPrefix,
    /// A well-formed key of another installation.
    WrongIssuer {
        /// The issuer tag that keys of this installation have.
        expected: Option<IssuerTag>,
    },
    /// A well-formed key with something before or after it.
    ExtraText,
    /// Too short.
    Truncated {
        /// Characters of a whole key with this beginning.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// Too long.
    TooLong {
        /// Characters of a whole key with this beginning.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// Something other than a letter or digit after the prefix.
    InvalidCharacter {
        /// Byte index of the first such character.
        position: usize,
    },
    /// The shape is right, the checksum is not.
    WrongChecksum,
}

impl Malformed {
    /// A stable name for machines, in `snake_case`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Quoted => "quoted",
            Self::SurroundingSpace => "surrounding_space",
            Self::InnerSpace => "inner_space",
            Self::BearerPrefixInside => "bearer_prefix_inside",
            Self::NonAscii => "non_ascii",
            Self::UnexpandedVariable => "unexpanded_variable",
            Self::Placeholder => "placeholder",
            Self::Masked => "masked",
            Self::LocatorOnly => "locator_only",
            Self::OtherVendor(_) => "other_vendor",
            Self::UnknownPrefix => "unknown_prefix",
            Self::WrongIssuer { .. } => "wrong_issuer",
            Self::ExtraText => "extra_text",
            Self::Truncated { .. } => "truncated",
            Self::TooLong { .. } => "too_long",
            Self::InvalidCharacter { .. } => "invalid_character",
            Self::WrongChecksum => "wrong_checksum",
        }
    }

    /// What to do about it, in a sentence or two for the person who holds the key.
    pub fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Empty => "The key is empty. Check that the variable or setting that should hold it is set.",
            Self::Quoted => {
                "The key has quotes around it. Remove them; they were probably copied from a file."
            }
            Self::SurroundingSpace => {
                "There is white space or a line break before or after the key. Remove it, for instance with trim()."
            }
            Self::InnerSpace => {
                "There is white space or a line break inside the key. Copy the key again, in one piece."
            }
            Self::BearerPrefixInside => {
                "The key itself begins with \"Bearer\" or a header name. Send the word Bearer once, and store the key alone."
            }
            Self::NonAscii => {
                "There is a character in the key that is not ASCII, perhaps an invisible one or a typographic quote. \
                 Copy the key again as plain text."
            }
            Self::UnexpandedVariable => {
                "This is the name of a variable, or what is printed for an unset one, not a key. Check that the \
                 variable is set and that it is expanded where it is used."
            }
            Self::Placeholder => "This is a placeholder from an example. Put your own key in its place.",
            Self::Masked => {
                "This is the masked form of a key, as lists and logs show it. The whole key was shown once, when it \
                 was created; if it is lost, rotate the key."
            }
            Self::LocatorOnly => {
                "This is only the public beginning of a key. The whole key was shown once, when it was created; if it \
                 is lost, rotate the key."
            }
            Self::OtherVendor(_)
            | Self::WrongIssuer { .. }
            | Self::Truncated { .. }
            | Self::TooLong { .. } => {
                return self.detailed_hint();
            }
            Self::UnknownPrefix => {
                "A key begins with sk_live_, sk_test_ or ok_, in lower case and with underscores. Check that this is \
                 the right variable."
            }
            Self::ExtraText => {
                "There is something before or after the key, for instance a variable name, a comma or a second key. \
                 Use the key alone."
            }
            Self::InvalidCharacter { position } => {
                return format!(
                    "After its prefix a key has only letters and digits; the character at position {position} \
                     (counted from 0) is neither. Copy the key again."
                )
                .into();
            }
            Self::WrongChecksum => {
                "The key has the right shape but not the right checksum: a character was changed, or it is another \
                 vendor's key with the same prefix. Copy the key again."
            }
        })
    }

    fn detailed_hint(&self) -> Cow<'static, str> {
        match self {
            Self::OtherVendor(vendor) => format!(
                "This looks like a credential of another kind ({vendor}). Check that the right variable is used, and \
                 treat that credential as exposed if it was sent to a stranger."
            ),
            Self::WrongIssuer { expected: Some(tag) } => format!(
                "This is a well-formed key of another installation. Keys of this one have the tag {tag}, as in \
                 sk_live_{tag}_…. Check the address or the key."
            ),
            Self::Truncated { expected, found } => format!(
                "The key is cut off, or it is another vendor's with the same prefix: {expected} characters expected, \
                 {found} found. Copy the whole key."
            ),
            Self::TooLong { expected, found } => format!(
                "The key is too long, or it is another vendor's with the same prefix: {expected} characters expected, \
                 {found} found. Check that nothing was pasted twice."
            ),
            _ => "This is a well-formed key of another installation: keys of this one have no tag between the prefix \
                  and the rest. Check the address or the key."
                .to_owned(),
        }
        .into()
    }
}

/// The [hint](Malformed::hint).
impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.hint())
    }
}

impl std::error::Error for Malformed {}
