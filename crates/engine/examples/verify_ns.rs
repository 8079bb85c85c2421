//! Nanoseconds per verification and resident bytes per key, over many random keys on one thread.
//!
//! `cargo run --release -p keywright-engine --example verify_ns [KEYS]`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use keywright_domain::{
    change::{Change, KeyView, MembershipView, SecretView, WorkspaceView},
    environment::Environment,
    ids::{KeyId, SecretId, UserId, WorkspaceId},
    key::KeyNumber,
    permission::{Builtin, PermissionSet},
    plan::Plan,
    principal::{Creator, MembershipNumber, Principal},
    time::Clock,
    workspace::WorkspaceNumber,
};
use keywright_engine::{
    Engine, EngineOptions, LeaseClass, LeaseEnd, Moment, Pepper, PepperSet, Spool, SpoolOptions, SystemClock,
    VerifyRequest,
};
use keywright_keyformat::{KeyKind, Secret, parse};

/// xorshift64*: enough to pick keys at random.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from((u128::from(self.next()) * bound as u128) >> 64).expect("below a usize")
    }
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs is mounted");
    let pages: u64 = statm.split(' ').nth(1).and_then(|field| field.parse().ok()).expect("resident pages");
    pages * 4_096
}

fn surroundings() -> [Change; 3] {
    let principal = Principal::User(UserId::from_bytes([2; 16]));
    let [mut standard, ..] = Plan::builtin();
    standard.key_limits[0].limit = 4_000_000_000;
    [
        Change::Plan(standard),
        Change::Workspace(WorkspaceView {
            number: WorkspaceNumber(1),
            id: WorkspaceId::from_bytes([1; 16]),
            slug: "acme".to_owned(),
            plan: "standard".to_owned(),
            allowed_permissions: PermissionSet::ALL,
            suspended: false,
        }),
        Change::Membership(MembershipView {
            number: MembershipNumber(1),
            workspace: WorkspaceId::from_bytes([1; 16]),
            principal,
            permissions: PermissionSet::ALL,
            ended: false,
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
        expires_at: None,
        disabled: false,
        revoked: false,
        limits: None,
        networks: Vec::new(),
        external_id: None,
        metadata: format!("{{\"customer\":\"{number:049}\"}}"),
        secrets: vec![SecretView {
            id: SecretId::from_bytes(id),
            ordinal: 1,
            locator: parsed.locator(),
            digest: engine.digest(parsed.text()),
            expires_at: None,
            retired: false,
        }],
    }
}

fn load(engine: &Engine, random: &mut Random, keys: u32) -> Vec<[u8; 50]> {
    for change in surroundings() {
        engine.load(&change).expect("fits");
    }
    engine.reserve(keys as usize);
    let mut texts = Vec::with_capacity(keys as usize);
    let (mut loading_ns, mut batch) = (0, Vec::new());
    for number in 1..=keys {
        let secret = Secret::generate(KeyKind::Live, None, |bytes| {
            for byte in bytes {
                *byte = random.next().to_le_bytes()[0];
            }
        });
        texts.push(secret.expose().as_bytes().try_into().expect("50 characters"));
        batch.push(Change::Key(Box::new(key(number, &secret, engine))));
        if batch.len() == 1_024 || number == keys {
            let begin = SystemClock.boot_ns();
            for change in &batch {
                engine.load(change).expect("fits");
            }
            loading_ns += SystemClock.boot_ns() - begin;
            batch.clear();
        }
    }
    engine.finish_load(0).expect("nothing was committed meanwhile");
    println!("load: {:.3} s for {keys} keys", seconds(loading_ns));
    texts
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn per(total: u64, count: usize) -> f64 {
    total as f64 / count as f64
}

const ROUNDS: usize = 500;

/// Many short rounds: the best is least disturbed by whatever else the machine does.
fn measure(name: &str, calls: usize, mut call: impl FnMut(usize)) {
    let mut rounds: Vec<u64> = (0..ROUNDS)
        .map(|round| {
            let begin = SystemClock.boot_ns();
            (round * calls / ROUNDS..(round + 1) * calls / ROUNDS).for_each(&mut call);
            SystemClock.boot_ns() - begin
        })
        .collect();
    rounds.sort_unstable();
    let [best, median] = [rounds[0], rounds[ROUNDS / 2]].map(|round| per(round, calls / ROUNDS));
    println!("{name}: best {best:.1} ns, median {median:.1} ns");
}

fn main() {
    let keys: u32 =
        std::env::args().nth(1).map_or(1_000_000, |count| count.parse().expect("a number of keys"));
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = SpoolOptions { entries_min: 1 << 20, ..SpoolOptions::new([1; 16], 42) };
    let spool = Arc::new(Spool::open(directory.path(), options).expect("opens"));
    let peppers = PepperSet::new(1, [(1, Pepper::from_bytes([3; 32]))]).expect("one pepper");
    let clock = Arc::new(SystemClock);
    let before = resident_bytes();
    let engine = Engine::new(EngineOptions { peppers, issuer_tag: None, clock, spool: Arc::clone(&spool) });
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let texts = load(&engine, &mut random, keys);
    engine.set_lease(LeaseClass::Default, LeaseEnd::NEVER);
    let used = resident_bytes() - before - texts.len() as u64 * 50;
    println!("resident: {:.1} bytes per key (64 bytes of metadata each)", per(used, texts.len()));

    // In the order of their use, as presented keys arrive: what is random is where their records are.
    let presented: Vec<[u8; 50]> = (0..2_500_000).map(|_| texts[random.below(texts.len())]).collect();
    drop(texts);
    measure("clock, both", 2_500_000, |_| {
        black_box(Moment::read(&SystemClock));
    });
    measure("HMAC-SHA-256 of a key", presented.len(), |call| {
        black_box(engine.digest(&presented[call]));
    });
    measure("parse and checksum", presented.len(), |call| {
        black_box(parse(&presented[call], None).expect("generated"));
    });
    measure("verify one key, everything included", presented.len(), |_| {
        black_box(engine.verify(&VerifyRequest::new(&presented[0])));
    });
    // The server prepares segments in the background, too.
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                spool.maintain().expect("a spare segment");
                thread::sleep(Duration::from_millis(50));
            }
        });
        let mut accepted = 0_usize;
        measure("verify random keys, everything included", presented.len(), |call| {
            let permissions = Builtin::DEFAULT;
            let request = VerifyRequest { permissions, ..VerifyRequest::new(&presented[call]) };
            accepted += usize::from(engine.verify(&request).is_valid());
        });
        stop.store(true, Relaxed);
        println!("accepted {accepted} of {} calls; spool {:?}", presented.len(), spool.gauges());
    });
}
