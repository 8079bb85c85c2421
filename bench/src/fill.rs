//! An engine with many keys in this process.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use keywright_domain::{
    change::{Change, KeyView, MembershipView, SecretView, WorkspaceView},
    environment::Environment,
    ids::{KeyId, SecretId, UserId, WorkspaceId},
    key::KeyNumber,
    lease::LeaseTerm,
    permission::{Builtin, PermissionSet},
    plan::Plan,
    principal::{Creator, MembershipNumber, Principal},
    time::{Clock as _, Timestamp},
    workspace::{KeyLife, WorkspaceNumber},
};
use keywright_engine::{
    Engine, EngineOptions, LeaseEnd, Pepper, PepperSet, Spool, SpoolOptions, SystemClock,
};
use keywright_keyformat::{KeyKind, Secret, parse};

use crate::random::Random;

/// The text of an untagged key.
pub(crate) type Text = [u8; 50];

/// The pepper of every engine here.
pub(crate) const PEPPER: [u8; 32] = [3; 32];

/// An engine that answers.
pub(crate) struct Filled {
    pub(crate) engine: Engine,
    pub(crate) spool: Arc<Spool>,
    /// Every key.
    pub(crate) texts: Vec<Text>,
    /// How long the engine took to load them, without making them.
    pub(crate) loading_seconds: f64,
}

/// 64 bytes of metadata.
pub(crate) fn metadata(number: u32) -> String {
    format!("{{\"customer\":\"{number:049}\"}}")
}

impl Filled {
    /// An engine with so many keys; its spool is in `directory`.
    ///
    /// # Errors
    /// When the engine does not take a key.
    pub(crate) fn new(directory: &Path, keys: u32) -> Result<Self> {
        let options = SpoolOptions::new([1; 16], 42);
        Self::with_spool(directory, options, keys)
    }

    /// As [`Self::new`], with a spool of this size.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn with_spool(directory: &Path, options: SpoolOptions, keys: u32) -> Result<Self> {
        let spool = Arc::new(Spool::open(directory, options)?);
        let peppers = PepperSet::new(1, [(1, Pepper::from_bytes(PEPPER))])?;
        let clock = Arc::new(SystemClock);
        let engine =
            Engine::new(EngineOptions { peppers, issuer_tag: None, clock, spool: Arc::clone(&spool) });
        for change in surroundings() {
            engine.load(&change)?;
        }
        engine.reserve(usize::try_from(keys)?);
        let mut texts = Vec::with_capacity(usize::try_from(keys)?);
        let (mut random, mut loading_ns) = (Random::new(0x9e37_79b9_7f4a_7c15), 0);
        for first in (1..=keys).step_by(1_024) {
            let batch: Vec<Change> = (first..=keys.min(first + 1_023))
                .map(|number| {
                    let secret = Secret::generate(KeyKind::Live, None, |bytes| random.fill(bytes));
                    texts.push(secret.expose().as_bytes().try_into().expect("50 characters"));
                    Change::Key(Box::new(key(number, &secret, &engine)))
                })
                .collect();
            let begin_ns = SystemClock.boot_ns();
            batch.iter().try_for_each(|change| engine.load(change))?;
            loading_ns += SystemClock.boot_ns() - begin_ns;
        }
        engine.finish_load(0)?;
        engine.set_leases([LeaseEnd::NEVER; 4]);
        Ok(Self { engine, spool, texts, loading_seconds: seconds(loading_ns) })
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn surroundings() -> [Change; 3] {
    let [mut standard, ..] = Plan::builtin();
    // Limits are checked and spent, but none is reached.
    standard.key_limits[0].limit = 4_000_000_000;
    [
        Change::Plan(standard),
        Change::Workspace(WorkspaceView {
            number: WorkspaceNumber(1),
            id: WorkspaceId::from_bytes([1; 16]),
            slug: "acme".to_owned(),
            plan: "standard".to_owned(),
            allowed_permissions: PermissionSet::ALL,
            former_slugs: Vec::new(),
            life: KeyLife::default(),
            networks: Vec::new(),
            suspended: false,
            lease: LeaseTerm::default(),
            wait: LeaseTerm::default(),
            atomic: false,
        }),
        Change::Membership(MembershipView {
            number: MembershipNumber(1),
            workspace: WorkspaceId::from_bytes([1; 16]),
            principal: Principal::User(UserId::from_bytes([2; 16])),
            permissions: PermissionSet::ALL,
            off: false,
            collection: keywright_domain::privacy::Collection::Kept,
        }),
    ]
}

fn key(number: u32, secret: &Secret, engine: &Engine) -> KeyView {
    let parsed = parse(secret.expose().as_bytes(), None).expect("generated");
    let id = u128::from(number).to_be_bytes();
    KeyView {
        number: KeyNumber(number),
        id: KeyId::from_bytes(id),
        workspace: WorkspaceNumber(1),
        environment: Environment::Production,
        permissions: Builtin::DEFAULT,
        creator: Creator {
            principal: Principal::User(UserId::from_bytes([2; 16])),
            membership: MembershipNumber(1),
        },
        // As the id says.
        created_at: Timestamp::default(),
        expires_at: None,
        disabled: false,
        revoked: false,
        limits: None,
        networks: Vec::new(),
        external_id: None,
        metadata: metadata(number),
        secrets: vec![SecretView {
            id: SecretId::from_bytes(id),
            ordinal: 1,
            locator: parsed.locator(),
            digest: engine.digest(parsed.text()),
            expires_at: None,
            retired: false,
            created_at: Timestamp::default(),
        }],
    }
}
