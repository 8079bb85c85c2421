//! What is asked of the engine, and what it answers.

use std::net::IpAddr;

use keywright_domain::{
    environment::{Environment, Mode},
    ids::{KeyId, WorkspaceId},
    key::KeyNumber,
    limits::Algorithm,
    permission::PermissionSet,
    principal::Creator,
    time::{Clock, Timestamp},
    usage::AgentClass,
    verdict::Code,
    workspace::{ExpiredBy, WorkspaceNumber},
};
use keywright_keyformat::Malformed;

use crate::{CreditReading, LeaseEnd, RouteId, Settled, Trust, Unavailable, limits::METERS_MAX};

/// The moment of a call, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Wall clock.
    pub wall: Timestamp,
    /// Boot clock, in nanoseconds.
    pub boot_ns: u64,
}

impl Moment {
    /// Reads both clocks.
    pub fn read(clock: &dyn Clock) -> Self {
        let (wall, boot_ns) = clock.both();
        Self { wall, boot_ns }
    }
}

/// A presented key, and what its bearer wants to do.
#[derive(Clone, Copy)]
pub struct VerifyRequest<'a> {
    /// The presented text. Never shown, stored or logged.
    pub text: &'a [u8],
    /// Permissions that the bearer needs.
    pub permissions: PermissionSet,
    /// Slug of the workspace whose resource is asked for, if the caller names one.
    pub workspace: Option<&'a str>,
    /// Mode of the resource, if the caller names one.
    pub mode: Option<Mode>,
    /// Cost units to spend; 0 only checks.
    pub cost: u32,
    /// Credits to spend from the prepaid balance of the key or of its `external_id`; 0: none.
    pub credits: u32,
    /// The bearer's address, if known.
    pub client: Option<IpAddr>,
    /// The route asked for, for the access ledger.
    pub route: RouteId,
    /// The class of the bearer's user agent.
    pub agent: AgentClass,
    /// What makes the state in memory count as current.
    pub trust: Trust,
    /// What was settled with the other nodes for this call, if its limits are shared.
    pub settled: Settled,
}

impl<'a> VerifyRequest<'a> {
    /// Asks whether a key is good at all, at a cost of 1.
    pub fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            permissions: PermissionSet::EMPTY,
            workspace: None,
            mode: None,
            cost: 1,
            credits: 0,
            client: None,
            route: RouteId::NONE,
            agent: AgentClass::Unknown,
            trust: Trust::Lease,
            settled: Settled::default(),
        }
    }
}

/// The engine's answer about a presented key. Plain data; texts and names come from
/// [`Engine::details`](crate::Engine::details) and [`Engine::limit_readings`](crate::Engine::limit_readings).
#[derive(Clone, Copy, Debug)]
pub struct Verdict {
    /// The one code.
    pub code: Code,
    /// What is wrong with the text, for [`Code::MalformedKey`].
    pub malformed: Option<Malformed>,
    /// The key, whenever the secret itself was right.
    pub key: Option<KeyHit>,
    /// In how many seconds the same call may succeed, for [`Code::RateLimited`] and [`Code::QuotaExceeded`]; `None`
    /// where waiting does not help because the cost exceeds a limit.
    pub retry_after_seconds: Option<u32>,
    /// What ended the key's life, for [`Code::ExpiredKey`].
    pub expired_by: Option<ExpiredBy>,
    /// Why nothing can be said, for [`Code::Unavailable`].
    pub unavailable: Option<Unavailable>,
    /// Every change of the log up to here is reflected.
    pub as_of: u64,
    /// Until when this node may answer the same from memory. [`LeaseEnd::NEVER`] also where no state was asked: a text
    /// that is no key.
    pub lease: LeaseEnd,
    /// What became of the credits that the call asked for.
    pub credits: Option<CreditReading>,
    pub(crate) limits: Limits,
}

impl Verdict {
    /// Whether the key is accepted.
    pub fn is_valid(&self) -> bool {
        self.code == Code::Valid
    }

