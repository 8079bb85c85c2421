//! Installations move between an embedded database and `PostgreSQL`.

use std::{collections::HashMap, fs, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use keywright_domain::{
    audit::{Checkpoint, StoredEntry},
    command::{Command, Outcome},
    control::{ControlLog as _, Incarnation, NewNode, PollRequest},
    credit::CreditAccount,
    key::{ApiKey, Incident, KeyChange, KeyNumber},
    operator::OperatorCredential,
    permission::Role,
    plan::Plan,
    principal::Membership,
    prompt::{Prompt, PromptFilter, PromptQuery},
    query::{KeyFilter, KeyQuery, LastUsed},
    store::{Store, StoreError},
    time::Timestamp,
    transfer::{
        self, Beginning, Found, Identity, Moved, Progress, Report, ResumePoint, Row, RowReader, TABLES,
        Table, TransferError, TransferSource, TransferTarget,
    },
    usage::{AgentClass, Granularity, LedgerRow, UsageBatch, UsageBucket, UsageQuery, UsageRow},
    verdict::Code,
    workspace::Workspace,
};
use keywright_store_postgres::{
    Announcements, ConnectError, PostgresControl, PostgresOptions, PostgresSource, PostgresStore,
    PostgresTarget,
};
use keywright_store_sqlite::{DATABASE_FILE, OpenError, Options, SqliteSource, SqliteStore, SqliteTarget};
use keywright_testkit::{Samples, VerificationState};
use tempfile::TempDir;

use crate::{
    furnished::everything,
    server::{own_schema, shared},
};

const NOW: Timestamp = Samples::NOW;
/// What a store answers when it is asked for everything.
#[derive(Debug, PartialEq)]
struct Facts {
    state: (u64, VerificationState),
    keys: Vec<ApiKey>,
    found_by_name: usize,
    workspaces: Vec<Workspace>,
    memberships: Vec<Membership>,
    plans: Vec<Plan>,
    operators: Vec<OperatorCredential>,
    incidents: Vec<Incident>,
    audit: Vec<StoredEntry>,
    audit_head: (u64, [u8; 32]),
    checkpoints: Vec<Checkpoint>,
    usage: Vec<Vec<UsageBucket>>,
    ledger: Vec<LedgerRow>,
    last_used: HashMap<KeyNumber, Vec<LastUsed>>,
    prompts: Vec<Prompt>,
    chunk: Vec<u8>,
    credits: Vec<CreditAccount>,
}

async fn facts<S: Store>(store: &Arc<S>) -> Facts {
    let state = Arc::new(std::sync::Mutex::new(VerificationState::default()));
    let fold = Arc::clone(&state);
    let sequence = store.load(Box::new(move |change| fold.lock().unwrap().apply(change))).await.unwrap();
    let state = state.lock().unwrap().clone();
    let workspaces = store.workspaces(None, 100).await.unwrap().items;
    let acme = workspaces.iter().find(|workspace| workspace.slug.as_str() == "acme").unwrap();
    let query = |filter| KeyQuery { workspace: acme.id, filter, now: NOW, after: None, limit: 100 };
    let named = KeyFilter { name: Some("patched äöü".to_owned()), ..KeyFilter::default() };
    let mut usage = Vec::new();
    for granularity in [Granularity::Minute, Granularity::Hour, Granularity::Day] {
        let (from, until) = (NOW.plus_seconds(-86_400), NOW.plus_seconds(864_000));
        for key in [None, Some(KeyNumber(1))] {
            let query = UsageQuery { workspace: acme.number, key, granularity, from, until };
            usage.push(store.usage(query).await.unwrap());
        }
    }
    let mut ledger = Vec::new();
    for key in 1..=5 {
        let mut rows = store.ledger(KeyNumber(key), None, 10_000).await.unwrap();
        for row in &mut rows {
            row.route = row.route.replace('\0', "\u{fffd}");
        }
        rows.sort_by_key(|row| format!("{row:?}"));
        ledger.extend(rows);
    }
    let prompts =
        PromptQuery { workspace: acme.id, filter: PromptFilter::default(), after: None, limit: 100 };
    let prompts = store.prompts(prompts).await.unwrap().items;
    let file = prompts[0].context[0];
    Facts {
        chunk: store.context_chunk(file, 1).await.unwrap().unwrap(),
        prompts,
        credits: store.credit_accounts(acme.id, None, 100).await.unwrap().items,
        state: (sequence, state),
        keys: store.keys(query(KeyFilter::default())).await.unwrap().items,
        found_by_name: store.keys(query(named)).await.unwrap().items.len(),
        memberships: store.memberships(acme.id).await.unwrap(),
        incidents: store.incidents(acme.id, 100).await.unwrap(),
        workspaces,
        plans: store.plans().await.unwrap(),
        operators: store.operators().await.unwrap(),
        audit: store.audit_after(0, 1_000).await.unwrap(),
        audit_head: store.audit_head().await.unwrap(),
        checkpoints: store.checkpoints().await.unwrap(),
        usage,
        ledger,
        last_used: store.last_used((1..=20).map(KeyNumber).collect()).await.unwrap(),
    }
}

/// All further numbers go on where they were.
async fn goes_on<S: Store>(store: Arc<S>, before: &Facts, seed: u64) {
    let samples = Samples::new(seed);
    let workspace = before.keys[0].workspace;
    let context = samples.context(Samples::keys_permit(workspace));
    let committed =
        store.execute(context, Command::CreateKey(Box::new(samples.new_key("later")))).await.unwrap();
    assert_eq!(committed.sequence, before.state.0 + 1);
    let Outcome::Key(key) = committed.outcome else { panic!("another outcome") };
    let compromise =
        KeyChange::Compromise { reason: None, replacement: None, incident: samples.incident_id() };
    let context = samples.context(Samples::keys_permit(workspace));
    store.execute(context, Command::ChangeKey { key: key.id, change: compromise }).await.unwrap();
    for command in [
        Command::CreateOperator(Box::new(samples.new_operator("later"))),
        Command::CreateWorkspace(Box::new(samples.new_workspace(&format!("later-{seed}")))),
        Command::CreateMember { user: samples.user(), workspace, role: Role::Viewer },
    ] {
        store.execute(samples.context(Samples::operator_permit()), command).await.unwrap();
    }
    assert_eq!(store.operators().await.unwrap().last().unwrap().name, "later", "oldest first");
    let (sequence, hash) = store.audit_head().await.unwrap();
    let entries = store.audit_after(before.audit_head.0, 100).await.unwrap();
    assert_eq!(entries.last().map(|entry| (entry.sequence, entry.hash)), Some((sequence, hash)));
    let chained = entries.iter().fold(before.audit_head.1, |hash, entry| {
        keywright_domain::audit::entry_hash(&hash, entry.sequence, &entry.body)
    });
    assert_eq!(chained, hash);
}

/// An embedded installation with everything in it, and what it answers. Made once, copied for each test.
async fn embedded() -> (TempDir, &'static Facts) {
    static MADE: tokio::sync::OnceCell<(Vec<u8>, Facts)> = tokio::sync::OnceCell::const_new();
    let (database, facts) = MADE
        .get_or_init(|| async {
            let directory = tempfile::tempdir().unwrap();
            let store = open(directory.path()).unwrap();
            everything(Arc::clone(&store)).await;
            let facts = facts(&store).await;
            store.close().await.unwrap();
            (fs::read(directory.path().join(DATABASE_FILE)).unwrap(), facts)
        })
        .await;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(DATABASE_FILE), database).unwrap();
    (directory, facts)
}

