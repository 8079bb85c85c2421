//! Making secrets.

use keywright_domain::{
    entropy::Entropy,
    environment::{Environment, Mode},
    ids::SecretId,
    key::NewSecret,
    time::Timestamp,
};
use keywright_keyformat::{KeyKind, Secret};

use crate::state::AppState;

/// A fresh secret: its text, shown once, and what the store keeps of it.
pub(crate) fn issue(state: &AppState, kind: KeyKind, now: Timestamp) -> (Secret, NewSecret) {
    let entropy: &dyn Entropy = &*state.entropy;
    let secret = Secret::generate(kind, state.config.issuer_tag.as_ref(), |buffer| entropy.fill(buffer));
    let kept = NewSecret {
        id: SecretId::generate(now, entropy),
        locator: secret.locator(),
        hint: secret.hint().to_string(),
        digest: state.plane.digest(secret.expose()),
    };
    (secret, kept)
}

/// The kind of the keys of an environment.
pub(crate) const fn kind_of(environment: Environment) -> KeyKind {
    match environment.mode() {
        Mode::Live => KeyKind::Live,
        Mode::Test => KeyKind::Test,
    }
}
