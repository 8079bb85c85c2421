use subtle::ConstantTimeEq as _;

use crate::{
    caps,
    ids::{SessionId, UserId},
    time::Timestamp,
};

/// SHA-256 of a random token of 256 bits: enough to find it by, and of no use to whoever steals it.
#[derive(Clone, Copy)]
pub struct TokenDigest(pub [u8; 32]);

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenDigest {}

impl core::fmt::Debug for TokenDigest {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("TokenDigest(…)")
    }
}

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SignInMethod {
    /// With a password.
    Password = 0,
    /// With a password and a second factor.
    PasswordAndCode = 1,
    /// By an `OpenID` Connect provider.
    OpenIdConnect = 2,
    /// By accepting an invitation.
    Invitation = 3,
    /// By a link that was sent to reset the password.
    Recovery = 4,
}

impl SignInMethod {
    /// Whether the account's second factor must be used along with it. A provider asks for its own, and whoever accepts an
    /// invitation to a new account has none yet.
    pub const fn takes_factor(self) -> bool {
        matches!(self, Self::Password | Self::PasswordAndCode | Self::Recovery)
    }

    /// All methods.
    pub const ALL: [Self; 5] =
        [Self::Password, Self::PasswordAndCode, Self::OpenIdConnect, Self::Invitation, Self::Recovery];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::PasswordAndCode => "password_and_code",
            Self::OpenIdConnect => "openid_connect",
            Self::Invitation => "invitation",
            Self::Recovery => "recovery",
        }
    }

    /// The method with this number, as stores keep it.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// When sessions end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Seconds after the last use.
    pub idle_seconds: i64,
    /// Seconds after signing in, however much it is used.
    pub absolute_seconds: i64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle_seconds: caps::SESSION_IDLE_SECONDS_DEFAULT,
            absolute_seconds: caps::SESSION_ABSOLUTE_SECONDS_DEFAULT,
        }
    }
}

/// A session about to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// The id.
    pub id: SessionId,
    /// Who is signed in.
    pub user: UserId,
    /// What its token is found by.
    pub digest: TokenDigest,
    /// How the user signed in.
    pub method: SignInMethod,
    /// The kind of browser or program, such as `Firefox on Linux`: enough to recognise it, too little to recognise a
    /// person by.
    pub agent: String,
}

impl NewSession {
    /// The same of a person who opted out of collection: nothing is kept of what it is used with.
    #[must_use]
    pub fn without_agent(&self) -> Self {
        Self { agent: String::new(), ..self.clone() }
    }
}

/// A person, signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id.
    pub id: SessionId,
    /// Who is signed in.
    pub user: UserId,
    /// How.
    pub method: SignInMethod,
    /// The kind of browser or program.
    pub agent: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last used, to within [`caps::SESSION_TOUCH_SECONDS`].
    pub last_seen_at: Timestamp,
    /// When its user last proved who they are.
    pub authenticated_at: Timestamp,
}

/// Whether a session is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    /// It is.
    Live,
    /// It was not used for too long.
    Idle,
    /// It went on for too long.
    Over,
}

impl Session {
    /// When it ends by itself, if it is not used again.
    pub fn ends_at(&self, limits: SessionLimits) -> Timestamp {
        let idle = self.last_seen_at.plus_seconds(limits.idle_seconds);
        idle.min(self.created_at.plus_seconds(limits.absolute_seconds))
    }

    /// Whether it is good at `now`.
    pub fn state(&self, now: Timestamp, limits: SessionLimits) -> SessionState {
        if now >= self.created_at.plus_seconds(limits.absolute_seconds) {
            SessionState::Over
        } else if now >= self.last_seen_at.plus_seconds(limits.idle_seconds) {
            SessionState::Idle
        } else {
            SessionState::Live
        }
    }

    /// Whether the store should be told that it is in use: not with every request.
    pub fn wants_touch(&self, now: Timestamp) -> bool {
        now.ms_since(self.last_seen_at) >= caps::SESSION_TOUCH_SECONDS * 1_000
    }

    /// Whether its user proved who they are so recently that dangerous actions may go on.
    pub fn is_freshly_authenticated(&self, now: Timestamp) -> bool {
        now < self.authenticated_at.plus_seconds(caps::REAUTHENTICATION_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn session() -> Session {
        Session {
            id: SessionId::from_bytes([1; 16]),
            user: UserId::from_bytes([2; 16]),
            method: SignInMethod::Password,
            agent: String::new(),
            created_at: START,
            last_seen_at: START,
            authenticated_at: START,
        }
    }

    #[test]
    fn sessions_end_exactly_when_their_time_is_over() {
        let limits = SessionLimits::default();
        let mut session = session();
        let idle = START.plus_seconds(limits.idle_seconds);
        assert_eq!(session.state(idle.plus_ms(-1), limits), SessionState::Live);
        assert_eq!(session.state(idle, limits), SessionState::Idle);
        assert_eq!(session.ends_at(limits), idle);
        let over = START.plus_seconds(limits.absolute_seconds);
        session.last_seen_at = over.plus_ms(-2);
        assert_eq!(session.state(over.plus_ms(-1), limits), SessionState::Live);
        assert_eq!(session.state(over, limits), SessionState::Over);
        assert_eq!(session.ends_at(limits), over);
    }

    #[test]
    fn use_is_noted_and_proof_grows_old_exactly_then() {
        let session = session();
        assert!(!session.wants_touch(START.plus_ms(caps::SESSION_TOUCH_SECONDS * 1_000 - 1)));
        assert!(session.wants_touch(START.plus_seconds(caps::SESSION_TOUCH_SECONDS)));
        let end = START.plus_seconds(caps::REAUTHENTICATION_SECONDS);
        assert!(session.is_freshly_authenticated(end.plus_ms(-1)));
        assert!(!session.is_freshly_authenticated(end));
    }

    #[test]
    fn methods_keep_their_numbers() {
        for method in SignInMethod::ALL {
            assert_eq!(SignInMethod::from_u8(method as u8), Some(method));
        }
        assert_eq!(SignInMethod::from_u8(5), None);
    }
}