fn open(directory: &Path) -> Result<Arc<SqliteStore>, OpenError> {
    SqliteStore::open(directory, &Options::default(), keywright_testkit::vault()).map(Arc::new)
}

async fn connect(options: &PostgresOptions) -> Result<Arc<PostgresStore>, ConnectError> {
    PostgresStore::connect(options.clone(), keywright_testkit::vault()).await.map(Arc::new)
}

async fn run(
    source: &mut dyn TransferSource,
    target: &mut dyn TransferTarget,
) -> (Option<Beginning>, Result<Report, TransferError>) {
    let mut begun = None;
    let mut note = |progress| {
        if let Progress::Begun(beginning, _) = progress {
            begun = Some(beginning);
        }
    };
    let report = transfer::run(source, target, "elsewhere", NOW, &mut note).await;
    (begun, report)
}

async fn to_postgres(from: &Path, to: &PostgresOptions) -> Result<Report, TransferError> {
    let mut source = SqliteSource::open(from).unwrap();
    let mut target = PostgresTarget::open(to.clone()).await.unwrap();
    run(&mut source, &mut target).await.1
}

async fn to_directory(from: &PostgresOptions, to: &Path) -> Result<Report, TransferError> {
    let mut source = PostgresSource::open(from.clone()).await.unwrap();
    let mut target = SqliteTarget::open(to).unwrap();
    run(&mut source, &mut target).await.1
}

