//! Rights over personal data: what a person may ask for, and what the installation does to keep its word.

use async_trait::async_trait;

use crate::{
    administration::Decided,
    audit::FieldChange,
    ids::UserId,
    key::{Effect, KeyNumber},
    permission::Role,
    permit::{Action, Permit},
    principal::{Membership, User},
    retention::Cutoffs,
    store::StoreError,
    time::Timestamp,
    workspace::Slug,
};

/// A person, as others name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// By id.
    Id(UserId),
    /// By the address that they sign in with, in upper or lower case.
    Email(String),
}

/// A change that concerns personal data.
#[derive(Clone, Debug)]
pub enum PrivacyCommand {
    /// Wrap data keys anew that are under older key-encryption keys, at most so many. Needs `Operate` on the installation.
    /// Not audited: nothing changes for anyone.
    Rewrap {
        /// How many at most.
        limit: u32,
    },
    /// Delete prompts that a person created and of which nobody else published a version, at most so many: the first steps of
    /// an erasure. Needs `Operate` on the installation, or to be the person.
    ErasePrompts {
        /// Who.
        user: UserId,
        /// How many at most.
        limit: u32,
    },
    /// Erase a person: their memberships end, so that their keys stop; their data key, and what it sealed of them, is
    /// destroyed. Ids stay, in the audit trail too, and name nobody any more. Needs
    /// `Operate` on the installation, or to be the person.
    Erase {
        /// Who.
        user: UserId,
    },
    /// Record that what is kept of a person was handed over. Needs `Operate` on the installation, or to be the person.
    RecordExport {
        /// Whose.
        user: UserId,
    },
    /// Keep addresses and user agents of what a person, and the keys that they created, do; or do not from now on. Needs
    /// `Operate` on the installation, or to be the person.
    SetCollection {
        /// Who.
        user: UserId,
        /// What they chose.
        collection: Collection,
    },
    /// Record that a person consents to something. Needs `Operate` on the installation, or to be the person.
    GiveConsent {
        /// Who.
        user: UserId,
        /// To what.
        consent: ConsentTo,
    },
    /// Record that a person does not consent any more. Needs `Operate` on the installation, or to be the person.
    WithdrawConsent {
        /// Who.
        user: UserId,
        /// To what.
        name: ConsentName,
    },
    /// Remove what was kept long enough, some of it. Needs `Operate` on the installation. Not audited: it follows from the
    /// settings, and repeats every day.
    Retain {
        /// What is older than this goes.
        cutoffs: Cutoffs,
        /// Keys up to this number are dealt with.
        after: KeyNumber,
    },
}

impl PrivacyCommand {
    /// Whether `permit` covers it: the operator's, or, for what people may do themselves, the person's own.
    pub fn is_permitted(&self, permit: &Permit) -> bool {
        let is_own = match self {
            Self::Erase { user }
            | Self::ErasePrompts { user, .. }
            | Self::RecordExport { user }
            | Self::SetCollection { user, .. }
            | Self::GiveConsent { user, .. }
            | Self::WithdrawConsent { user, .. } => permit.is_for_account(*user),
            Self::Rewrap { .. } | Self::Retain { .. } => false,
        };
        is_own || permit.covers(Action::Operate, None)
    }
}

/// Whether addresses and user agents of what a person does are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Collection {
    /// They are.
    #[default]
    Kept,
    /// The person opted out.
    OptedOut,
}

/// The name of something that people consent to, such as `terms` or `newsletter`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsentName(String);

/// A text that is no name of a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has 1 to {} of a-z, 0-9, '.', '_' and '-'", crate::caps::CONSENT_TEXT_MAX_BYTES)]
pub struct InvalidConsent;

impl ConsentName {
    /// The name with this text.
    ///
    /// # Errors
    /// [`InvalidConsent`].
    pub fn parse(text: &str) -> Result<Self, InvalidConsent> {
        is_plain(text).then(|| Self(text.to_owned())).ok_or(InvalidConsent)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names and versions of what is consented to are few and plain, so that nothing personal finds its way into them.
fn is_plain(text: &str) -> bool {
    (1..=crate::caps::CONSENT_TEXT_MAX_BYTES).contains(&text.len())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-')
        })
}

/// What a person consents to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentTo {
    /// The name.
    pub name: ConsentName,
    /// Which version of the text they saw, such as `2026-11`.
    pub version: ConsentName,
}

