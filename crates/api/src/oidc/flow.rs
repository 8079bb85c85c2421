//! One sign-in by a provider, from the redirect to its end.
//!
//! Everything about it follows from one random secret that the browser keeps in a cookie: `state`, `nonce` and the PKCE
//! verifier. So any node can finish what another one began, and nobody else's browser can.

use std::{collections::VecDeque, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use keywright_domain::{
    entropy::{Entropy, random_bytes},
    time::Timestamp,
};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::caps::{OIDC_FLOW_SECONDS, OIDC_SPENT_FLOWS_MAX};

/// Makes the authentication code of a text, under a secret that all nodes share.
pub(crate) type FlowMac<'a> = &'a dyn Fn(&str) -> [u8; 32];

/// A sign-in that a browser has begun.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Flow {
    secret: [u8; 32],
    began_at: Timestamp,
}

/// Why a sign-in cannot be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlowError {
    /// This browser has begun none, or with another provider.
    #[error("this browser has not begun such a sign-in")]
    NotBegun,
    /// It took too long.
    #[error("the sign-in took too long")]
    Expired,
    /// The provider's answer belongs to another one.
    #[error("the answer belongs to another sign-in")]
    OtherState,
    /// It was finished before.
    #[error("this sign-in was finished before")]
    Spent,
}

impl Flow {
    /// Begins.
    pub(crate) fn begin(now: Timestamp, entropy: &dyn Entropy) -> Self {
        Self { secret: random_bytes(entropy), began_at: now }
    }

    /// What the provider hands back with its answer.
    pub(crate) fn state(&self) -> String {
        self.derive("state")
    }

    /// What the token must name.
    pub(crate) fn nonce(&self) -> String {
        self.derive("nonce")
    }

    /// The secret of PKCE.
    pub(crate) fn verifier(&self) -> String {
        self.derive("verifier")
    }

    /// What the provider compares the verifier with (RFC 7636, `S256`).
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier()))
    }

    fn derive(&self, purpose: &str) -> String {
        let hash = Sha256::new()
            .chain_update(b"keywright oidc v1\0")
            .chain_update(purpose)
            .chain_update([0])
            .chain_update(self.secret);
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }

    /// The value of the cookie, for sign-ins by `provider`.
    pub(crate) fn to_cookie(&self, provider: &str, mac: FlowMac<'_>) -> String {
        let text = format!("{}.{}", self.began_at.unix_ms(), URL_SAFE_NO_PAD.encode(self.secret));
        let code = URL_SAFE_NO_PAD.encode(mac(&authenticated(provider, &text)));
        format!("{text}.{code}")
    }

    /// The sign-in that the cookie's `value` tells of, if it was begun here with `provider` a short while before `now`, and
    /// `state` belongs to it.
    ///
    /// # Errors
    /// [`FlowError`].
    pub(crate) fn resume(
        value: Option<&str>,
        provider: &str,
        state: &str,
        now: Timestamp,
        mac: FlowMac<'_>,
    ) -> Result<Self, FlowError> {
        let flow =
            value.and_then(|value| Self::from_cookie(value, provider, mac)).ok_or(FlowError::NotBegun)?;
        let age_ms = now.ms_since(flow.began_at);
        if age_ms >= OIDC_FLOW_SECONDS * 1_000 {
            return Err(FlowError::Expired);
        }
        if !bool::from(flow.state().as_bytes().ct_eq(state.as_bytes())) {
            return Err(FlowError::OtherState);
        }
        Ok(flow)
    }

    fn from_cookie(value: &str, provider: &str, mac: FlowMac<'_>) -> Option<Self> {
        let (text, code) = value.rsplit_once('.')?;
        let code = URL_SAFE_NO_PAD.decode(code).ok()?;
        if !bool::from(mac(&authenticated(provider, text)).ct_eq(&code)) {
            return None;
        }
        let (began_at, secret) = text.split_once('.')?;
        let secret = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
        Some(Self { secret, began_at: Timestamp::from_unix_ms(began_at.parse().ok()?) })
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Flow(…)")
    }
}

fn authenticated(provider: &str, text: &str) -> String {
    format!("keywright oidc flow v1 {provider} {text}")
}

