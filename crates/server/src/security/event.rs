//! A security event, and how one is made of an audit entry.

use std::{collections::BTreeMap, net::IpAddr};

use keywright_domain::{
    audit::{AuditBody, AuditTarget, FieldChange, StoredEntry},
    entropy::{Entropy, random_bytes},
    permit::AuditActor,
    time::Timestamp,
};

use super::kind::{self, Kind};

/// Changes of one event that are told; with values this long, an event stays below 20 kilobytes.
const CHANGES_MAX: usize = 32;
/// Longest value of a change, in characters.
const VALUE_MAX_CHARS: usize = 200;

/// Whether what was tried came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Success {
    Yes,
    No,
}

/// Whether addresses are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addresses {
    /// Where they are kept: not of people who opted out, and not once they were erased.
    AsKept,
    /// Never.
    Never,
}

impl Addresses {
    /// `address`, if it may be told.
    pub(crate) fn of(self, address: Option<IpAddr>) -> Option<IpAddr> {
        address.filter(|_| self == Self::AsKept)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    /// When.
    pub(crate) at: Timestamp,
    /// Tells it from all others, also when it is delivered twice.
    pub(crate) id: String,
    /// The audit entry it was made of, if one.
    pub(crate) sequence: Option<u64>,
    /// What happened, such as `key.revoked`.
    pub(crate) action: String,
    /// Whether it came about.
    pub(crate) success: Success,
    /// By whom.
    pub(crate) actor: AuditActor,
    /// From where, if known and kept.
    pub(crate) address: Option<IpAddr>,
    /// In which workspace.
    pub(crate) workspace: Option<String>,
    /// To what.
    pub(crate) target: AuditTarget,
    /// In which request.
    pub(crate) request_id: Option<String>,
    /// The reason given.
    pub(crate) reason: Option<String>,
    /// Before and after.
    pub(crate) changes: Vec<FieldChange>,
    /// How often, by code, where calls were counted.
    pub(crate) counts: BTreeMap<String, u64>,
}

impl Event {
    /// The event that an entry of the audit trail is; `None` for bookkeeping.
    ///
    /// # Errors
    /// When the body cannot be read.
    pub(crate) fn of_entry(
        entry: &StoredEntry,
        addresses: Addresses,
    ) -> Result<Option<Self>, serde_json::Error> {
        let body: AuditBody = serde_json::from_slice(&entry.body)?;
        if !kind::is_security(&body.action) {
            return Ok(None);
        }
        let success = if body.action.ends_with(".failed") { Success::No } else { Success::Yes };
        Ok(Some(Self {
            at: body.at,
            id: body.id.to_string(),
            sequence: Some(entry.sequence),
            action: body.action,
            success,
            actor: body.actor,
            address: addresses.of(entry.personal.as_ref().and_then(|personal| personal.address)),
            workspace: body.workspace.map(|id| id.to_string()),
            target: body.target,
            request_id: body.request_id.map(|id| id.to_string()),
            reason: body.reason,
            changes: body.fields.into_iter().take(CHANGES_MAX).map(shortened).collect(),
            counts: BTreeMap::new(),
        }))
    }

    /// Something that is in no audit trail, because nothing was changed: refused calls.
    pub(crate) fn refused(at: Timestamp, action: &str, target: AuditTarget, entropy: &dyn Entropy) -> Self {
        Self {
            at,
            id: format!("sev_{}", hex::encode(random_bytes::<13>(entropy))),
            sequence: None,
            action: action.to_owned(),
            success: Success::No,
            actor: AuditActor { kind: "unknown".to_owned(), id: None, principal: None },
            address: None,
            workspace: None,
            target,
            request_id: None,
            reason: None,
            changes: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        kind::of(&self.action)
    }

    /// The documents' `user_id`: the person, service account or operator who acted, or whose key did.
    pub(crate) fn user_id(&self) -> Option<String> {
        match self.actor.principal {
            Some(principal) => Some(principal.id_text()),
            None => self.actor.id.clone().filter(|_| self.actor.kind != "key"),
        }
    }

    /// Sum of the counts.
    pub(crate) fn count(&self) -> u64 {
        self.counts.values().sum()
    }
}

fn shortened(change: FieldChange) -> FieldChange {
    let cut = |value: Option<String>| {
        value.map(|text| match text.char_indices().nth(VALUE_MAX_CHARS) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        })
    };
    FieldChange { field: change.field, before: cut(change.before), after: cut(change.after) }
}

#[cfg(test)]
pub(super) mod samples {
    use keywright_domain::{
        audit::{GENESIS, PersonalData, entry_hash},
        ids::{AuditId, KeyId, RequestId, UserId, WorkspaceId},
        principal::Principal,
    };