/// A consent on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Its number among the person's, from 1.
    pub number: u32,
    /// To what.
    pub to: ConsentTo,
    /// When.
    pub given_at: Timestamp,
    /// When it was withdrawn, or another version took its place.
    pub withdrawn_at: Option<Timestamp>,
}

impl Consent {
    /// What the audit trail says of it.
    pub fn recorded(&self) -> Vec<FieldChange> {
        let field = |name: &str, before: Option<&str>, after: Option<&str>| FieldChange {
            field: name.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
        };
        let (name, version) = (Some(self.to.name.as_str()), Some(self.to.version.as_str()));
        match self.withdrawn_at {
            None => vec![field("consent", None, name), field("version", None, version)],
            Some(_) => vec![field("consent", name, None), field("version", version, None)],
        }
    }
}

/// What becomes of a person's record of consents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentChange {
    /// The one that ends.
    pub ended: Option<Consent>,
    /// The one that begins.
    pub begun: Option<Consent>,
}

/// Gives consent: one to another version of the same ends. The same again changes nothing.
///
/// # Errors
/// [`PrivacyError::TooManyConsents`].
pub fn give_consent(
    known: &[Consent],
    to: &ConsentTo,
    now: Timestamp,
) -> Result<ConsentChange, PrivacyError> {
    let running = running(known, &to.name);
    if running.is_some_and(|consent| consent.to.version == to.version) {
        return Ok(ConsentChange { ended: None, begun: None });
    }
    if known.len() >= crate::caps::CONSENTS_MAX {
        return Err(PrivacyError::TooManyConsents);
    }
    let number = known.iter().map(|consent| consent.number).max().unwrap_or(0) + 1;
    let begun = Consent { number, to: to.clone(), given_at: now, withdrawn_at: None };
    Ok(ConsentChange { ended: running.map(|consent| ended(consent, now)), begun: Some(begun) })
}

/// Withdraws consent. What is not given is not there to be withdrawn.
///
/// # Errors
/// [`PrivacyError::NoConsent`].
pub fn withdraw_consent(
    known: &[Consent],
    name: &ConsentName,
    now: Timestamp,
) -> Result<ConsentChange, PrivacyError> {
    let running = running(known, name).ok_or(PrivacyError::NoConsent)?;
    Ok(ConsentChange { ended: Some(ended(running, now)), begun: None })
}

fn running<'a>(known: &'a [Consent], name: &ConsentName) -> Option<&'a Consent> {
    known.iter().find(|consent| consent.to.name == *name && consent.withdrawn_at.is_none())
}

fn ended(consent: &Consent, now: Timestamp) -> Consent {
    Consent { withdrawn_at: Some(now), ..consent.clone() }
}

/// Why a change that concerns personal data is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrivacyError {
    /// There is no such person, or they were erased before.
    #[error("there is no such user")]
    NotFound,
    /// The person who erases themselves is the last Owner of a workspace.
    #[error("you are the last Owner of {slug}: transfer its ownership or delete it first", slug = .0.as_str())]
    LastOwner(Slug),
    /// The record of consents is full.
    #[error("a person has at most {} consents on record", crate::caps::CONSENTS_MAX)]
    TooManyConsents,
    /// The person did not consent to this, or withdrew it.
    #[error("there is no such consent")]
    NoConsent,
}

/// Whoever erases themselves leaves no workspace without an Owner; the operator may. The workspace called `slug` has `owners`
/// Owners.
///
/// # Errors
/// [`PrivacyError::LastOwner`].
pub fn check_owners(
    permit: &Permit,
    membership: &Membership,
    slug: &Slug,
    owners: u64,
) -> Result<(), PrivacyError> {
    let is_last = membership.role == Role::Owner && owners <= 1;
    if is_last && !permit.is_operator() { Err(PrivacyError::LastOwner(slug.clone())) } else { Ok(()) }
}

/// Ends a membership of a person who is erased.
pub fn end_membership(before: &Membership, now: Timestamp) -> Decided<Membership> {
    Decided {
        value: Membership { ended_at: Some(now), ..before.clone() },
        effect: Effect::Restricting,
        action: "member.removed",
        fields: vec![FieldChange {
            field: "role".to_owned(),
            before: Some(before.role.as_str().to_owned()),
            after: None,
        }],
    }
}

