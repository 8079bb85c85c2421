//! Identifiers: a type prefix and 26 characters of Crockford base 32, sortable by creation time.
//!
//! The 128 bits are 48 bits of Unix milliseconds and 80 random bits, as in [ULID](https://github.com/ulid/spec);
//! the text is in lower case.

use crate::{
    entropy::{Entropy, random_bytes},
    time::Timestamp,
};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TEXT_LENGTH: usize = 26;

/// The text is not an identifier of the expected type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of the form {prefix}…")]
pub struct InvalidId {
    /// The prefix the identifier should have had.
    pub prefix: &'static str,
}

/// Writes the 26 characters of `bytes`.
fn encode(bytes: [u8; 16], text: &mut String) {
    let value = u128::from_be_bytes(bytes);
    for position in (0..TEXT_LENGTH).rev() {
        let digit = (value >> (position * 5)) & 31;
        text.push(char::from(ALPHABET[usize::try_from(digit).expect("five bits")]));
    }
}

fn decode(text: &str) -> Option<[u8; 16]> {
    if text.len() != TEXT_LENGTH || text.as_bytes()[0] > b'7' {
        return None;
    }
    let mut value = 0_u128;
    for byte in text.bytes() {
        let digit = ALPHABET.iter().position(|letter| *letter == byte)?;
        value = value << 5 | u128::try_from(digit).expect("a digit of base 32");
    }
    Some(value.to_be_bytes())
}

fn fresh(now: Timestamp, entropy: &dyn Entropy) -> [u8; 16] {
    let mut bytes = [0; 16];
    let milliseconds = u64::try_from(now.unix_ms()).unwrap_or(0);
    bytes[..6].copy_from_slice(&milliseconds.to_be_bytes()[2..]);
    bytes[6..].copy_from_slice(&random_bytes::<10>(entropy));
    bytes
}

macro_rules! define_ids {
    ($($(#[$docs:meta])* $name:ident = $prefix:literal;)+) => {$(
        $(#[$docs])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// What the text of such an identifier begins with.
            pub const PREFIX: &'static str = $prefix;

            /// A new identifier, created at `now`.
            pub fn generate(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(fresh(now, entropy))
            }

            /// The identifier with these bits.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bits of the identifier.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0
            }

            /// Appends the text of the identifier to `text`.
            pub fn push_text(self, text: &mut String) {
                text.push_str($prefix);
                encode(self.0, text);
            }

            /// Reads the text of an identifier.
            ///
            /// # Errors
            /// [`InvalidId`] when the prefix or the form is another one.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix).and_then(decode).map(Self).ok_or(InvalidId { prefix: $prefix })
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let mut text = String::with_capacity($prefix.len() + TEXT_LENGTH);
                self.push_text(&mut text);
                formatter.write_str(&text)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, formatter)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

define_ids! {
    /// Identifies an API key.
    KeyId = "key_";
    /// Identifies a secret of a key.
    SecretId = "sec_";
    /// Identifies a workspace.
    WorkspaceId = "ws_";
    /// Identifies a user.
    UserId = "usr_";
    /// Identifies a service account.
    ServiceAccountId = "sa_";
    /// Identifies an operator credential.
    OperatorId = "opr_";
    /// Identifies a request.
    RequestId = "req_";
    /// Identifies an incident.
    IncidentId = "inc_";
    /// Identifies an entry of the audit trail.
    AuditId = "aud_";
    /// Identifies a session of a signed-in user.
    SessionId = "ses_";
    /// Identifies an invitation.
    InvitationId = "inv_";
    /// Identifies a change that other nodes may not go by yet.
    OperationId = "op_";
    /// Identifies a credit account.
    CreditAccountId = "crd_";
    /// Identifies a reservation of credits.
    ReservationId = "rsv_";
    /// Identifies a prompt.
    PromptId = "pmt_";
    /// Identifies a context item of a prompt.
    ContextId = "ctx_";
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl Entropy for Fixed {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0xab);
        }
    }

    #[test]
    fn text_round_trip_and_order() {
        let early = KeyId::generate(Timestamp::from_unix_ms(1_000), &Fixed);
        let late = KeyId::generate(Timestamp::from_unix_ms(1_700_000_000_000), &Fixed);
        assert_eq!(early.to_string(), "key_00000000z8nentqaxbnentqaxb");
        assert_eq!(KeyId::parse(&late.to_string()), Ok(late));
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn refuses_other_texts() {
        let refused = Err(InvalidId { prefix: "key_" });
        for text in [
            "",
            "key_",
            "ws_00000000z8nenanenanenanena",
            "key_00000000z8nenanenanenanen",
            "key_80000000z8nenanenanenanena",
            "key_0000000uz8nenanenanenanena",
            "key_00000000Z8nenanenanenanena",
        ] {
            assert_eq!(KeyId::parse(text), refused, "{text}");
        }
    }
}
