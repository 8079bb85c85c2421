//! Credits over several nodes, and over processes that end without a word: no unit is lost, none is spent twice.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use keywright_api::credits::Credits;
use keywright_domain::{
    change::ChangeSink,
    command::{Command, Outcome},
    credit::{CreditAccount, CreditCommand, CreditStore, CreditSubject},
    ids::CreditAccountId,
    key::NewKey,
    permit::Action,
    store::Store,
    time::Clock,
    verdict::Code,
};
use keywright_engine::{
    Engine, EngineOptions, LeaseEnd, Moment, Pepper, PepperSet, Spool, SpoolOptions, Verdict, VerifyRequest,
};
use keywright_keyformat::{KeyKind, Secret};
use keywright_store_sqlite::SqliteStore;
use keywright_testkit::{Failure, FaultyStore, Installation, ManualClock, Recorder, Samples, SeededEntropy};
use tempfile::TempDir;

type Shared = FaultyStore<SqliteStore>;

/// A database with a customer, whose key the nodes verify.
struct World {
    store: Arc<Shared>,
    installation: Installation<Shared>,
    clock: Arc<ManualClock>,
    key: String,
    directories: TempDir,
    /// Each process draws other random numbers.
    processes: AtomicU64,
}

/// A process that verifies.
struct Node {
    engine: Arc<Engine>,
    credits: Credits,
}

fn peppers() -> PepperSet {
    PepperSet::new(1, [(1, Pepper::from_bytes([9; 32]))]).unwrap()
}

impl World {
    async fn new(granted: u64) -> Self {
        let store = Arc::new(FaultyStore::new(Arc::new(
            SqliteStore::open_in_memory(keywright_testkit::vault()).unwrap(),
        )));
        let installation = Installation::set_up(Arc::clone(&store)).await;
        let clock = Arc::new(ManualClock::at(Samples::NOW));
        let directories = TempDir::new().unwrap();
        let mut world = Self {
            store,
            installation,
            clock,
            key: String::new(),
            directories,
            processes: AtomicU64::new(1),
        };
        let digests = world.node("digests", 0).await;
        let (secret, new) = world.installation.samples.secret(KeyKind::Live);
        world.create_key(&digests, &secret, new).await;
        world.grant(granted).await;
        world
    }

    async fn create_key(&mut self, node: &Node, secret: &Secret, new: keywright_domain::key::NewSecret) {
        let text = secret.expose().to_owned();
        let digest = node.engine.digest(text.as_bytes());
        let new = NewKey {
            secret: keywright_domain::key::NewSecret { digest, ..new },
            external_id: Some("cust_42".to_owned()),
            limits: Some(Vec::new()),
            ..self.installation.samples.new_key("app")
        };
        let permit = Samples::keys_permit(self.installation.workspace.id);
        let context = self.installation.samples.context(permit);
        self.store.execute(context, Command::CreateKey(Box::new(new))).await.unwrap();
        self.key = text;
    }

    async fn grant(&self, amount: u64) {
        let samples = &self.installation.samples;
        let account = CreditAccountId::generate(Samples::NOW, samples.entropy());
        let grant = CreditCommand::Grant { account, subject: customer(), amount, reason: None };
        let permit = Samples::permit(Action::Operate, Some(self.installation.workspace.id));
        let done = self.store.execute(samples.context(permit), Command::Credit(grant)).await.unwrap();
        assert!(matches!(done.outcome, Outcome::Credit(..)));
    }

    /// A process on its directory, on a machine that was started for the `machine`th time.
    async fn node(&self, name: &str, machine: u64) -> Node {
        // The store lets go of the process before, which ended.
        self.store.attach(Arc::new(Recorder::default()));
        let directory: PathBuf = self.directories.path().join(name);
        let options = SpoolOptions { machine_start: machine, ..SpoolOptions::new([7; 16], 7) };
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let engine = Engine::new(EngineOptions {
            peppers: peppers(),
            issuer_tag: None,
            clock: Arc::clone(&clock),
            spool: Arc::new(Spool::open(directory, options).unwrap()),
        });
        let engine = Arc::new(engine.with_shared_limits());
        engine.set_nodes(3);
        self.store.attach(Arc::clone(&engine) as Arc<dyn ChangeSink>);
        let loading = Arc::clone(&engine);
        let sequence = self.store.load(Box::new(move |change| loading.load(&change).unwrap())).await.unwrap();
        engine.finish_load(sequence).unwrap();
        engine.set_leases([LeaseEnd::NEVER; 4]);
        let entropy = Arc::new(SeededEntropy::new(self.processes.fetch_add(1, Ordering::Relaxed)));
        let credits = Credits::new(Arc::clone(&self.store) as Arc<dyn Store>, clock, entropy);
        Node { engine, credits }
    }

