//! The atomic mode: neither accepted nor refused until every node knows.

use keywright_domain::{
    change::{Change, KeyView, NumberedChange, WorkspaceView},
    key::KeyNumber,
    lease::LeaseTerm,
    verdict::Code,
};
use keywright_engine::{LeaseEnd, Moment, VerifyRequest};
use keywright_keyformat::Secret;

use crate::fixture::{self, Fixture};

/// The wait of the standard term.
const WAIT_MS: u32 = 38_000;

struct Atomic {
    fixture: Fixture,
    next: std::cell::Cell<u64>,
}

impl Atomic {
    fn new(atomic: bool) -> Self {
        let fixture = Fixture::new();
        let boot_ns = Moment::read(&*fixture.clock).boot_ns;
        fixture.engine.set_leases([LeaseEnd(boot_ns + 3_600_000_000_000); 4]);
        let workspace = fixture::workspace(1, "acme", "standard");
        fixture.apply(Change::Workspace(WorkspaceView { atomic, ..workspace }));
        Self { fixture, next: std::cell::Cell::new(2) }
    }

    fn apply(&self, change: Change, restricting: bool) -> u64 {
        let sequence = self.next.replace(self.next.get() + 1);
        self.fixture.engine.apply(&NumberedChange { sequence, restricting, change }).unwrap();
        sequence
    }

    fn key(&self) -> (KeyView, Secret) {
        let (key, secret) = self.fixture.key(1);
        self.apply(put(&key), false);
        (key, secret)
    }

    fn code(&self, secret: &Secret) -> Code {
        self.fixture.verify(secret).code
    }
}

fn put(key: &KeyView) -> Change {
    Change::Key(Box::new(key.clone()))
}

#[test]
fn each_kind_of_end_is_revoking_until_it_is_stable() {
    type Taking = (fn(&mut KeyView), Code);
    let takings: [Taking; 5] = [
        (|key| key.revoked = true, Code::RevokedKey),
        (|key| key.disabled = true, Code::DisabledKey),
        (|key| key.secrets[0].retired = true, Code::RevokedKey),
        (
            |key| key.expires_at = Some(keywright_domain::time::Timestamp::from_unix_ms(fixture::START_MS)),
            Code::ExpiredKey,
        ),
        (|key| key.networks = vec!["203.0.113.0/24".parse().unwrap()], Code::IpNotAllowed),
    ];
    for (take, end) in takings {
        let atomic = Atomic::new(true);
        let (mut key, secret) = atomic.key();
        assert_eq!(atomic.code(&secret), Code::Valid);
        take(&mut key);
        let sequence = atomic.apply(put(&key), true);
        assert_eq!(atomic.code(&secret), Code::Revoking, "{end:?}");
        atomic.fixture.engine.set_stable(sequence - 1);
        assert_eq!(atomic.code(&secret), Code::Revoking, "{end:?}");
        atomic.fixture.engine.set_stable(sequence);
        assert_eq!(atomic.code(&secret), end);
        atomic.fixture.engine.set_stable(sequence - 1);
        assert_eq!(atomic.code(&secret), end, "what is stable stays so");
    }
}

#[test]
fn a_deleted_key_is_known_until_its_deletion_is_stable() {
    let atomic = Atomic::new(true);
    let (key, secret) = atomic.key();
    let sequence = atomic.apply(Change::KeyRemoved(key.number), true);
    let verdict = atomic.fixture.verify(&secret);
    assert_eq!((verdict.code, verdict.key.map(|hit| hit.id)), (Code::Revoking, Some(key.id)));
    let forged = fixture::secret(keywright_keyformat::KeyKind::Live, 99);
    assert_eq!(atomic.code(&forged), Code::InvalidKey, "another key is not revoking");
    atomic.fixture.engine.set_stable(sequence);
    assert_eq!(atomic.code(&secret), Code::InvalidKey);
}

#[test]
fn a_revocation_that_is_told_is_revoking_as_well() {
    let atomic = Atomic::new(true);
    let (key, secret) = atomic.key();
    let engine = &atomic.fixture.engine;
    let sequence = engine.revoke_from(engine.applied() + 1, &[key.number]).unwrap();
    assert_eq!(atomic.code(&secret), Code::Revoking);
    engine.set_stable(sequence);
    assert_eq!(atomic.code(&secret), Code::RevokedKey);
}

