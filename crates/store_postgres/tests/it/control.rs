//! The control log: what its answers guarantee, whatever is lost, late or repeated.

use std::{sync::Arc, time::Duration};

use keywright_domain::{
    control::{
        Announcement, ControlLog as _, Epoch, Incarnation, NewNode, NodeRow, PollReply, PollRequest,
        history_began,
    },
    key::KeyChange,
    store::{Store as _, StoreError},
};
use keywright_store_postgres::{
    AnnouncementKey, Announcements, PostgresControl, PostgresOptions, PostgresStore,
};
use keywright_testkit::Installation;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{
    proxy::{Fault, Proxy},
    server::{empty_store_in, hold, own_schema, shared},
};

/// Longer than everything that has a limit here.
const AT_MOST: Duration = Duration::from_secs(30);

const A: Incarnation = Incarnation([1; 16]);
const B: Incarnation = Incarnation([2; 16]);

fn node(name: &str, incarnation: Incarnation) -> NewNode {
    NewNode {
        name: name.to_owned(),
        incarnation,
        address: String::new(),
        version: "test".to_owned(),
        applied: 0,
        reasserted: None,
    }
}

fn ask(incarnation: Incarnation, applied: u64) -> PollRequest {
    PollRequest { incarnation, applied, anchor: None }
}

/// An installation and its control log.
async fn opened(
    announcements: Announcements,
) -> (Installation<PostgresStore>, PostgresControl, PostgresOptions) {
    let options = own_schema(shared());
    let installation = Installation::set_up(empty_store_in(options.clone()).await).await;
    let control = PostgresControl::new(options.clone(), announcements).unwrap();
    (installation, control, options)
}

async fn row(control: &PostgresControl, incarnation: Incarnation) -> NodeRow {
    let rows = control.nodes().await.unwrap();
    rows.into_iter().find(|row| row.incarnation == incarnation).unwrap()
}

async fn heads(control: &PostgresControl, run: Incarnation) -> PollReply {
    control.poll(ask(run, 0)).await.unwrap()
}

#[tokio::test]
async fn a_poll_shows_what_was_committed_before_it_and_counts_as_an_acknowledgement() {
    let (installation, control, _) = opened(Announcements::Glance).await;
    control.register(node("a", A)).await.unwrap();
    for number in 0..5 {
        let before = heads(&control, A).await;
        installation.create_key(&format!("key {number}")).await;
        let after = heads(&control, A).await;
        assert!(after.is_alive && after.head > before.head, "{before:?} {after:?}");
        assert_eq!(after.head, control.head().await.unwrap());
        assert_eq!(after.anchor.audit_sequence, installation.store.audit_head().await.unwrap().0);
    }
    let anchor = heads(&control, A).await.anchor;
    let with = |anchor| PollRequest { anchor: Some(anchor), ..ask(A, 3) };
    assert!(control.poll(with(anchor)).await.unwrap().is_anchored);
    let foreign = keywright_domain::control::Anchor { audit_hash: [7; 32], ..anchor };
    assert!(!control.poll(with(foreign)).await.unwrap().is_anchored, "another history");
    assert_eq!(row(&control, A).await.applied, 3);
    // Acknowledgements that arrive late or twice take nothing back.
    control.acknowledge(A, 5).await.unwrap();
    control.acknowledge(A, 4).await.unwrap();
    control.poll(ask(A, 2)).await.unwrap();
    assert_eq!(row(&control, A).await.applied, 5);
}

#[tokio::test]
async fn a_registration_that_is_repeated_is_one_and_two_runs_of_a_name_are_two() {
    let (_installation, control, _) = opened(Announcements::Glance).await;
    control.register(node("same", A)).await.unwrap();
    control.poll(ask(A, 7)).await.unwrap();
    control.register(node("same", A)).await.unwrap();
    control.register(node("same", B)).await.unwrap();
    assert_eq!(control.nodes().await.unwrap().len(), 2);
    assert_eq!((row(&control, A).await.applied, row(&control, A).await.renewals), (7, 1), "kept");
    assert!(control.forget(A).await.unwrap());
    assert!(!control.forget(A).await.unwrap(), "it is gone already");
    let after = control.poll(ask(A, 7)).await.unwrap();
    assert!(!after.is_alive, "whoever is forgotten gets no lease");
    assert!(control.poll(ask(B, 0)).await.unwrap().is_alive, "the other run is another node");
}

