//! The pure core of changes of accounts: the store brings what it found, the rules decide.

use super::{NewSession, Session, SessionLimits, SessionState};
use crate::{
    administration::Decided, audit::FieldChange, caps, ids::SessionId, key::Effect, time::Timestamp,
};

/// A session begins. Of the user's `others`, newest first, those are named that go: they ended by themselves, or there is
/// no room for them.
pub fn create_session(
    new: &NewSession,
    others: &[Session],
    limits: SessionLimits,
    now: Timestamp,
) -> (Decided<Session>, Vec<SessionId>) {
    let session = Session {
        id: new.id,
        user: new.user,
        method: new.method,
        agent: new.agent.clone(),
        created_at: now,
        last_seen_at: now,
        authenticated_at: now,
    };
    let (live, over): (Vec<_>, Vec<_>) =
        others.iter().partition(|other| other.state(now, limits) == SessionState::Live);
    let beyond = live.into_iter().skip(caps::SESSIONS_PER_USER_MAX - 1);
    let gone = over.into_iter().chain(beyond).map(|session| session.id).collect();
    let method = FieldChange {
        field: "method".to_owned(),
        before: None,
        after: Some(session.method.as_str().to_owned()),
    };
    let decided = Decided {
        value: session,
        effect: Effect::Loosening,
        action: "session.created",
        fields: vec![method],
    };
    (decided, gone)
}

/// The sessions of `all` that end, when all do but `keep`.
pub fn end_sessions(all: &[Session], keep: Option<SessionId>) -> Vec<SessionId> {
    all.iter().map(|session| session.id).filter(|id| Some(*id) != keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::{SignInMethod, TokenDigest},
        ids::UserId,
    };

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn id(number: usize) -> SessionId {
        SessionId::from_bytes(u128::try_from(number).unwrap().to_be_bytes())
    }

    fn new(number: usize) -> NewSession {
        NewSession {
            id: id(number),
            user: UserId::from_bytes([1; 16]),
            digest: TokenDigest([0; 32]),
            method: SignInMethod::Password,
            agent: String::new(),
        }
    }

    #[test]
    fn there_are_only_so_many_sessions_and_the_newest_stay() {
        let limits = SessionLimits::default();
        let begun = |number, now| create_session(&new(number), &[], limits, now).0.value;
        let full: Vec<Session> = (0..caps::SESSIONS_PER_USER_MAX).map(|number| begun(number, NOW)).collect();
        let (_, gone) = create_session(&new(99), &full[1..], limits, NOW);
        assert!(gone.is_empty(), "one more has room");
        let (_, gone) = create_session(&new(99), &full, limits, NOW);
        assert_eq!(gone, [id(caps::SESSIONS_PER_USER_MAX - 1)], "the last of the list is the oldest");
        let idle = begun(7, NOW.plus_seconds(-limits.idle_seconds));
        assert_eq!(create_session(&new(99), &[idle], limits, NOW).1, [id(7)]);
    }

    #[test]
    fn one_session_may_be_kept() {
        let limits = SessionLimits::default();
        let all: Vec<Session> =
            (0..3).map(|number| create_session(&new(number), &[], limits, NOW).0.value).collect();
        assert_eq!(end_sessions(&all, None).len(), 3);
        assert_eq!(end_sessions(&all, Some(id(1))), [id(0), id(2)]);
    }
}
