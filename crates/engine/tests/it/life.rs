//! Loading, following, and the lease.

use keywright_domain::{
    change::{Change, ChangeSink, NumberedChange},
    verdict::Code,
};
use keywright_engine::{ApplyError, LeaseEnd, Moment};

use crate::fixture::Fixture;

fn numbered(sequence: u64, change: Change) -> NumberedChange {
    NumberedChange { sequence, restricting: true, change }
}

#[test]
fn nothing_is_answered_before_the_lease_is_open() {
    let fixture = Fixture::empty();
    let (_, secret) = fixture.key(1);
    assert_eq!(fixture.verify(&secret).code, Code::Unavailable, "not `invalid_key`: nobody knows yet");
    fixture.engine.set_leases([LeaseEnd::NEVER; 4]);
    assert_eq!(fixture.verify(&secret).code, Code::Unavailable, "a lease needs a loaded state");
    fixture.engine.finish_load(0).unwrap();
    fixture.engine.set_leases([LeaseEnd::NEVER; 4]);
    assert_eq!(fixture.verify(&secret).code, Code::InvalidKey);
}

#[test]
fn a_lease_ends_on_the_boot_clock_and_can_be_taken_back() {
    let fixture = Fixture::new();
    let (key, secret) = fixture.key(1);
    fixture.put(&key);
    let end = Moment::read(&*fixture.clock).boot_ns + 1_000_000;
    fixture.engine.set_leases([LeaseEnd(end); 4]);
    assert_eq!(fixture.verify(&secret).code, Code::Valid);
    fixture.clock.advance_ms(1);
    assert_eq!(fixture.verify(&secret).code, Code::Unavailable);
    fixture.engine.set_leases([LeaseEnd(end + 1); 4]);
    assert!(fixture.engine.is_ready());
    assert_eq!(fixture.verify(&secret).code, Code::Valid);
    fixture.engine.drop_leases();
    assert_eq!(fixture.verify(&secret).code, Code::Unavailable);
}

#[test]
fn changes_during_the_load_wait_and_old_ones_are_ignored() {
    let fixture = Fixture::new();
    let loading = Fixture::empty();
    let (mut key, secret) = fixture.key(1);
    for change in [
        Change::Plan(keywright_domain::plan::Plan::builtin()[0].clone()),
        Change::Workspace(crate::fixture::workspace(1, "acme", "standard")),
        Change::Membership(crate::fixture::membership(1)),
        Change::Key(Box::new(key.clone())),
    ] {
        loading.engine.load(&change).unwrap();
    }
    key.revoked = true;
    loading.engine.committed(&[
        numbered(9, Change::KeyRemoved(key.number)),
        numbered(10, Change::KeyRemoved(key.number)),
    ]);
    loading.engine.committed(&[numbered(11, Change::Key(Box::new(key.clone())))]);
    loading.engine.finish_load(10).unwrap();
    loading.engine.set_leases([LeaseEnd::NEVER; 4]);
    assert_eq!(loading.verify(&secret).code, Code::RevokedKey, "9 and 10 were in the load, 11 was not");
    assert_eq!(loading.engine.applied(), 11);
    loading.engine.committed(&[numbered(11, Change::KeyRemoved(key.number))]);
    assert_eq!(loading.verify(&secret).code, Code::RevokedKey, "applied once");
    assert_eq!(loading.engine.load(&Change::KeyRemoved(key.number)), Err(ApplyError::NotFollowing));
}

#[test]
fn a_missed_change_ends_all_answers() {
    let fixture = Fixture::new();
    let (key, secret) = fixture.key(1);
    fixture.put(&key);
    let gap = numbered(3, Change::KeyRemoved(key.number));
    assert_eq!(fixture.engine.apply(&gap), Err(ApplyError::Gap { expected: 2, found: 3 }));
    assert!(!fixture.engine.is_following());
    assert_eq!(fixture.verify(&secret).code, Code::Unavailable);
    fixture.engine.set_leases([LeaseEnd::NEVER; 4]);
    assert_eq!(fixture.verify(&secret).code, Code::Unavailable, "no lease brings a broken state back");
    assert_eq!(
        fixture.engine.apply(&numbered(2, Change::KeyRemoved(key.number))),
        Err(ApplyError::NotFollowing)
    );
}

#[test]
fn a_key_beyond_the_tables_is_refused_whole() {
    let fixture = Fixture::new();
    let (mut key, secret) = fixture.key(1);
    fixture.put(&key);
    key.networks = vec!["203.0.113.0/24".parse().unwrap(); 65];
    let change = numbered(2, Change::Key(Box::new(key)));
    assert!(matches!(fixture.engine.apply(&change), Err(ApplyError::OutOfRange(_))));
    assert_eq!(fixture.verify(&secret).code, Code::Unavailable);
}