#[tokio::test]
async fn who_is_challenged_or_fenced_was_silent_and_learns_of_it() {
    let (_installation, control, _) = opened(Announcements::Glance).await;
    control.register(node("a", A)).await.unwrap();
    let head = heads(&control, A).await.head;
    assert!(!control.challenge(A, 0, head + 1).await.unwrap(), "it has polled since");
    assert!(control.challenge(A, 1, head + 1).await.unwrap());
    let challenged = heads(&control, A).await;
    assert!(challenged.is_alive && challenged.challenge > challenged.head, "{challenged:?}");
    assert!(control.challenge(A, 2, head).await.unwrap(), "a lower one does not lower it");
    assert_eq!(heads(&control, A).await.challenge, head + 1);
    assert!(!control.fence(A, 2).await.unwrap(), "it has polled since");
    assert!(control.fence(A, 3).await.unwrap());
    assert!(!heads(&control, A).await.is_alive);
    assert!(row(&control, A).await.is_fenced);
}

/// A poll that waits for its row shows what was there before the challenge, and must not miss the challenge.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_waited_carries_the_challenge_that_it_waited_for() {
    let (installation, control, options) = opened(Announcements::Glance).await;
    let control = Arc::new(control);
    control.register(node("a", A)).await.unwrap();
    for number in 0..40 {
        let before = heads(&control, A).await;
        let challenge = format!("UPDATE nodes SET challenge = {}", before.head + 1);
        let holder = hold(&options.schema, &challenge);
        let polled = {
            let control = Arc::clone(&control);
            tokio::spawn(async move { control.poll(ask(A, 0)).await })
        };
        installation.create_key(&format!("committed while the poll waits {number}")).await;
        let polled = polled.await.unwrap();
        assert!(holder.await.unwrap().status.success());
        match polled {
            // It began before the key was committed, and ended after the challenge was.
            Ok(reply) if reply.head == before.head => {
                return assert_eq!(reply.challenge, before.head + 1, "{reply:?}");
            }
            // Too late to tell, or the machine is so busy that it gave up.
            Ok(_) | Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("another error: {other}"),
        }
    }
    panic!("no poll ever waited");
}