/// Indexes and constraints of the tables that go along.
fn definitions(options: &PostgresOptions) -> String {
    let schema = &options.schema;
    shared().sql(&format!(
        "SET search_path TO {schema}; \
         SELECT indexdef FROM pg_indexes WHERE schemaname = '{schema}' AND tablename NOT LIKE '%transfer' UNION ALL \
         SELECT conrelid::regclass || ' ' || conname || ' ' || convalidated || ' ' || pg_get_constraintdef(oid) \
         FROM pg_constraint WHERE connamespace = '{schema}'::regnamespace AND conname NOT LIKE '%transfer%' ORDER BY 1"
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_everything_is_as_it_was() {
    let (first, before) = embedded().await;
    let (options, second) = (own_schema(shared()), tempfile::tempdir().unwrap());
    connect(&options).await.unwrap().close().await.unwrap();
    let pristine = definitions(&options);
    let there = to_postgres(first.path(), &options).await.unwrap();
    assert_eq!(there.tables.len(), TABLES.len());
    assert!(there.tables.iter().all(|table| table.rows > 0), "a table is not tested: {:?}", there.tables);
    assert!(matches!(open(first.path()), Err(OpenError::MovedAway { place }) if place == "elsewhere"));
    assert!(matches!(SqliteStore::open_read_only(first.path(), None), Err(OpenError::MovedAway { .. })));
    assert_eq!(definitions(&options), pristine, "indexes and references are as in a new schema");
    let store = connect(&options).await.unwrap();
    assert_eq!(&facts(&store).await, before);
    store.close().await.unwrap();
    drop(store);
    let again = to_postgres(first.path(), &options).await.unwrap();
    assert_eq!(again.moved, Moved::Before(NOW));

    let back = to_directory(&options, second.path()).await.unwrap();
    assert_eq!(back.tables, there.tables, "digests and counts");
    assert_eq!(back.audit_head, there.audit_head);
    assert!(matches!(connect(&options).await, Err(ConnectError::MovedAway)));
    assert_eq!(to_directory(&options, second.path()).await.unwrap().moved, Moved::Before(NOW));
    let store = open(second.path()).unwrap();
    assert_eq!(&facts(&store).await, before);
    goes_on(Arc::clone(&store), before, 9).await;
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_changed_in_between_goes_back() {
    let (first, before) = embedded().await;
    let (options, second) = (own_schema(shared()), tempfile::tempdir().unwrap());
    to_postgres(first.path(), &options).await.unwrap();
    let store = connect(&options).await.unwrap();
    goes_on(Arc::clone(&store), before, 5).await;
    let after = facts(&store).await;
    assert_ne!(&after, before);
    store.close().await.unwrap();
    drop(store);
    let error = to_directory(&options, first.path()).await.unwrap_err();
    assert!(matches!(error, TransferError::Used), "the place where it came from is not empty: {error}");
    to_directory(&options, second.path()).await.unwrap();
    let store = open(second.path()).unwrap();
    assert_eq!(facts(&store).await, after);
    store.close().await.unwrap();
}

/// A target whose process ends at the n-th change, before or after it took place.
struct Ending<T> {
    target: T,
    left: usize,
    when: When,
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    Before,
    After,
}

impl<T> Ending<T> {
    fn before(&mut self) -> Result<(), StoreError> {
        match (self.left, self.when) {
            (0, When::Before) => Err(ended()),
            _ => Ok(()),
        }
    }

    fn after(&mut self) -> Result<(), StoreError> {
        if let (0, When::After) = (self.left, self.when) {
            return Err(ended());
        }
        self.left = self.left.saturating_sub(1);
        Ok(())
    }
}

fn ended() -> StoreError {
    StoreError::Full("no space left on device".to_owned())
}

#[async_trait]
impl<T: TransferTarget> RowReader for Ending<T> {
    async fn rows_after(
        &mut self,
        table: &'static Table,
        after: Option<&Row>,
    ) -> Result<Vec<Row>, StoreError> {
        self.target.rows_after(table, after).await
    }
    async fn last(&mut self, table: &'static Table) -> Result<Option<Row>, StoreError> {
        self.target.last(table).await
    }
}

#[async_trait]
impl<T: TransferTarget> TransferTarget for Ending<T> {
    async fn inspect(&mut self) -> Result<Found, StoreError> {
        self.target.inspect().await
    }
    async fn begin(&mut self, source: &Identity, now: Timestamp) -> Result<(), StoreError> {
        self.before()?;
        self.target.begin(source, now).await?;
        self.after()
    }
    async fn resume_point(&mut self, table: &'static Table) -> Result<ResumePoint, StoreError> {
        self.target.resume_point(table).await
    }
    async fn write(
        &mut self,
        table: &'static Table,
        rows: Vec<Row>,
        point: ResumePoint,
    ) -> Result<(), StoreError> {
        self.before()?;
        self.target.write(table, rows, point).await?;
        self.after()
    }
    async fn discard(&mut self) -> Result<(), StoreError> {
        self.target.discard().await
    }
    async fn finish(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.before()?;
        self.target.finish(now).await?;
        self.after()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_it_ends_the_next_run_goes_on() {
    let (first, before) = embedded().await;
    // Each run gets one change further than the one before.
    for when in [When::Before, When::After] {
        let left = usize::from(when == When::Before);
        let from = tempfile::tempdir().unwrap();
        fs::copy(first.path().join(DATABASE_FILE), from.path().join(DATABASE_FILE)).unwrap();
        let options = own_schema(shared());
        let mut runs = 0;
        loop {
            let mut source = SqliteSource::open(from.path()).unwrap();
            let target = PostgresTarget::open(options.clone()).await.unwrap();
            let mut target = Ending { target, left, when };
            let (begun, report) = run(&mut source, &mut target).await;
            drop((source, target));
            match report {
                Ok(report) => {
                    assert_eq!(report.moved == Moved::Now, when == When::Before);
                    break;
                }
                Err(TransferError::Target(StoreError::Full(_))) => {}
                Err(other) => panic!("another error: {other}"),
            }
            runs += 1;
            assert!(runs == 1 || begun == Some(Beginning::Resumed), "run {runs}: {begun:?}");
            // The source works as before; the target is not served before its time.
            open(from.path()).unwrap().close().await.unwrap();
            match connect(&options).await {
                Err(ConnectError::UnfinishedTransfer) => {}
                Ok(_) if when == When::After => {}
                _ => panic!("run {runs}"),
            }
        }
        assert!(runs > TABLES.len(), "{runs} runs");
        assert_eq!(&facts(&connect(&options).await.unwrap()).await, before);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_it_ends_on_the_way_back_the_next_run_goes_on() {
    let (first, before) = embedded().await;
    let (options, second) = (own_schema(shared()), tempfile::tempdir().unwrap());
    to_postgres(first.path(), &options).await.unwrap();
    let mut runs = 0;
    loop {
        let mut source = PostgresSource::open(options.clone()).await.unwrap();
        let target = SqliteTarget::open(second.path()).unwrap();
        let mut target = Ending { target, left: 1, when: When::Before };
        let (begun, report) = run(&mut source, &mut target).await;
        drop((source, target));
        match report {
            Ok(report) => break assert_eq!(report.moved, Moved::Now),
            Err(TransferError::Target(StoreError::Full(_))) => {}
            Err(other) => panic!("another error: {other}"),
        }
        runs += 1;
        assert!(runs == 1 || begun == Some(Beginning::Resumed), "run {runs}: {begun:?}");
        assert!(matches!(open(second.path()), Err(OpenError::UnfinishedTransfer)));
        connect(&options).await.unwrap().close().await.unwrap();
    }
    assert!(runs > TABLES.len(), "{runs} runs");
    let store = open(second.path()).unwrap();
    assert_eq!(&facts(&store).await, before);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_was_served_meanwhile_is_copied_anew() {
    let (first, _) = embedded().await;
    let options = own_schema(shared());
    let mut source = SqliteSource::open(first.path()).unwrap();
    let target = PostgresTarget::open(options.clone()).await.unwrap();
    let mut target = Ending { target, left: 20, when: When::Before };
    run(&mut source, &mut target).await.1.unwrap_err();
    drop((source, target));
    // Only usage: no command was given.
    let store = open(first.path()).unwrap();
    let row = UsageRow {
        key: KeyNumber(1),
        secret_ordinal: 1,
        minute: 1,
        address: None,
        route: String::new(),
        code: Code::Valid,
        agent: AgentClass::Other,
        count: 1,
        cost: 1,
        last_at: NOW,
    };
    store.flush_usage(UsageBatch { incarnation: [8; 16], batch: 1, rows: vec![row] }).await.unwrap();
    let after = facts(&store).await;
    store.close().await.unwrap();
    drop(store);
    let mut source = SqliteSource::open(first.path()).unwrap();
    let mut target = PostgresTarget::open(options.clone()).await.unwrap();
    let (begun, report) = run(&mut source, &mut target).await;
    assert_eq!((begun, report.unwrap().moved), (Some(Beginning::Restarted), Moved::Now));
    drop((source, target));
    assert_eq!(facts(&connect(&options).await.unwrap()).await, after);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn targets_that_are_refused_stay_as_they_are() {
    let (first, _) = embedded().await;
    let options = own_schema(shared());
    let store = connect(&options).await.unwrap();
    everything(Arc::clone(&store)).await;
    let before = facts(&store).await;
    let error = to_postgres(first.path(), &options).await.unwrap_err();
    assert!(matches!(error, TransferError::Used), "{error}");
    assert_eq!(facts(&store).await, before);
    store.close().await.unwrap();
    // The wrong direction: nothing is there to be moved.
    let (empty, fresh) = (tempfile::tempdir().unwrap(), own_schema(shared()));
    open(empty.path()).unwrap().close().await.unwrap();
    let error = to_postgres(empty.path(), &options).await.unwrap_err();
    assert!(matches!(error, TransferError::NotSetUp), "{error}");
    // Somewhere else in the middle of it, and after it.
    let mut source = SqliteSource::open(first.path()).unwrap();
    let target = PostgresTarget::open(fresh.clone()).await.unwrap();
    let mut ending = Ending { target, left: 3, when: When::Before };
    run(&mut source, &mut ending).await.1.unwrap_err();
    drop((source, ending));
    let (other, _) = embedded().await;
    let store = open(other.path()).unwrap();
    store.close().await.unwrap();
    drop(store);
    to_postgres(first.path(), &fresh).await.unwrap();
    let error = to_postgres(first.path(), &own_schema(shared())).await.unwrap_err();
    assert!(matches!(error, TransferError::MovedElsewhere(_)), "{error}");
    assert!(matches!(PostgresSource::open(own_schema(shared())).await, Err(ConnectError::Missing(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_in_use_is_refused() {
    let (first, _) = embedded().await;
    let store = open(first.path()).unwrap();
    assert!(matches!(SqliteSource::open(first.path()), Err(OpenError::Locked { .. })));
    store.close().await.unwrap();
    drop(store);
    let (options, second) = (own_schema(shared()), tempfile::tempdir().unwrap());
    to_postgres(first.path(), &options).await.unwrap();
    let control = PostgresControl::new(options.clone(), Announcements::Glance).unwrap();
    let node = |name: &str, byte| NewNode {
        name: name.to_owned(),
        incarnation: Incarnation([byte; 16]),
        address: String::new(),
        version: String::new(),
        applied: 0,
        reasserted: None,
    };
    control.register(node("silent", 1)).await.unwrap();
    control.register(node("live", 2)).await.unwrap();
    let polling = tokio::spawn(async move {
        loop {
            let request = PollRequest { incarnation: Incarnation([2; 16]), applied: 0, anchor: None };
            control.poll(request).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let error = to_directory(&options, second.path()).await.unwrap_err();
    assert!(matches!(&error, TransferError::InUse(nodes) if *nodes == ["node live"]), "{error}");
    polling.abort();
    // Both are silent now. Whoever still writes waits, and fails.
    let mut source = PostgresSource::open(options.clone()).await.unwrap();
    source.hold().await.unwrap();
    let (schema, writing) = (&options.schema, "changes (sequence, kind, restricting) VALUES (0, 0, false)");
    let write = format!("SET lock_timeout TO 200; INSERT INTO {schema}.{writing}");
    assert!(!shared().try_sql(&write).status.success(), "the tables are locked");
    drop(source);
    to_directory(&options, second.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_of_other_versions_are_refused() {
    let (first, _) = embedded().await;
    let options = own_schema(shared());
    connect(&options).await.unwrap().close().await.unwrap();
    let schema = &options.schema;
    shared().sql(&format!("INSERT INTO {schema}.migrations VALUES (999, 'newer', '')"));
    assert!(matches!(PostgresTarget::open(options.clone()).await, Err(ConnectError::Newer { .. })));
    assert!(matches!(PostgresSource::open(options.clone()).await, Err(ConnectError::Newer { .. })));
    shared().sql(&format!("DELETE FROM {schema}.migrations"));
    assert!(matches!(PostgresTarget::open(options.clone()).await, Err(ConnectError::Older { found: 0, .. })));
    assert!(matches!(PostgresSource::open(options.clone()).await, Err(ConnectError::Older { found: 0, .. })));
    shared().sql(&format!("CREATE SCHEMA {schema}_other; CREATE TABLE {schema}_other.theirs ()"));
    let mut other = options.clone();
    other.schema = format!("{schema}_other");
    assert!(matches!(PostgresTarget::open(other).await, Err(ConnectError::NotKeywright(_))));
    let mut wrong = PostgresOptions::new(shared().url().replace(shared().password(), "hunter2"));
    let refused = PostgresTarget::open(wrong.clone()).await.err().unwrap();
    assert!(matches!(refused, ConnectError::Credentials(_)) && !refused.to_string().contains("hunter2"));
    wrong = PostgresOptions::new("postgres://keywright:hunter2@127.0.0.1:1/postgres");
    let refused = PostgresTarget::open(wrong).await.err().unwrap();
    assert!(matches!(refused, ConnectError::Unreachable(_)) && !refused.to_string().contains("hunter2"));
    open(first.path()).unwrap().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_transfer_at_a_time() {
    let (first, _) = embedded().await;
    let options = own_schema(shared());
    let one = PostgresTarget::open(options.clone()).await.unwrap();
    let mut impatient = options.clone();
    impatient.lock_timeout = Duration::from_millis(200);
    assert!(matches!(PostgresTarget::open(impatient).await, Err(ConnectError::Unreachable(_))));
    drop(one);
    to_postgres(first.path(), &options).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_and_column_goes_along_or_stays_behind_for_a_reason() {
    let options = own_schema(shared());
    connect(&options).await.unwrap().close().await.unwrap();
    let columns = shared().sql(&format!(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = '{}'",
        options.schema
    ));
    let mut seen = 0;
    for (table, column) in columns.lines().map(|line| line.split_once('|').unwrap()) {
        if transfer::STAYING_TABLES.iter().any(|(stays, _)| *stays == table) {
            continue;
        }
        let known = TABLES.iter().find(|known| known.name == table);
        let known = known.unwrap_or_else(|| panic!("the table {table} is in no list of domain::transfer"));
        let listed = known.columns.iter().any(|known| known.name == column);
        let derived = transfer::DERIVED_COLUMNS.contains(&(table, column));
        assert!(listed || derived, "the column {column} of {table} is in no list of domain::transfer");
        seen += usize::from(listed);
    }
    assert_eq!(seen, TABLES.iter().map(|table| table.columns.len()).sum::<usize>());
}
