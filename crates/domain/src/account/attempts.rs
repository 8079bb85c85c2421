//! Attempts at secrets that people choose or type: passwords, codes, recovery links.
//!
//! Counted for the account that is named, whether it exists or not, and for the address that the attempt comes from. After
//! some free ones, each failure locks the subject out for twice as long as the one before.

use crate::{caps, time::Timestamp};

/// What a [`Subject`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectKind {
    /// An account.
    Account,
    /// The network address that attempts come from: many people may share it.
    Address,
}

/// Whose attempts are counted: a keyed digest, which tells nobody the account or the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it stands for.
    pub kind: SubjectKind,
    /// The digest.
    pub digest: [u8; 32],
}

/// What is remembered of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Failures in a row.
    pub failures: u32,
    /// The last attempt.
    pub last_at: Timestamp,
    /// Until then, no attempt is made.
    pub locked_until: Timestamp,
}

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Open,
    /// Not before this moment.
    LockedUntil(Timestamp),
}

impl SubjectKind {
    /// Failures that cost nothing.
    const fn free_attempts(self) -> u32 {
        match self {
            Self::Account => caps::FREE_ATTEMPTS_PER_ACCOUNT,
            Self::Address => caps::FREE_ATTEMPTS_PER_ADDRESS,
        }
    }
}

/// An attempt begins: what to remember of the subject, as if it failed. An error: until when it is locked out; nothing is
/// remembered then.
///
/// # Errors
/// The end of the lock.
pub fn begin_attempt(
    before: Option<Attempts>,
    kind: SubjectKind,
    now: Timestamp,
) -> Result<Attempts, Timestamp> {
    let before = before.unwrap_or_default();
    if now < before.locked_until {
        return Err(before.locked_until);
    }
    let is_forgotten = now >= before.last_at.plus_seconds(caps::ATTEMPTS_FORGOTTEN_SECONDS);
    let failures = if is_forgotten { 1 } else { before.failures.saturating_add(1) };
    let locked_seconds = match failures.checked_sub(kind.free_attempts()) {
        None => 0,
        Some(beyond) => caps::LOCK_SECONDS_FIRST
            .checked_shl(beyond)
            .filter(|_| beyond < 32)
            .map_or(caps::LOCK_SECONDS_MAX, |seconds| seconds.min(caps::LOCK_SECONDS_MAX)),
    };
    Ok(Attempts { failures, last_at: now, locked_until: now.plus_seconds(locked_seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    #[test]
    fn locks_double_after_the_free_attempts_up_to_the_longest() {
        for (kind, free) in [
            (SubjectKind::Account, caps::FREE_ATTEMPTS_PER_ACCOUNT),
            (SubjectKind::Address, caps::FREE_ATTEMPTS_PER_ADDRESS),
        ] {
            let (mut known, mut now) = (None, START);
            for _ in 1..free {
                let next = begin_attempt(known, kind, now).unwrap();
                assert_eq!(next.locked_until, now, "{kind:?}: still free");
                known = Some(next);
            }
            let mut expected = caps::LOCK_SECONDS_FIRST;
            for _ in 0..40 {
                let next = begin_attempt(known, kind, now).unwrap();
                assert_eq!(next.locked_until, now.plus_seconds(expected), "{kind:?}");
                assert_eq!(
                    begin_attempt(Some(next), kind, next.locked_until.plus_ms(-1)),
                    Err(next.locked_until)
                );
                (known, now) = (Some(next), next.locked_until);
                expected = (expected * 2).min(caps::LOCK_SECONDS_MAX);
            }
            assert_eq!(expected, caps::LOCK_SECONDS_MAX);
        }
    }

    #[test]
    fn failures_are_forgotten_after_a_day() {
        let known = Attempts { failures: 1_000, last_at: START, locked_until: START };
        let soon = START.plus_seconds(caps::ATTEMPTS_FORGOTTEN_SECONDS).plus_ms(-1);
        assert_eq!(begin_attempt(Some(known), SubjectKind::Account, soon).unwrap().failures, 1_001);
        let later = START.plus_seconds(caps::ATTEMPTS_FORGOTTEN_SECONDS);
        assert_eq!(begin_attempt(Some(known), SubjectKind::Account, later).unwrap().failures, 1);
    }
}