#[test]
fn it_ends_when_no_lease_from_before_can_be_left_counted_from_receipt() {
    let atomic = Atomic::new(true);
    let (mut key, secret) = atomic.key();
    key.revoked = true;
    atomic.apply(put(&key), true);
    atomic.fixture.clock.advance_ms(WAIT_MS - 1);
    assert_eq!(atomic.code(&secret), Code::Revoking);
    atomic.fixture.clock.advance_ms(1);
    assert_eq!(atomic.code(&secret), Code::RevokedKey);
}

#[test]
fn the_longest_lease_that_any_node_may_hold_counts() {
    let atomic = Atomic::new(true);
    let (mut key, secret) = atomic.key();
    let workspace = fixture::workspace(1, "acme", "standard");
    // Its lease was cut a moment ago.
    let cut = WorkspaceView { atomic: true, lease: LeaseTerm::Short, wait: LeaseTerm::Standard, ..workspace };
    atomic.apply(Change::Workspace(cut), true);
    key.revoked = true;
    atomic.apply(put(&key), true);
    atomic.fixture.clock.advance_ms(WAIT_MS - 1);
    assert_eq!(atomic.code(&secret), Code::Revoking);
    atomic.fixture.clock.advance_ms(1);
    assert_eq!(atomic.code(&secret), Code::RevokedKey);
}

#[test]
fn only_what_the_change_took_is_revoking() {
    let atomic = Atomic::new(true);
    let (mut key, secret) = atomic.key();
    let reading = keywright_domain::permission::Builtin::DEFAULT;
    key.permissions = keywright_domain::permission::PermissionSet::EMPTY;
    atomic.apply(put(&key), true);
    let ask = |permissions| {
        let request = VerifyRequest { permissions, ..fixture::request(&secret) };
        atomic.fixture.engine.verify(&request).code
    };
    assert_eq!(ask(keywright_domain::permission::PermissionSet::EMPTY), Code::Valid);
    assert_eq!(ask(reading), Code::Revoking);
    let more = keywright_domain::permission::PermissionSet::ALL;
    assert_eq!(ask(more), Code::InsufficientPermissions, "this it could never do");
    // A second change on top of the first.
    key.revoked = true;
    atomic.apply(put(&key), true);
    assert_eq!(ask(reading), Code::Revoking, "before the first one it could");
    assert_eq!(ask(more), Code::RevokedKey);
}

#[test]
fn elsewhere_a_refusal_is_a_refusal() {
    let plain = Atomic::new(false);
    let (mut key, secret) = plain.key();
    key.revoked = true;
    plain.apply(put(&key), true);
    assert_eq!(plain.code(&secret), Code::RevokedKey);
    // A node without others knows everything that all nodes know.
    let alone = Atomic::new(true);
    alone.fixture.engine.set_leases([LeaseEnd::NEVER; 4]);
    let (mut key, secret) = alone.key();
    key.revoked = true;
    alone.apply(put(&key), true);
    assert_eq!(alone.code(&secret), Code::RevokedKey);
}

#[test]
fn after_a_load_every_end_may_be_news_to_others() {
    let atomic = Atomic::new(true);
    let (mut key, secret) = atomic.key();
    key.revoked = true;
    let fixture = &atomic.fixture;
    fixture.engine.begin_reload();
    fixture.load_defaults();
    let workspace = fixture::workspace(1, "acme", "standard");
    fixture.engine.load(&Change::Workspace(WorkspaceView { atomic: true, ..workspace })).unwrap();
    fixture.engine.load(&put(&key)).unwrap();
    fixture.engine.finish_load(9).unwrap();
    let boot_ns = Moment::read(&*fixture.clock).boot_ns;
    fixture.engine.set_leases([LeaseEnd(boot_ns + 3_600_000_000_000); 4]);
    assert_eq!(atomic.code(&secret), Code::Revoking);
    fixture.engine.set_stable(9);
    assert_eq!(atomic.code(&secret), Code::RevokedKey);
    assert_eq!(key.number, KeyNumber(1));
}