#[tokio::test]
async fn a_generation_is_begun_once_and_its_numbers_are_new() {
    let (installation, control, _) = opened(Announcements::Glance).await;
    control.register(node("a", A)).await.unwrap();
    let first = heads(&control, A).await;
    assert_eq!((first.generation, first.generation_epoch), (0, Epoch::default()));
    assert!(control.begin_generation(0, first.epoch).await.unwrap());
    assert!(!control.begin_generation(0, first.epoch).await.unwrap(), "another node was faster");
    let begun = heads(&control, A).await;
    assert_eq!((begun.generation, begun.generation_epoch, begun.head), (1, first.epoch, first.head));
    installation.create_key("of the first generation").await;
    let last = heads(&control, A).await.head;
    // As if a standby had been promoted.
    let (one, other) = tokio::join!(
        control.begin_generation(1, Epoch { timeline: 2, ..first.epoch }),
        control.begin_generation(1, Epoch { timeline: 2, ..first.epoch })
    );
    assert!(one.unwrap() != other.unwrap(), "exactly one of them");
    let second = heads(&control, A).await;
    assert_eq!((second.generation, second.head), (2, 1 << 32));
    assert!(history_began(last) < history_began(second.head));
    // Acknowledgements from before count for nothing, however late.
    control.acknowledge(A, last).await.unwrap();
    assert!(row(&control, A).await.applied < second.head);
    assert!(!second.is_generation_settled, "the node has not re-asserted what it knew");
    control.reasserted(A, 2).await.unwrap();
    assert!(heads(&control, A).await.is_generation_settled);
    control.reasserted(A, 1).await.unwrap();
    assert_eq!(heads(&control, A).await.reasserted, 2, "a late one takes nothing back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_that_is_lost_is_made_up_for() {
    let (installation, _, mut options) = opened(Announcements::Listen).await;
    options.application_name = options.schema.clone();
    let control = PostgresControl::new(options.clone(), Announcements::Listen).unwrap();
    let announced = async || timeout(AT_MOST, control.announced()).await.expect("something is announced");
    let only = async |control: &PostgresControl| Announcement::of(control.head().await.unwrap());
    assert_eq!(announced().await.unwrap(), only(&control).await, "where things stand");
    installation.create_key("announced").await;
    assert_eq!(announced().await.unwrap(), only(&control).await);
    // The session ends, and what is committed meanwhile is announced to nobody.
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name =";
    assert_eq!(shared().sql(&format!("{end} '{} control'", options.schema)), "1");
    installation.create_key("announced to nobody").await;
    let head = loop {
        match announced().await {
            Ok(head) => break head,
            Err(StoreError::Unavailable(_)) => {}
            Err(other) => panic!("another error: {other}"),
        }
    };
    assert_eq!(head, only(&control).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_tells_which_keys_were_revoked_if_that_is_all() {
    let (installation, control, _) = opened(Announcements::Listen).await;
    let [first, second, third] = ["one", "two", "three"];
    let mut keys = Vec::new();
    for name in [first, second, third] {
        keys.push(installation.create_key(name).await);
    }
    let announced = async || timeout(AT_MOST, control.announced()).await.expect("it is announced").unwrap();
    let stands = announced().await;
    let mut sequence = stands.sequence;
    assert_eq!(stands, Announcement::of(control.head().await.unwrap()));
    let revoke = || KeyChange::Revoke { reason: Some("as a test".to_owned()) };
    installation.change(keys[0].id, revoke()).await.unwrap();
    sequence += 1;
    let told = announced().await;
    assert_eq!(told, Announcement { sequence, revoked: vec![keys[0].number] });
    // Again: nothing changes, and nothing is announced. Then something that only a fetch can tell, and a revocation.
    installation.change(keys[0].id, revoke()).await.unwrap();
    installation.change(keys[1].id, KeyChange::Disable).await.unwrap();
    sequence += 1;
    assert_eq!(announced().await, Announcement::of(sequence));
    installation.change(keys[1].id, revoke()).await.unwrap();
    installation.change(keys[2].id, revoke()).await.unwrap();
    sequence += 2;
    let last = loop {
        let last = announced().await;
        if last.sequence == sequence {
            break last;
        }
    };
    assert_eq!(last.revoked, [keys[1].number, keys[2].number], "also if one of them was not looked at");
    installation.change(keys[2].id, KeyChange::Delete).await.unwrap();
    assert_eq!(announced().await, Announcement::of(sequence + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_announce_only_makes_nodes_look() {
    let (installation, control, mut options) = opened(Announcements::Listen).await;
    let key = installation.create_key("one").await;
    let announced =
        async |control: &PostgresControl| timeout(AT_MOST, control.announced()).await.unwrap().unwrap();
    let next = announced(&control).await.sequence + 1;
    // Whoever may connect can announce.
    let forged = format!("{next} {} {:032x}", key.number.0, 7);
    shared().sql(&format!("NOTIFY {}_changes, '{forged}'", options.schema));
    assert_eq!(announced(&control).await, Announcement::of(next));
    // A node with another key believes no more than that something changed.
    options.announcement_key = Some(AnnouncementKey::new(Zeroizing::new([9; 32])));
    let stranger = PostgresControl::new(options, Announcements::Listen).unwrap();
    assert_eq!(announced(&stranger).await, Announcement::of(next - 1), "where things stand");
    installation.change(key.id, KeyChange::Revoke { reason: None }).await.unwrap();
    assert_eq!(announced(&control).await, Announcement { sequence: next, revoked: vec![key.number] });
    assert_eq!(announced(&stranger).await, Announcement::of(next));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_is_announced_the_head_is_looked_at() {
    // Asked for, and because the server does not know how to announce.
    let proxy = Proxy::start(shared().port());
    proxy.set(Fault::Says(b"LISTEN ", b"LISTEM "));
    for announcements in [Announcements::Glance, Announcements::Listen] {
        let (installation, _, mut options) = opened(announcements).await;
        if announcements == Announcements::Listen {
            options.url = PostgresOptions::new(shared().url_through(proxy.port())).url;
        }
        let control = PostgresControl::new(options, announcements).unwrap();
        let announced =
            async || timeout(AT_MOST, control.announced()).await.expect("it is looked at").unwrap();
        assert_eq!(announced().await, Announcement::of(control.head().await.unwrap()));
        for number in 0..3 {
            installation.create_key(&format!("key {number}")).await;
            let head = control.head().await.unwrap();
            while announced().await.sequence < head {}
        }
        // Everything else works as well.
        control.register(node("a", A)).await.unwrap();
        assert_eq!(control.nodes().await.unwrap().len(), 1);
    }
}
