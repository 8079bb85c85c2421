//! Readers while the writer changes everything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    thread,
};

use keywright_domain::{change::Change, key::KeyNumber, verdict::Code};
use keywright_engine::VerifyRequest;
use keywright_keyformat::Secret;

use crate::fixture::{Fixture, request};

const KEYS: u32 = 64;

/// What the writer has announced about a key.
const ACTIVE: u32 = 0;
const REVOKED: u32 = 1;
const REMOVED: u32 = 2;
const CHANGING: u32 = 3;

/// Key `n` is always written with texts and networks that belong to state `n · 1000 + generation`, so that a mix of two
/// states shows.
fn view_of(
    fixture: &Fixture,
    number: u32,
    generation: u32,
    secret: &Secret,
) -> keywright_domain::change::KeyView {
    let (mut view, _) = fixture.key(number);
    view.secrets = vec![fixture.secret_view(secret, 1)];
    let fill = "ab".repeat(usize::try_from(generation % 200).unwrap());
    view.external_id = Some(format!("{number}-{generation}"));
    view.metadata = format!("{number}-{generation}-{fill}");
    view.networks =
        vec![format!("10.{number}.0.0/16").parse().unwrap(); usize::try_from(generation % 3).unwrap()];
    view.limits = Some(Vec::new());
    view
}

fn read_one(
    fixture: &Fixture,
    number: u32,
    secret: &Secret,
    announced: &AtomicU32,
    buffer: &mut Vec<u8>,
) -> Option<Code> {
    let before = announced.load(SeqCst);
    let ask = VerifyRequest { client: Some(format!("10.{number}.1.1").parse().unwrap()), ..request(secret) };
    let verdict = fixture.engine.verify(&ask);
    let stable = before == announced.load(SeqCst);
    match (before % 4, verdict.code) {
        (ACTIVE, code) if stable => assert_eq!(code, Code::Valid),
        (REVOKED, code) if stable => {
            assert_eq!(code, Code::RevokedKey, "accepted after the revocation was applied");
        }
        (REMOVED, code) if stable => assert_eq!(code, Code::InvalidKey),
        (_, code) => assert!(matches!(code, Code::Valid | Code::RevokedKey | Code::InvalidKey), "{code:?}"),
    }
    let hit = verdict.key?;
    assert_eq!(hit.number.0, number);
    let details = fixture.engine.details(&hit, buffer)?;
    let external_id = details.external_id.unwrap();
    assert!(
        details.metadata.starts_with(&format!("{external_id}-")),
        "{external_id} with {}",
        details.metadata
    );
    assert!(external_id.starts_with(&format!("{number}-")));
    Some(verdict.code)
}

#[test]
fn no_reader_sees_a_torn_or_an_outdated_key() {
    let fixture = Arc::new(Fixture::new());
    let secrets: Arc<Vec<Secret>> = Arc::new(
        (0..KEYS)
            .map(|number| crate::fixture::secret(keywright_keyformat::KeyKind::Live, number.into()))
            .collect(),
    );
    // Generation · 4 + state: a reader that sees the same number before and after saw no change.
    let announced: Arc<Vec<AtomicU32>> = Arc::new((0..KEYS).map(|_| AtomicU32::new(REMOVED)).collect());
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3_u32)
        .map(|reader| {
            let (fixture, secrets) = (Arc::clone(&fixture), Arc::clone(&secrets));
            let (announced, stop) = (Arc::clone(&announced), Arc::clone(&stop));
            thread::spawn(move || {
                let (mut accepted, mut position, mut buffer) = (0_u64, reader, Vec::new());
                while !stop.load(SeqCst) {
                    position = position.wrapping_mul(5).wrapping_add(7 + reader) % KEYS;
                    let index = usize::try_from(position).unwrap();
                    let code = read_one(&fixture, position, &secrets[index], &announced[index], &mut buffer);
                    accepted += u64::from(code == Some(Code::Valid));
                }
                accepted
            })
        })
        .collect();
    for step in 0..40_000_u32 {
        let number = step.wrapping_mul(2_654_435_761) >> 26;
        let index = usize::try_from(number).unwrap();
        announced[index].store(step * 4 + CHANGING, SeqCst);
        let mut view = view_of(&fixture, number, step, &secrets[index]);
        let state = step % 3;
        if state == REMOVED {
            fixture.apply(Change::KeyRemoved(KeyNumber(number)));
        } else {
            view.revoked = state == REVOKED;
            fixture.put(&view);
        }
        announced[index].store(step * 4 + state, SeqCst);
    }
    stop.store(true, SeqCst);
    assert!(readers.into_iter().map(|reader| reader.join().unwrap()).sum::<u64>() > 0);
}
