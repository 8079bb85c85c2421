//! What a person proves who they are with: password, second factor, recovery codes, and the link that gives a new password.

use zeroize::Zeroizing;

use super::{AccountError, Subject, TokenDigest};
use crate::{
    caps,
    ids::{SessionId, UserId},
    permit::{Action, Permit},
    time::Timestamp,
};

/// A use of a second factor that was right. The store makes sure that it was not used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorUse {
    /// The code of this time step (RFC 6238): no step counts twice, nor one before.
    Step(u64),
    /// A recovery code: it is used up.
    RecoveryCode(TokenDigest),
}

/// The second factor of an account.
#[derive(Clone)]
pub struct SecondFactor {
    /// The secret that the person's authenticator has, too.
    pub secret: Zeroizing<Vec<u8>>,
    /// When it was set up.
    pub created_at: Timestamp,
    /// Since when a code is asked for; `None`: the set-up was not confirmed yet.
    pub enabled_at: Option<Timestamp>,
    /// The last time step that was used.
    pub last_step: u64,
    /// Recovery codes that are left.
    pub codes_left: u64,
}

impl core::fmt::Debug for SecondFactor {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("SecondFactor").field("enabled_at", &self.enabled_at).finish_non_exhaustive()
    }
}

/// A link with which a password is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whose.
    pub user: UserId,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// A password about to be set.
#[derive(Clone)]
pub struct NewPassword {
    /// Argon2id hash in PHC string format.
    pub hash: String,
}

impl core::fmt::Debug for NewPassword {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("NewPassword(…)")
    }
}

/// A second factor about to be set up, or recovery codes about to be given out.
#[derive(Clone)]
pub struct NewSecret(pub Zeroizing<Vec<u8>>);

impl core::fmt::Debug for NewSecret {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("NewSecret(…)")
    }
}

/// A change of what a person proves who they are with.
#[derive(Clone, Debug)]
pub enum CredentialCommand {
    /// Set a password; all other sessions end, and a link that was sent is not good any more. Needs `OwnAccount`.
    SetPassword {
        /// Whose.
        user: UserId,
        /// The password.
        password: NewPassword,
        /// The session that goes on.
        keep: Option<SessionId>,
        /// Whose failed attempts are forgotten.
        forgive: Vec<Subject>,
    },
    /// Make a link with which a password can be set; an earlier one is not good any more. Needs `Operate`.
    StartRecovery {
        /// Whose.
        user: UserId,
        /// What the token is found by.
        digest: TokenDigest,
    },
    /// Set a password with the link; all sessions end. Whoever has the token may; needs `Operate`, as the system has it.
    Recover {
        /// What the token is found by.
        digest: TokenDigest,
        /// The password.
        password: NewPassword,
    },
    /// Set up a second factor, which counts once it is confirmed. Needs `OwnAccount`.
    BeginSecondFactor {
        /// Whose.
        user: UserId,
        /// The secret.
        secret: NewSecret,
    },
    /// Confirm the second factor with its first code, and give out recovery codes. Needs `OwnAccount`.
    ConfirmSecondFactor {
        /// Whose.
        user: UserId,
        /// The time step of the code.
        step: u64,
        /// Digests of the recovery codes.
        codes: Vec<TokenDigest>,
    },
    /// Do without a second factor. Needs `OwnAccount`, or `Operate` for somebody who lost it.
    DropSecondFactor(UserId),
    /// Give out new recovery codes; the old ones are not good any more. Needs `OwnAccount`.
    ReplaceRecoveryCodes {
        /// Whose.
        user: UserId,
        /// Digests of the codes.
        codes: Vec<TokenDigest>,
    },
    /// Note that the user of a session proved again who they are. Needs `OwnAccount`.
    Reauthenticate {
        /// Whose.
        user: UserId,
        /// Which.
        session: SessionId,
        /// The second factor that was used.
        factor: Option<FactorUse>,
        /// Whose failed attempts are forgotten.
        forgive: Vec<Subject>,
    },
    /// End all sessions of somebody. Needs `Operate`.
    EndSessionsOf(UserId),
}

impl CredentialCommand {
    /// Whether `permit` covers the command.
    pub fn is_permitted(&self, permit: &Permit) -> bool {
        match self {
            Self::StartRecovery { .. } | Self::Recover { .. } | Self::EndSessionsOf(_) => {
                permit.covers(Action::Operate, None)
            }
            Self::DropSecondFactor(user) => {
                permit.is_for_account(*user) || permit.covers(Action::Operate, None)
            }
            Self::SetPassword { user, .. }
            | Self::BeginSecondFactor { user, .. }
            | Self::ConfirmSecondFactor { user, .. }
            | Self::ReplaceRecoveryCodes { user, .. }
            | Self::Reauthenticate { user, .. } => permit.is_for_account(*user),
        }
    }
}

/// Checks the use of a time step against the last one.
///
/// # Errors
/// [`AccountError::FactorUsed`] for a step that was used, or one before.
pub const fn use_step(last: u64, step: u64) -> Result<u64, AccountError> {
    if step > last { Ok(step) } else { Err(AccountError::FactorUsed) }
}

/// When the link to a new password ends.
pub fn recovery_ends(now: Timestamp) -> Timestamp {
    now.plus_seconds(caps::RECOVERY_SECONDS)
}

/// Checks that a link is good.
///
/// # Errors
/// [`AccountError::LinkOver`].
pub fn check_recovery(recovery: Option<Recovery>, now: Timestamp) -> Result<UserId, AccountError> {
    recovery
        .filter(|recovery| now < recovery.expires_at)
        .map(|recovery| recovery.user)
        .ok_or(AccountError::LinkOver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_counts_twice_nor_one_before() {
        assert_eq!(use_step(0, 1), Ok(1));
        assert_eq!(use_step(7, 7), Err(AccountError::FactorUsed));
        assert_eq!(use_step(7, 6), Err(AccountError::FactorUsed));
    }

    #[test]
    fn a_link_ends_after_an_hour() {
        let now = Timestamp::from_unix_ms(1_800_000_000_000);
        let user = UserId::from_bytes([1; 16]);
        let recovery = || Some(Recovery { user, expires_at: recovery_ends(now) });
        let end = now.plus_seconds(3_600);
        assert_eq!(check_recovery(recovery(), end.plus_ms(-1)), Ok(user));
        assert_eq!(check_recovery(recovery(), end), Err(AccountError::LinkOver));
        assert_eq!(check_recovery(None, now), Err(AccountError::LinkOver));
    }
}
