//! An engine with a workspace, hand-set clocks, and keys whose secrets are known.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering::SeqCst},
};

use keywright_domain::{
    change::{Change, KeyView, MembershipView, NumberedChange, SecretView, WorkspaceView},
    environment::Environment,
    ids::{KeyId, SecretId, UserId, WorkspaceId},
    key::KeyNumber,
    limits::{Algorithm, LimitWindow, Mode, OnUnavailable},
    permission::{Builtin, PermissionSet},
    plan::Plan,
    principal::{Creator, MembershipNumber, Principal},
    time::{Clock, Timestamp},
    workspace::WorkspaceNumber,
};
use keywright_engine::{
    Engine, EngineOptions, LeaseEnd, Pepper, PepperSet, Spool, SpoolOptions, Verdict, VerifyRequest,
};
use keywright_keyformat::{KeyKind, Secret, parse};
use tempfile::TempDir;

pub(crate) const START_MS: i64 = 1_800_000_000_000;

/// Clocks that stand still until they are moved.
pub(crate) struct HandClock {
    wall_ms: AtomicI64,
    boot_ns: AtomicU64,
}

impl HandClock {
    pub(crate) fn new() -> Self {
        Self { wall_ms: AtomicI64::new(START_MS), boot_ns: AtomicU64::new(1_000_000_000_000) }
    }

    pub(crate) fn advance_ms(&self, ms: u32) {
        self.wall_ms.fetch_add(ms.into(), SeqCst);
        self.boot_ns.fetch_add(u64::from(ms) * 1_000_000, SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.wall_ms.load(SeqCst))
    }
    fn boot_ns(&self) -> u64 {
        self.boot_ns.load(SeqCst)
    }
}

pub(crate) fn pepper(version: u16) -> (u16, Pepper) {
    (version, Pepper::from_bytes([version.to_le_bytes()[0]; 32]))
}

pub(crate) struct Fixture {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<HandClock>,
    next_sequence: AtomicU64,
    _directory: TempDir,
}

impl Fixture {
    /// Workspace 1 `acme` on plan `standard`, workspace 2 `other` on `unlimited`, memberships 1 and 2 in `acme`.
    pub(crate) fn new() -> Self {
        let fixture = Self::empty();
        fixture.load_defaults();
        fixture.engine.finish_load(0).unwrap();
        fixture.engine.set_leases([LeaseEnd::NEVER; 4]);
        fixture
    }

    /// Loads the plans, workspaces and memberships.
    pub(crate) fn load_defaults(&self) {
        for plan in Plan::builtin() {
            self.engine.load(&Change::Plan(plan)).unwrap();
        }
        for workspace in [workspace(1, "acme", "standard"), workspace(2, "other", "unlimited")] {
            self.engine.load(&Change::Workspace(workspace)).unwrap();
        }
        for number in 1..=2 {
            self.engine.load(&Change::Membership(membership(number))).unwrap();
        }
    }

    /// Nothing loaded, no lease.
    pub(crate) fn empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::open(directory.path(), SpoolOptions::new([1; 16], 7)).unwrap());
        let clock = Arc::new(HandClock::new());
        let engine = Engine::new(EngineOptions {
            peppers: PepperSet::new(1, [pepper(1)]).unwrap(),
            issuer_tag: None,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            spool,
        });
        Self { engine: Arc::new(engine), clock, next_sequence: AtomicU64::new(1), _directory: directory }
    }

    pub(crate) fn apply(&self, change: Change) {
        let sequence = self.next_sequence.fetch_add(1, SeqCst);
        self.engine.apply(&NumberedChange { sequence, restricting: false, change }).unwrap();
    }

    pub(crate) fn put(&self, key: &KeyView) {
        self.apply(Change::Key(Box::new(key.clone())));
    }

    /// A key without limits of its own, in workspace 1, with one secret.
    pub(crate) fn key(&self, number: u32) -> (KeyView, Secret) {
        let secret = secret(KeyKind::Live, u64::from(number) << 16);
        let view = KeyView {
            number: KeyNumber(number),
            id: key_id(number),
            workspace: WorkspaceNumber(1),
            environment: Environment::Production,
            permissions: Builtin::DEFAULT,
            creator: Creator { principal: user(1), membership: MembershipNumber(1) },
            created_at: Timestamp::default(),
            expires_at: None,
            disabled: false,
            revoked: false,
            limits: None,
            networks: Vec::new(),
            external_id: None,
            metadata: "{}".to_owned(),
            secrets: vec![self.secret_view(&secret, 1)],
        };
        (view, secret)
    }

    pub(crate) fn secret_view(&self, secret: &Secret, ordinal: u16) -> SecretView {
        SecretView {
            id: SecretId::from_bytes([9; 16]),
            ordinal,
            locator: parse(secret.expose().as_bytes(), None).unwrap().locator(),
            digest: self.engine.digest(secret.expose().as_bytes()),
            expires_at: None,
            retired: false,
            created_at: Timestamp::default(),
        }
    }

    pub(crate) fn verify(&self, secret: &Secret) -> Verdict {
        self.engine.verify(&request(secret))
    }
}

pub(crate) fn request(secret: &Secret) -> VerifyRequest<'_> {
    VerifyRequest::new(secret.expose().as_bytes())
}

pub(crate) fn key_id(number: u32) -> KeyId {
    KeyId::from_bytes(u128::from(number).to_be_bytes())
}

pub(crate) fn user(number: u32) -> Principal {
    Principal::User(UserId::from_bytes(u128::from(number).to_be_bytes()))
}

pub(crate) fn workspace_id(number: u32) -> WorkspaceId {
    WorkspaceId::from_bytes(u128::from(number).to_be_bytes())
}

pub(crate) fn workspace(number: u32, slug: &str, plan: &str) -> WorkspaceView {
    WorkspaceView {
        number: WorkspaceNumber(number),
        id: workspace_id(number),
        slug: slug.to_owned(),
        plan: plan.to_owned(),
        allowed_permissions: PermissionSet::ALL,
        former_slugs: Vec::new(),
        life: keywright_domain::workspace::KeyLife::default(),
        networks: Vec::new(),
        suspended: false,
        lease: keywright_domain::lease::LeaseTerm::default(),
        wait: keywright_domain::lease::LeaseTerm::default(),
        atomic: false,
    }
}

pub(crate) fn membership(number: u32) -> MembershipView {
    MembershipView {
        number: MembershipNumber(number),
        workspace: workspace_id(1),
        principal: user(number),
        permissions: PermissionSet::ALL,
        off: false,
        collection: keywright_domain::privacy::Collection::Kept,
    }
}

pub(crate) fn window(name: &str, limit: u64, window_seconds: u32) -> LimitWindow {
    LimitWindow {
        name: name.to_owned(),
        limit,
        window_seconds,
        algorithm: Algorithm::Sliding,
        mode: Mode::Shared,
        on_unavailable: OnUnavailable::Closed,
    }
}

/// A secret that depends on `seed` alone.
pub(crate) fn secret(kind: KeyKind, seed: u64) -> Secret {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    Secret::generate(kind, None, |bytes| {
        for byte in bytes {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = state.to_le_bytes()[6];
        }
    })
}
