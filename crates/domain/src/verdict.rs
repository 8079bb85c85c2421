//! The judgement of a presented key: one pure function.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{environment::Mode, permission::PermissionSet, time::Timestamp, workspace::ExpiredBy};

/// The one stable code of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Code {
    /// Accepted.
    Valid = 0,
    /// No credentials were sent.
    MissingCredentials = 1,
    /// A key came without `Bearer ` in front.
    MissingBearerPrefix = 2,
    /// The text is not a key.
    MalformedKey = 3,
    /// No such key, or the secret is wrong.
    InvalidKey = 4,
    /// The key or the secret was ended for good.
    RevokedKey = 5,
    /// The key's time is over.
    ExpiredKey = 6,
    /// The key is switched off.
    DisabledKey = 7,
    /// A test key on a live resource, or the other way round.
    WrongEnvironment = 8,
    /// A key of another workspace.
    WrongWorkspace = 9,
    /// The caller's address is not in the key's networks.
    IpNotAllowed = 10,
    /// The key lacks a permission.
    InsufficientPermissions = 11,
    /// The workspace is suspended.
    WorkspaceSuspended = 12,
    /// A rate is used up for the moment.
    RateLimited = 13,
    /// A quota is used up.
    QuotaExceeded = 14,
    /// The node may not answer from memory and cannot reach the store.
    Unavailable = 15,
    /// A change that takes the key away is under way and does not hold on every node yet: neither accepted nor refused.
    Revoking = 16,
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Valid,
        Self::MissingCredentials,
        Self::MissingBearerPrefix,
        Self::MalformedKey,
        Self::InvalidKey,
        Self::RevokedKey,
        Self::ExpiredKey,
        Self::DisabledKey,
        Self::WrongEnvironment,
        Self::WrongWorkspace,
        Self::IpNotAllowed,
        Self::InsufficientPermissions,
        Self::WorkspaceSuspended,
        Self::RateLimited,
        Self::QuotaExceeded,
        Self::Unavailable,
        Self::Revoking,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::MissingCredentials => "missing_credentials",
            Self::MissingBearerPrefix => "missing_bearer_prefix",
            Self::MalformedKey => "malformed_key",
            Self::InvalidKey => "invalid_key",
            Self::RevokedKey => "revoked_key",
            Self::ExpiredKey => "expired_key",
            Self::DisabledKey => "disabled_key",
            Self::WrongEnvironment => "wrong_environment",
            Self::WrongWorkspace => "wrong_workspace",
            Self::IpNotAllowed => "ip_not_allowed",
            Self::InsufficientPermissions => "insufficient_permissions",
            Self::WorkspaceSuspended => "workspace_suspended",
            Self::RateLimited => "rate_limited",
            Self::QuotaExceeded => "quota_exceeded",
            Self::Unavailable => "unavailable",
            Self::Revoking => "revoking",
        }
    }

    /// The code with this number, as the usage spool and stores keep it.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// What is known about the presented secret's key, after the secret was found to be right.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each named")]
#[derive(Clone, Copy, Debug)]
pub struct KeyFacts<'a> {
    /// Whether the key is revoked.
    pub revoked: bool,
    /// Whether the presented secret was retired.
    pub secret_retired: bool,
    /// Whether the key is switched off, or its creator's membership ended.
    pub disabled: bool,
    /// When the key expires, if ever.
    pub expires_at: Option<Timestamp>,
    /// When its life ends at the latest by the workspace's policy, if it has one.
    pub life_ends_at: Option<Timestamp>,
    /// From when on it is refused because its rotation is overdue, where the workspace enforces that.
    pub rotation_overdue_at: Option<Timestamp>,
    /// When the presented secret's overlap ends, if one runs.
    pub secret_expires_at: Option<Timestamp>,
    /// Its mode.
    pub mode: Mode,
    /// Whether its workspace is suspended.
    pub workspace_suspended: bool,
    /// What the key may do at most.
    pub permissions: PermissionSet,
    /// What its creator may do in the workspace now.
    pub creator_permissions: PermissionSet,
    /// What the workspace's policy allows.
    pub workspace_permissions: PermissionSet,
    /// Networks it may be used from; empty means any.
    pub networks: &'a [IpNet],
    /// Networks that every key of its workspace may be used from; empty means any.
    pub workspace_networks: &'a [IpNet],
}

impl KeyFacts<'_> {
    /// What has ended the key's life at `now`, if anything has.
    pub fn expired_by(&self, now: Timestamp) -> Option<ExpiredBy> {
        let passed = |end: Option<Timestamp>| end.is_some_and(|end| now >= end);
        if passed(self.expires_at) {
            Some(ExpiredBy::Key)
        } else if passed(self.life_ends_at) {
            Some(ExpiredBy::MaximumLife)
        } else if passed(self.rotation_overdue_at) {
            Some(ExpiredBy::Rotation)
        } else {
            None
        }
    }

    /// What the key may do now.
    pub const fn effective_permissions(&self) -> PermissionSet {
        self.permissions.intersection(self.creator_permissions).intersection(self.workspace_permissions)
    }
}