/// What a change that concerns personal data brought about.
#[derive(Clone, Debug)]
pub enum PrivacyOutcome {
    /// Number of data keys that were wrapped anew.
    Rewrapped(u64),
    /// Number of memberships that ended with the person.
    Erased(u64),
    /// Number of prompts that were deleted.
    PromptsErased(u64),
    /// What the person chose.
    Collection(Collection),
    /// What changed in the record of consents.
    Consent(Box<ConsentChange>),
    /// Number of rows that were removed or emptied, and where to go on; `None`: nothing is left to do.
    Retained {
        /// Rows.
        removed: u64,
        /// Keys up to this number are dealt with.
        next: Option<KeyNumber>,
    },
}

impl PrivacyOutcome {
    /// What a step of retention did, which removed so many rows of each kind, of keys and workspaces with numbers after
    /// `after` and up to `until`; `last` is the last number there is. Where one kind had as many rows as a step takes, the same
    /// keys come again.
    pub fn retained(removed: &[u64], (after, until): (KeyNumber, u32), last: u32) -> Self {
        let is_full = removed.iter().any(|count| *count >= u64::from(crate::caps::RETENTION_ROWS_PER_STEP));
        let next = if is_full { Some(after) } else { (until < last).then_some(KeyNumber(until)) };
        Self::Retained { removed: removed.iter().sum(), next }
    }
}

/// The questions about personal data.
#[async_trait]
pub trait PrivacyStore: Send + Sync {
    /// A person; `None` also when they were erased.
    ///
    /// # Errors
    /// [`StoreError`], as with all questions.
    async fn person(&self, who: Who) -> Result<Option<User>, StoreError>;

    /// The memberships of a person that have not ended, each with its workspace.
    async fn memberships_of_person(&self, user: UserId) -> Result<Vec<(Membership, Slug)>, StoreError>;

    /// Since when addresses and user agents of a person are not kept; `None`: they are.
    async fn opted_out_since(&self, user: UserId) -> Result<Option<Timestamp>, StoreError>;

    /// A person's record of consents, oldest first.
    async fn consents(&self, user: UserId) -> Result<Vec<Consent>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caps::{CONSENT_TEXT_MAX_BYTES, CONSENTS_MAX};

    const NOW: Timestamp = Timestamp::from_unix_ms(1_000);

    fn to(name: &str, version: &str) -> ConsentTo {
        ConsentTo { name: ConsentName::parse(name).unwrap(), version: ConsentName::parse(version).unwrap() }
    }

    #[test]
    fn consents_are_given_replaced_and_withdrawn() {
        let first = give_consent(&[], &to("terms", "1"), NOW).unwrap();
        let mut known = vec![first.begun.unwrap()];
        assert_eq!((known[0].number, known[0].withdrawn_at), (1, None));
        let same = give_consent(&known, &to("terms", "1"), NOW).unwrap();
        assert_eq!(same, ConsentChange { ended: None, begun: None });
        let later = NOW.plus_ms(5);
        let second = give_consent(&known, &to("terms", "2"), later).unwrap();
        known[0] = second.ended.unwrap();
        known.push(second.begun.unwrap());
        assert_eq!((known[0].withdrawn_at, known[1].number), (Some(later), 2));
        let end = withdraw_consent(&known, &known[1].to.name.clone(), later).unwrap();
        assert_eq!(end.ended.as_ref().unwrap().number, 2);
        known[1] = end.ended.unwrap();
        let name = known[1].to.name.clone();
        assert_eq!(withdraw_consent(&known, &name, later), Err(PrivacyError::NoConsent));
    }

    #[test]
    fn the_record_is_bounded_and_its_words_are_plain() {
        let known: Vec<_> = (1..=u32::try_from(CONSENTS_MAX).unwrap())
            .map(|number| Consent { number, to: to("old", "1"), given_at: NOW, withdrawn_at: Some(NOW) })
            .collect();
        assert!(give_consent(&known[1..], &to("terms", "1"), NOW).is_ok());
        assert_eq!(give_consent(&known, &to("terms", "1"), NOW), Err(PrivacyError::TooManyConsents));
        assert!(ConsentName::parse(&"x".repeat(CONSENT_TEXT_MAX_BYTES)).is_ok());
        for bad in ["", "A", "a b", "a@b", &"x".repeat(CONSENT_TEXT_MAX_BYTES + 1)] {
            assert_eq!(ConsentName::parse(bad), Err(InvalidConsent), "{bad}");
        }
    }
}