/// The sign-ins that were finished a short while ago. Each is finished once; beyond this node, and beyond
/// [`OIDC_SPENT_FLOWS_MAX`], the provider sees to it: it takes a code once.
#[derive(Debug, Default)]
pub(crate) struct SpentFlows(Mutex<VecDeque<(Timestamp, [u8; 32])>>);

impl SpentFlows {
    /// Finishes `flow`.
    ///
    /// # Errors
    /// [`FlowError::Spent`].
    pub(crate) fn spend(&self, flow: &Flow, now: Timestamp) -> Result<(), FlowError> {
        let digest: [u8; 32] = Sha256::digest(flow.secret).into();
        let mut spent = self.0.lock();
        while spent.front().is_some_and(|(at, _)| now.ms_since(*at) >= OIDC_FLOW_SECONDS * 1_000) {
            spent.pop_front();
        }
        if spent.iter().any(|(_, known)| *known == digest) {
            return Err(FlowError::Spent);
        }
        if spent.len() >= OIDC_SPENT_FLOWS_MAX {
            spent.pop_front();
        }
        spent.push_back((now, digest));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use keywright_testkit::SeededEntropy;

    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    fn mac(text: &str) -> [u8; 32] {
        Sha256::digest(format!("pepper{text}")).into()
    }

    fn flow(seed: u64) -> Flow {
        Flow::begin(NOW, &SeededEntropy::new(seed))
    }

    #[test]
    fn a_sign_in_is_finished_where_it_began() {
        let flow = flow(1);
        let cookie = flow.to_cookie("corp", &mac);
        let resume = |value: Option<&str>, provider: &str, state: &str, seconds: i64| {
            Flow::resume(value, provider, state, NOW.plus_seconds(seconds), &mac)
        };
        let state = flow.state();
        assert_eq!(resume(Some(&cookie), "corp", &state, OIDC_FLOW_SECONDS - 1), Ok(flow.clone()));
        assert_eq!(resume(Some(&cookie), "corp", &state, OIDC_FLOW_SECONDS), Err(FlowError::Expired));
        assert_eq!(resume(None, "corp", &state, 1), Err(FlowError::NotBegun));
        assert_eq!(resume(Some(&cookie), "other", &state, 1), Err(FlowError::NotBegun));
        assert_eq!(resume(Some(&cookie), "corp", "", 1), Err(FlowError::OtherState));
        assert_eq!(
            resume(Some(&cookie), "corp", &super::tests::flow(2).state(), 1),
            Err(FlowError::OtherState)
        );
        // Nobody gives themselves more time.
        let later = cookie.replacen("1800000000000", "1800000600000", 1);
        assert_ne!(later, cookie);
        for bad in ["", ".", "..", &later, &cookie[1..]] {
            assert_eq!(resume(Some(bad), "corp", &state, 1), Err(FlowError::NotBegun), "{bad}");
        }
    }

    #[test]
    fn nothing_that_leaves_the_browser_tells_the_rest() {
        let flow = flow(1);
        let parts = [flow.state(), flow.nonce(), flow.verifier(), flow.challenge()];
        for (index, one) in parts.iter().enumerate() {
            assert_eq!(one.len(), 43, "as PKCE demands at least");
            assert!(parts[index + 1..].iter().all(|other| other != one));
        }
        assert_eq!(format!("{flow:?}"), "Flow(…)");
    }

    #[test]
    fn a_sign_in_is_finished_once() {
        let spent = SpentFlows::default();
        assert_eq!(spent.spend(&flow(1), NOW), Ok(()));
        assert_eq!(spent.spend(&flow(1), NOW.plus_seconds(OIDC_FLOW_SECONDS - 1)), Err(FlowError::Spent));
        assert_eq!(spent.spend(&flow(2), NOW), Ok(()));
        // Later it has expired anyway.
        assert_eq!(spent.spend(&flow(1), NOW.plus_seconds(OIDC_FLOW_SECONDS)), Ok(()));
        for seed in 10..10 + u64::try_from(OIDC_SPENT_FLOWS_MAX).unwrap() {
            spent.spend(&flow(seed), NOW.plus_seconds(OIDC_FLOW_SECONDS)).unwrap();
        }
        assert_eq!(spent.0.lock().len(), OIDC_SPENT_FLOWS_MAX);
    }
}
