//! Attempts to sign in that failed, until the security event log asks for them.

use std::net::IpAddr;

use keywright_domain::{ids::UserId, time::Timestamp};
use parking_lot::Mutex;

use crate::caps::SIGN_IN_FAILURES_KEPT;

/// Somebody who could not sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInFailure {
    /// When.
    pub at: Timestamp,
    /// Whose account was named, if there is one.
    pub user: Option<UserId>,
    /// From where, unless the person opted out of collection.
    pub address: Option<IpAddr>,
}

/// A bounded list. What is more than it holds is in the metrics of refused requests only.
#[derive(Debug, Default)]
pub struct SignInFailures(Mutex<Vec<SignInFailure>>);

impl SignInFailures {
    /// One more, if there is room.
    pub fn note(&self, failure: SignInFailure) {
        let mut waiting = self.0.lock();
        if waiting.len() < SIGN_IN_FAILURES_KEPT {
            waiting.push(failure);
        }
    }

    /// Those since the last call, oldest first.
    pub fn take(&self) -> Vec<SignInFailure> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use serde_json::json;

    use super::*;
    use crate::harness::{Api, Who};

    #[test]
    fn no_more_than_there_is_room_for() {
        let failures = SignInFailures::default();
        let failure = SignInFailure { at: Timestamp::from_unix_ms(1), user: None, address: None };
        for _ in 0..=SIGN_IN_FAILURES_KEPT {
            failures.note(failure);
        }
        assert_eq!(failures.take().len(), SIGN_IN_FAILURES_KEPT);
        assert!(failures.take().is_empty());
    }

    #[tokio::test]
    async fn a_wrong_password_is_noted_and_for_whom() {
        let api = Api::start().await;
        let user =
            api.person_with_password("ada@example.com", "correct horse battery staple", "member").await;
        let attempt = async |email: &str| {
            let body = json!({"email": email, "password": "a wrong one, long enough"});
            api.call(Method::POST, &Who::Anonymous, "/v1/sessions", Some(&body)).await.outcome()
        };
        assert_eq!(attempt("ada@example.com").await, "401 invalid_sign_in");
        assert_eq!(attempt("nobody@example.com").await, "401 invalid_sign_in");
        let noted: Vec<_> = api.state.sign_in_failures.take().iter().map(|failure| failure.user).collect();
        assert_eq!(noted, [Some(user), None]);
    }
}