/// What the caller asks of the key.
#[derive(Clone, Copy, Debug)]
pub struct Ask {
    /// The moment.
    pub now: Timestamp,
    /// The mode of the resource, if the caller names one.
    pub mode: Option<Mode>,
    /// Whether the key is of the workspace that the caller named; `true` if none was named.
    pub workspace_matches: bool,
    /// From where the application calls, if known.
    pub client: Option<IpAddr>,
    /// What the application wants to do.
    pub permissions: PermissionSet,
}

/// One of the checks, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Is the key or secret ended for good?
    Revocation,
    /// Is it switched off?
    Disabled,
    /// Is its time over, by its own end or by the longest life that the workspace allows?
    Expiry,
    /// Is its rotation overdue, in a workspace that enforces rotation?
    Rotation,
    /// Is the workspace suspended?
    Workspace,
    /// Is it a key of the right mode?
    Mode,
    /// Is it a key of the right workspace?
    WorkspaceMatch,
    /// May it be used from there, by its own networks and the workspace's?
    Networks,
    /// May it do that?
    Permissions,
}

impl Check {
    /// All checks, in order.
    pub const ALL: [Self; 9] = [
        Self::Revocation,
        Self::Disabled,
        Self::Expiry,
        Self::Rotation,
        Self::Workspace,
        Self::Mode,
        Self::WorkspaceMatch,
        Self::Networks,
        Self::Permissions,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revocation => "revocation",
            Self::Disabled => "disabled",
            Self::Expiry => "expiry",
            Self::Rotation => "rotation",
            Self::Workspace => "workspace_suspended",
            Self::Mode => "mode",
            Self::WorkspaceMatch => "workspace",
            Self::Networks => "networks",
            Self::Permissions => "permissions",
        }
    }

    /// Makes this one check.
    ///
    /// # Errors
    /// The code of the refusal.
    #[inline]
    pub fn run(self, facts: &KeyFacts<'_>, ask: &Ask) -> Result<(), Code> {
        let passed_by = |end: Option<Timestamp>| end.is_some_and(|end| ask.now >= end);
        let (refused, code) = match self {
            Self::Revocation => (
                facts.revoked || facts.secret_retired || passed_by(facts.secret_expires_at),
                Code::RevokedKey,
            ),
            Self::Disabled => (facts.disabled, Code::DisabledKey),
            Self::Expiry => (passed_by(facts.expires_at) || passed_by(facts.life_ends_at), Code::ExpiredKey),
            Self::Rotation => (passed_by(facts.rotation_overdue_at), Code::ExpiredKey),
            Self::Workspace => (facts.workspace_suspended, Code::WorkspaceSuspended),
            Self::Mode => (ask.mode.is_some_and(|mode| mode != facts.mode), Code::WrongEnvironment),
            Self::WorkspaceMatch => (!ask.workspace_matches, Code::WrongWorkspace),
            Self::Networks => {
                let is_allowed = address_is_allowed(facts.workspace_networks, ask.client)
                    && address_is_allowed(facts.networks, ask.client);
                (!is_allowed, Code::IpNotAllowed)
            }
            Self::Permissions => {
                (!ask.permissions.is_subset(facts.effective_permissions()), Code::InsufficientPermissions)
            }
        };
        if refused { Err(code) } else { Ok(()) }
    }
}

/// Judges a key whose secret was right. Limits are counted only after this has passed.
///
/// # Errors
/// The code of the first check that refuses.
#[inline]
pub fn decide(facts: &KeyFacts<'_>, ask: &Ask) -> Result<(), Code> {
    Check::ALL.into_iter().try_for_each(|check| check.run(facts, ask))
}