    use super::*;

    /// Entry `sequence` about `action`, by a key of a person, from an address.
    pub(in crate::security) fn entry(sequence: u64, previous: &[u8; 32], action: &str) -> StoredEntry {
        let personal = PersonalData {
            salt: [7; 16],
            address: Some([203, 0, 113, 7].into()),
            user_agent: Some("curl/8".to_owned()),
        };
        let body = AuditBody {
            id: AuditId::from_bytes([u8::try_from(sequence % 251).unwrap(); 16]),
            at: Timestamp::from_unix_ms(1_795_000_000_123),
            action: action.to_owned(),
            target: AuditTarget { kind: "key".to_owned(), id: KeyId::from_bytes([2; 16]).to_string() },
            workspace: Some(WorkspaceId::from_bytes([3; 16])),
            actor: AuditActor {
                kind: "key".to_owned(),
                id: Some(KeyId::from_bytes([4; 16]).to_string()),
                principal: Some(Principal::User(UserId::from_bytes([5; 16]))),
            },
            request_id: Some(RequestId::from_bytes([6; 16])),
            reason: Some("left in a \"public\" repository\nsecond line".to_owned()),
            fields: vec![FieldChange {
                field: "status".to_owned(),
                before: Some("active".to_owned()),
                after: Some("é".repeat(VALUE_MAX_CHARS + 1)),
            }],
            personal: personal.commitment_hex(),
        };
        let body = serde_json::to_vec(&body).unwrap();
        StoredEntry { sequence, hash: entry_hash(previous, sequence, &body), body, personal: Some(personal) }
    }

    /// The event of such an entry.
    pub(in crate::security) fn event(action: &str) -> Event {
        Event::of_entry(&entry(1, &GENESIS, action), Addresses::AsKept).unwrap().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use keywright_domain::audit::GENESIS;
    use keywright_testkit::SeededEntropy;

    use super::*;

    #[test]
    fn an_entry_becomes_an_event() {
        let event = samples::event("key.revoked");
        assert_eq!((event.success, event.sequence), (Success::Yes, Some(1)));
        assert!(event.user_id().unwrap().starts_with("usr_"));
        assert_eq!(event.address, Some([203, 0, 113, 7].into()));
        let value = event.changes[0].after.as_ref().unwrap();
        assert_eq!(value.chars().count(), VALUE_MAX_CHARS + 1, "cut, and said so");
        assert!(value.ends_with('…'));
        assert_eq!(event.changes[0].before.as_deref(), Some("active"));
    }

    #[test]
    fn addresses_are_told_where_they_are_kept_and_may_be() {
        let mut entry = samples::entry(1, &GENESIS, "key.revoked");
        let of = |entry: &StoredEntry, addresses| Event::of_entry(entry, addresses).unwrap().unwrap().address;
        assert!(of(&entry, Addresses::AsKept).is_some());
        assert_eq!(of(&entry, Addresses::Never), None);
        entry.personal = None;
        assert_eq!(of(&entry, Addresses::AsKept), None, "erased");
    }

    #[test]
    fn bookkeeping_and_damage() {
        let mut entry = samples::entry(1, &GENESIS, "credits.granted");
        assert_eq!(Event::of_entry(&entry, Addresses::AsKept).unwrap(), None);
        entry.body.pop();
        assert!(Event::of_entry(&entry, Addresses::AsKept).is_err());
    }

    #[test]
    fn of_a_key_without_a_person_nobody_is_named() {
        let mut event = samples::event("key.revoked");
        event.actor.principal = None;
        assert_eq!(event.user_id(), None);
        event.actor.kind = "user".to_owned();
        assert_eq!(event.user_id(), event.actor.id);
        let target = AuditTarget { kind: "address".to_owned(), id: "192.0.2.1".to_owned() };
        let refused = Event::refused(event.at, "credentials.refused", target, &SeededEntropy::new(1));
        assert_eq!((refused.success, refused.user_id(), refused.count()), (Success::No, None, 0));
        assert_eq!(samples::event("sign_in.failed").success, Success::No);
    }
}