    /// Whether the same call may succeed with [`Trust::Fresh`].
    pub fn is_stale(&self) -> bool {
        self.unavailable == Some(Unavailable::Stale)
    }

    /// Whether a share of a limit has to be drawn first.
    #[inline]
    pub fn needs_share(&self) -> bool {
        self.code == Code::Unavailable && self.unavailable == Some(Unavailable::Share)
    }

    /// Whether a slice of a balance has to be drawn first.
    #[inline]
    pub fn needs_credits(&self) -> bool {
        self.code == Code::Unavailable && self.unavailable == Some(Unavailable::Credits)
    }

    pub(crate) const fn refused(code: Code) -> Self {
        Self {
            code,
            malformed: None,
            key: None,
            retry_after_seconds: None,
            expired_by: None,
            unavailable: None,
            as_of: 0,
            lease: LeaseEnd::NEVER,
            credits: None,
            limits: Limits::NONE,
        }
    }

    pub(crate) const fn unavailable(cause: Unavailable, as_of: u64, lease: LeaseEnd) -> Self {
        Self { unavailable: Some(cause), as_of, lease, ..Self::refused(Code::Unavailable) }
    }

    pub(crate) const fn malformed(malformed: Malformed) -> Self {
        Self { malformed: Some(malformed), ..Self::refused(Code::MalformedKey) }
    }
}

/// A key whose secret was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyHit {
    /// Number in the store.
    pub number: KeyNumber,
    /// The id.
    pub id: KeyId,
    /// Its workspace.
    pub workspace: WorkspaceNumber,
    /// Its environment, and with it the mode.
    pub environment: Environment,
    /// What it may do now: its own permissions ∩ its creator's ∩ the workspace's policy.
    pub permissions: PermissionSet,
    /// Which of its secrets was presented.
    pub secret_ordinal: u16,
}

/// The limits' state in a verdict.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Limit sets of the key and of the workspace.
    pub(crate) sets: [u32; 2],
    pub(crate) count: u8,
    /// Remaining units and seconds to the reset, of the key's windows and then of the workspace's.
    pub(crate) readings: [(u32, u32); METERS_MAX],
}

impl Limits {
    pub(crate) const NONE: Self = Self { sets: [0; 2], count: 0, readings: [(0, 0); METERS_MAX] };
}

/// Whose limit a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitScope {
    /// The key's.
    Key,
    /// The workspace's as a whole.
    Workspace,
}

/// One limit window as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReading<'engine> {
    /// Whose.
    pub scope: LimitScope,
    /// Its name, such as `minute`.
    pub name: &'engine str,
    /// Cost units per window.
    pub limit: u32,
    /// Length, in seconds.
    pub window_seconds: u32,
    /// How it is counted.
    pub algorithm: Algorithm,
    /// Cost units left.
    pub remaining: u32,
    /// Seconds, rounded up, until the window ends (sliding) or has refilled (smooth).
    pub reset_seconds: u32,
}

/// What answers say about a key beyond the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyDetails<'a> {
    /// The workspace's id.
    pub workspace: WorkspaceId,
    /// The workspace's slug.
    pub workspace_slug: &'a str,
    /// Who created the key.
    pub creator: Creator,
    /// The operator's own name for the customer.
    pub external_id: Option<&'a str>,
    /// A compact JSON object.
    pub metadata: &'a str,
}

/// A key found by the locator of one of its secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Number in the store.
    pub number: KeyNumber,
    /// The id.
    pub id: KeyId,
    /// Its workspace's number.
    pub workspace_number: WorkspaceNumber,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Which of its secrets has the locator.
    pub secret_ordinal: u16,
}

/// Whose key a text would be if its secret is right.
#[derive(Clone, Copy, Debug)]
pub struct Presumed<'a> {
    /// The id.
    pub id: KeyId,
    /// Its workspace's number.
    pub workspace_number: WorkspaceNumber,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// The workspace's slug.
    pub workspace_slug: &'a str,
    /// Who created it.
    pub creator: Creator,
}