/// An address that is not known is in no network.
fn address_is_allowed(networks: &[IpNet], client: Option<IpAddr>) -> bool {
    networks.is_empty()
        || client.is_some_and(|address| {
            let address = address.to_canonical();
            networks.iter().any(|network| network.contains(&address))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> KeyFacts<'static> {
        KeyFacts {
            revoked: false,
            secret_retired: false,
            disabled: false,
            expires_at: None,
            life_ends_at: None,
            rotation_overdue_at: None,
            secret_expires_at: None,
            mode: Mode::Live,
            workspace_suspended: false,
            permissions: PermissionSet::ALL,
            creator_permissions: PermissionSet::ALL,
            workspace_permissions: PermissionSet::ALL,
            networks: &[],
            workspace_networks: &[],
        }
    }

    fn ask() -> Ask {
        Ask {
            now: Timestamp::from_unix_ms(1_000),
            mode: None,
            workspace_matches: true,
            client: None,
            permissions: PermissionSet::EMPTY.with(3),
        }
    }

    #[test]
    fn each_code_by_its_cause() {
        let at = |ms| Some(Timestamp::from_unix_ms(ms));
        let networks = ["203.0.113.0/24".parse().unwrap()];
        let without_3 = PermissionSet::ALL.without(PermissionSet::EMPTY.with(3));
        assert_eq!(decide(&facts(), &ask()), Ok(()));
        for (changed, code) in [
            (KeyFacts { revoked: true, ..facts() }, Code::RevokedKey),
            (KeyFacts { secret_retired: true, ..facts() }, Code::RevokedKey),
            (KeyFacts { secret_expires_at: at(1_000), ..facts() }, Code::RevokedKey),
            (KeyFacts { disabled: true, ..facts() }, Code::DisabledKey),
            (KeyFacts { expires_at: at(1_000), ..facts() }, Code::ExpiredKey),
            (KeyFacts { life_ends_at: at(1_000), ..facts() }, Code::ExpiredKey),
            (KeyFacts { rotation_overdue_at: at(1_000), ..facts() }, Code::ExpiredKey),
            (KeyFacts { workspace_networks: &networks, ..facts() }, Code::IpNotAllowed),
            (KeyFacts { workspace_suspended: true, ..facts() }, Code::WorkspaceSuspended),
            (KeyFacts { networks: &networks, ..facts() }, Code::IpNotAllowed),
            (KeyFacts { permissions: without_3, ..facts() }, Code::InsufficientPermissions),
            (KeyFacts { creator_permissions: without_3, ..facts() }, Code::InsufficientPermissions),
            (KeyFacts { workspace_permissions: without_3, ..facts() }, Code::InsufficientPermissions),
        ] {
            assert_eq!(decide(&changed, &ask()), Err(code));
        }
        let a_moment_left = KeyFacts {
            expires_at: at(1_001),
            life_ends_at: at(1_001),
            rotation_overdue_at: at(1_001),
            secret_expires_at: at(1_001),
            ..facts()
        };
        assert_eq!(decide(&a_moment_left, &ask()), Ok(()));
        assert_eq!(decide(&facts(), &Ask { mode: Some(Mode::Test), ..ask() }), Err(Code::WrongEnvironment));
        assert_eq!(decide(&facts(), &Ask { workspace_matches: false, ..ask() }), Err(Code::WrongWorkspace));
    }

    #[test]
    fn mapped_addresses_are_judged_as_ipv4() {
        let networks = ["203.0.113.0/24".parse().unwrap()];
        let facts = KeyFacts { networks: &networks, ..facts() };
        for (address, allowed) in [
            ("203.0.113.7", true),
            ("::ffff:203.0.113.7", true),
            ("203.0.114.7", false),
            ("2001:db8::1", false),
        ] {
            let ask = Ask { client: Some(address.parse().unwrap()), ..ask() };
            assert_eq!(decide(&facts, &ask).is_ok(), allowed, "{address}");
        }
    }

    #[test]
    fn an_address_must_be_in_the_networks_of_both() {
        let (own, all) = (["10.1.0.0/16".parse().unwrap()], ["10.0.0.0/8".parse().unwrap()]);
        let elsewhere = ["192.0.2.0/24".parse().unwrap()];
        let address = |text: &str| Ask { client: Some(text.parse().unwrap()), ..ask() };
        let both = KeyFacts { networks: &own, workspace_networks: &all, ..facts() };
        assert_eq!(decide(&both, &address("10.1.2.3")), Ok(()));
        assert_eq!(decide(&both, &address("10.2.0.1")), Err(Code::IpNotAllowed));
        let apart = KeyFacts { networks: &elsewhere, workspace_networks: &all, ..facts() };
        for text in ["10.1.2.3", "192.0.2.1"] {
            assert_eq!(decide(&apart, &address(text)), Err(Code::IpNotAllowed), "{text}");
        }
    }

    #[test]
    fn what_ended_a_life_is_told_in_the_order_of_the_checks() {
        let at = |ms| Some(Timestamp::from_unix_ms(ms));
        let all = KeyFacts { expires_at: at(3), life_ends_at: at(2), rotation_overdue_at: at(1), ..facts() };
        let by = |ms| all.expired_by(Timestamp::from_unix_ms(ms));
        assert_eq!(
            [by(0), by(1), by(2), by(3)],
            [None, Some(ExpiredBy::Rotation), Some(ExpiredBy::MaximumLife), Some(ExpiredBy::Key)]
        );
    }

    #[test]
    fn numbers_of_codes_are_stable() {
        for (number, code) in (0..).zip(Code::ALL) {
            assert_eq!((code as u8, Code::from_u8(number)), (number, Some(code)));
        }
        assert_eq!(Code::from_u8(17), None);
    }

    proptest! {
        #[test]
        fn no_right_taken_away_ever_helps(key: [u64; 4], creator: [u64; 4], policy: [u64; 4], asked: [u64; 4], lost: [u64; 4]) {
            let set = PermissionSet::from_words;
            let before = KeyFacts { permissions: set(key), creator_permissions: set(creator), workspace_permissions: set(policy), ..facts() };
            let after = KeyFacts { creator_permissions: set(creator).without(set(lost)), ..before };
            let ask = Ask { permissions: set(asked), ..ask() };
            if decide(&after, &ask).is_ok() {
                prop_assert!(decide(&before, &ask).is_ok());
                prop_assert!(set(asked).is_subset(set(key).intersection(set(creator)).intersection(set(policy))));
            }
        }
    }
}