    async fn account(&self) -> CreditAccount {
        let found =
            self.store.credit_account(self.installation.workspace.id, customer()).await.unwrap().unwrap();
        assert!(found.is_balanced(), "{found:?}");
        found
    }
}

fn customer() -> CreditSubject {
    CreditSubject::External("cust_42".to_owned())
}

impl Node {
    /// Verifies as the interface does; `None`: credits cannot be drawn.
    async fn verify(&self, world: &World, credits: u32) -> Option<Verdict> {
        for _ in 0..32 {
            let request = VerifyRequest { credits, ..VerifyRequest::new(world.key.as_bytes()) };
            let verdict = self.engine.verify_at(&request, Moment::read(&*world.clock));
            if !verdict.needs_credits() {
                return Some(verdict);
            }
            let missing = self.engine.missing_credits(&verdict, &request).unwrap();
            self.credits.draw(&self.engine, &missing).await.ok()?;
        }
        panic!("draws come to no end");
    }

    /// Spends until the balance says no; returns how much.
    async fn spend(&self, world: &World, calls: u32, credits: u32) -> u64 {
        let mut spent = 0;
        for _ in 0..calls {
            let verdict = self.verify(world, credits).await.unwrap();
            match verdict.code {
                Code::Valid => spent += u64::from(credits),
                code => assert_eq!(code, Code::QuotaExceeded),
            }
        }
        spent
    }
}

#[tokio::test]
async fn three_nodes_spend_a_balance_to_the_last_unit_and_not_more() {
    let world = World::new(500).await;
    let nodes = [world.node("a", 1).await, world.node("b", 1).await, world.node("c", 1).await];
    let mut spent = 0;
    for round in 0..40 {
        for (node, calls) in nodes.iter().zip([5, 2, 1]) {
            spent += node.spend(&world, calls, 1 + round % 3).await;
            world.account().await;
        }
        // A clock that moves: what is refused is asked again, what lies idle comes back.
        world.clock.advance_ms(300);
        for node in &nodes {
            node.credits.maintain(&node.engine).await.unwrap();
        }
    }
    for node in &nodes {
        node.credits.finish(&node.engine).await.unwrap();
    }
    let account = world.account().await;
    assert_eq!((account.spent, account.held, account.balance), (spent, 0, 500 - spent));
    assert!(spent >= 498, "what is left is less than a call: {spent}");
}

#[tokio::test]
async fn a_killed_process_loses_no_count() {
    let world = World::new(1_000).await;
    let mut told = 0;
    for life in 0..20 {
        let node = world.node("a", 1).await;
        if life % 3 == 0 {
            node.credits.maintain(&node.engine).await.unwrap();
        }
        told += node.spend(&world, 3 + life, 2).await;
        world.clock.advance_ms(10);
        // Ends here without a word, in the middle of a slice.
        drop(node);
    }
    assert!(world.account().await.held > 0, "something was left lying");
    let last = world.node("a", 1).await;
    last.credits.finish(&last.engine).await.unwrap();
    let account = world.account().await;
    assert_eq!((account.spent, account.held, account.balance), (told, 0, 1_000 - told));
}

#[tokio::test]
async fn after_a_crash_of_the_machine_a_slice_counts_as_spent() {
    let world = World::new(100).await;
    let node = world.node("a", 1).await;
    assert_eq!(node.spend(&world, 1, 7).await, 7);
    drop(node);
    let held = world.account().await.held;
    let after = world.node("a", 2).await;
    after.credits.finish(&after.engine).await.unwrap();
    let account = world.account().await;
    assert_eq!((account.held, account.spent), (0, held));
}

#[tokio::test]
async fn a_draw_whose_answer_is_lost_is_given_back() {
    for failure in Failure::ALL {
        let world = World::new(100).await;
        let node = world.node("a", 1).await;
        world.store.fail_at(1, failure);
        assert!(node.verify(&world, 10).await.is_none(), "{failure:?}");
        assert_eq!(node.spend(&world, 1, 10).await, 10, "{failure:?}");
        world.clock.advance_seconds(31);
        node.credits.finish(&node.engine).await.unwrap();
        let account = world.account().await;
        assert_eq!((account.spent, account.held, account.balance), (10, 0, 90), "{failure:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_told_later() {
    for failure in Failure::ALL {
        let world = World::new(100).await;
        let node = world.node("a", 1).await;
        assert_eq!(node.spend(&world, 3, 5).await, 15);
        world.store.fail_all(failure);
        node.engine.end_all_slices();
        assert!(node.credits.maintain(&node.engine).await.is_err(), "{failure:?}");
        world.store.heal();
        node.credits.maintain(&node.engine).await.unwrap();
        let account = world.account().await;
        assert_eq!((account.spent, account.held), (15, 0), "{failure:?}");
    }
}
