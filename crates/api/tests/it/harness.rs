//! An installation in memory behind the real router: SQLite, engine, hand-set clock, seeded randomness.
//!
//! Every answer is compared with the OpenAPI document: a status or an error code that is not documented for the
//! operation fails the test that met it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use keywright_api::{
    ApiConfig, AppState,
    caps::WAIT_SECONDS_MAX,
    cluster::{Awaited, Cluster, Progress, Stale, WaitingOn},
    edge::Allowance,
    openapi_document,
    password::Password,
    plane::Plane,
    router,
    session::SessionToken,
    shares::Shares,
};
use keywright_domain::{
    account::{AccountCommand, NewSession, SessionLimits, SignInMethod},
    audit::PersonalData,
    change::ChangeSink,
    command::{Command, Context},
    ids::{AuditId, SessionId, UserId, WorkspaceId},
    permission::Role,
    permit::{Action, Actor, Permit, authorize},
    pool::LimitPool,
    principal::User,
    store::Store,
    time::{Clock, Timestamp},
    workspace::Slug,
};
use keywright_engine::{Engine, EngineOptions, LeaseEnd, Pepper, PepperSet, Spool, SpoolOptions};
use keywright_store_sqlite::SqliteStore;
use keywright_testkit::{FaultyStore, ManualClock, SeededEntropy};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// When tests begin.
pub(crate) const START: &str = "2026-11-21T08:00:00.000Z";

/// Who calls.
#[derive(Clone)]
pub(crate) enum Who {
    /// Nobody: no credential is sent.
    Anonymous,
    /// Whoever has this secret.
    Holder(String),
}

/// An answer.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body as it came.
    pub(crate) text: String,
    /// What the request might take for waits, beside the usual.
    pub(crate) allowed: Duration,
}

/// An installation.
pub(crate) struct Api {
    /// Its endpoints.
    pub(crate) router: Router,
    /// The state of its endpoints.
    pub(crate) state: AppState,
    /// Its clock.
    pub(crate) clock: Arc<ManualClock>,
    /// Its operator.
    pub(crate) operator: Who,
    /// The other nodes, which answer as told.
    pub(crate) cluster: Arc<FakeCluster>,
    /// Its store, which fails as told.
    pub(crate) store: Arc<FaultyStore<SqliteStore>>,
    _spool: TempDir,
}

const TOKEN: &str = "setup-token";

impl Api {
    /// A new installation with the workspace `acme`.
    pub(crate) async fn start() -> Self {
        Self::bare().await.set_up().await
    }

    /// The same, as one of several nodes that share limits through `pool`.
    pub(crate) async fn sharing(pool: Arc<dyn LimitPool>) -> Self {
        Self::assemble(Some(pool)).await.set_up().await
    }

    async fn set_up(self) -> Self {
        let mut api = self;
        api.state.setup.open(TOKEN);
        let body = json!({"token": TOKEN, "workspace": {"slug": "acme", "owner_email": "owner@example.com"}});
        let answer = api.post(&Who::Anonymous, "/v1/setup", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        api.operator = Who::Holder(answer.json()["secret"].as_str().unwrap().to_owned());
        api
    }

    /// A new installation that was not set up.
    pub(crate) async fn bare() -> Self {
        Self::assemble(None).await
    }

    async fn assemble(pool: Option<Arc<dyn LimitPool>>) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::parse_rfc3339(START).unwrap()));
        let spool_directory = TempDir::new().unwrap();
        let spool = Arc::new(Spool::open(spool_directory.path(), SpoolOptions::new([7; 16], 7)).unwrap());
        let peppers = PepperSet::new(1, [(1, Pepper::from_bytes([9; 32]))]).unwrap();
        let engine = Engine::new(EngineOptions {
            peppers,
            issuer_tag: None,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            spool,
        });
        let engine = Arc::new(if pool.is_some() { engine.with_shared_limits() } else { engine });
        let store = Arc::new(FaultyStore::new(Arc::new(
            SqliteStore::open_in_memory(keywright_testkit::vault()).unwrap(),
        )));
        store.attach(Arc::clone(&engine) as Arc<dyn ChangeSink>);
        let loading = Arc::clone(&engine);
        let sequence = store.load(Box::new(move |change| loading.load(&change).unwrap())).await.unwrap();
        engine.finish_load(sequence).unwrap();
        engine.set_leases([LeaseEnd::NEVER; 4]);
        let cluster = Arc::new(FakeCluster::default());
        let mut plane = Plane::clustered(Arc::clone(&engine), Arc::clone(&cluster) as Arc<dyn Cluster>);
        if let Some(pool) = pool {
            let shares = Arc::new(Shares::new(engine, pool, Arc::clone(&clock) as Arc<dyn Clock>));
            tokio::spawn(Arc::clone(&shares).run(std::future::pending()));
            plane = plane.with_shares(shares);
        }
        let state = AppState::new(
            Arc::clone(&store) as Arc<dyn Store>,
            plane,
            Arc::clone(&clock) as Arc<dyn Clock>,
            Arc::new(SeededEntropy::new(1)),
            ApiConfig { base_url: "https://keys.example".to_owned(), ..ApiConfig::default() },
        );
        let router = router(state.clone());
        Self { router, state, clock, operator: Who::Anonymous, cluster, store, _spool: spool_directory }
    }

    /// A key of `acme` with these permissions, and its id.
    pub(crate) async fn key_with(&self, permissions: &[&str]) -> (Who, String) {
        let body =
            json!({"name": "caller-of-tests", "environment": "production", "permissions": permissions});
        let answer = self.post(&self.operator, "/v1/workspaces/acme/keys", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let answer = answer.json();
        (holder(&answer["secret"]), answer["key"]["id"].as_str().unwrap().to_owned())
    }

    /// The id of `acme`.
    pub(crate) async fn workspace_id(&self) -> WorkspaceId {
        let slug = Slug::parse("acme").unwrap();
        self.state.store.workspace(slug).await.unwrap().unwrap().id
    }

    /// A key that may do all that an owner may.
    pub(crate) async fn owner_key(&self) -> Who {
        let names: Vec<&str> = keywright_domain::permission::Builtin::ALL
            .map(keywright_domain::permission::Builtin::name)
            .into();
        self.key_with(&names).await.0
    }

    /// Somebody with this role in `acme`, signed in: `owner`, `admin`, `member` or `viewer`. Each call makes another person.
    pub(crate) async fn person(&self, role: &str) -> Who {
        self.person_in("acme", role).await
    }

    /// The same in another workspace.
    pub(crate) async fn person_in(&self, slug: &str, role: &str) -> Who {
        let user = self.join(slug, role, None).await;
        let token = SessionToken::generate(&*self.state.entropy);
        let now = self.clock.now();
        let id = SessionId::generate(now, &*self.state.entropy);
        let session = NewSession {
            id,
            user,
            digest: token.digest(),
            method: SignInMethod::Password,
            agent: "tests".to_owned(),
        };
        let actor = Actor::User { user, session: id, member: None };
        let permit = authorize(actor, Action::OwnAccount, None).unwrap();
        let limits = SessionLimits::default();
        let command = AccountCommand::CreateSession { session, limits, forgive: Vec::new(), factor: None };
        self.execute_with(permit, Command::Account(command)).await;
        Who::Holder(token.expose().to_owned())
    }

    /// Somebody with this role in `acme`, who can sign in with a password.
    pub(crate) async fn person_with_password(&self, email: &str, password: &str, role: &str) -> UserId {
        let password = Password::from(password.to_owned());
        let hash = self.state.passwords.hash(&password, &*self.state.entropy).await.unwrap();
        self.join("acme", role, Some((email, hash))).await
    }

    /// A new member of a workspace; with an address and the hash of a password if they are to sign in.
    pub(crate) async fn join(&self, slug: &str, role: &str, sign_in: Option<(&str, String)>) -> UserId {
        let now = self.clock.now();
        let id = UserId::generate(now, &*self.state.entropy);
        let (email, password_hash) = match sign_in {
            Some((email, hash)) => (email.to_owned(), Some(hash)),
            None => (format!("{id}@example.com"), None),
        };
        let user = User { id, email, name: format!("A test's {role}"), password_hash, created_at: now };
        let workspace = self.state.store.workspace(Slug::parse(slug).unwrap()).await.unwrap().unwrap();
        let role = Role::parse(role).expect("a role");
        let permit = authorize(Actor::System, Action::Operate, None).unwrap();
        self.execute_with(permit, Command::CreateMember { user, workspace: workspace.id, role }).await;
        id
    }

    async fn execute_with(&self, permit: Permit, command: Command) {
        let now = self.clock.now();
        let context = Context {
            now,
            permit,
            audit_id: AuditId::generate(now, &*self.state.entropy),
            request_id: None,
            personal: PersonalData { salt: [0; 16], address: None, user_agent: None },
            idempotency: None,
        };
        self.state.store.execute(context, command).await.unwrap();
    }

    /// `GET`.
    pub(crate) async fn get(&self, who: &Who, path: &str) -> Answer {
        self.send(Self::request(Method::GET, who, path, Body::empty())).await
    }

    /// `POST` with a JSON body.
    pub(crate) async fn post(&self, who: &Who, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, who, path, Some(body)).await
    }

    /// `PATCH` with a JSON body.
    pub(crate) async fn patch(&self, who: &Who, path: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, who, path, Some(body)).await
    }

    /// Any method, with a JSON body or none.
    pub(crate) async fn call(&self, method: Method, who: &Who, path: &str, body: Option<&Value>) -> Answer {
        let mut request =
            Self::request(method, who, path, body.map_or_else(Body::empty, |body| body.to_string().into()));
        if body.is_some() {
            request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        }
        self.send(request).await
    }

    /// `POST` with a form.
    pub(crate) async fn post_form(&self, who: &Who, path: &str, form: &'static str) -> Answer {
        let mut request = Self::request(Method::POST, who, path, form.into());
        let kind = "application/x-www-form-urlencoded".parse().unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, kind);
        self.send(request).await
    }

    /// `POST` with an `Idempotency-Key`.
    pub(crate) async fn post_once(&self, who: &Who, path: &str, key: &str, body: &Value) -> Answer {
        let mut request = Self::request(Method::POST, who, path, body.to_string().into());
        request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        request.headers_mut().insert("idempotency-key", key.parse().unwrap());
        self.send(request).await
    }

    /// A request without headers but the credential.
    pub(crate) fn request(method: Method, who: &Who, path: &str, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4_711))));
        if let Who::Holder(secret) = who {
            request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {secret}").parse().unwrap());
        }
        request
    }

    /// Sends a request, and checks that what comes back is documented.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let allowance = Allowance::default();
        request.extensions_mut().insert(allowance.clone());
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let answer =
            Answer { status: parts.status, headers: parts.headers, text, allowed: allowance.total() };
        assert_documented(&method, &path, &answer);
        let longest = Duration::from_secs(WAIT_SECONDS_MAX.into());
        assert!(answer.allowed <= longest, "{method} {path} waits for {:?}", answer.allowed);
        answer
    }

    /// Whether the engine accepts the key of `who`, and the code.
    pub(crate) async fn verdict(&self, who: &Who) -> String {
        let Who::Holder(secret) = who else { return "missing_credentials".to_owned() };
        let answer = self.post(&self.operator, "/v1/keys/verify", &json!({"key": secret, "cost": 0})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["code"].as_str().unwrap().to_owned()
    }
}

/// Whoever has the secret in a JSON answer.
pub(crate) fn holder(secret: &Value) -> Who {
    Who::Holder(secret.as_str().expect("a secret").to_owned())
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The status and, of a problem, the code.
    pub(crate) fn outcome(&self) -> String {
        let is_problem =
            self.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
        if is_problem {
            format!("{} {}", self.status.as_u16(), self.json()["code"].as_str().unwrap())
        } else {
            self.status.as_u16().to_string()
        }
    }

    /// The body without what differs from run to run for no reason of interest: nothing but the secret is hidden.
    pub(crate) fn shown(&self) -> Value {
        let mut body = self.json();
        if let Some(secret) = body.get_mut("secret").filter(|secret| secret.is_string()) {
            let text = secret.as_str().unwrap();
            assert!(text.starts_with("sk_") || text.starts_with("ok_"), "not a secret");
            *secret = json!("[secret]");
        }
        body
    }
}

/// What an endpoint asked of the other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Until when a change holds on every node.
    Everywhere(Awaited, Duration),
    /// Whether this node goes by a change.
    Here(u64),
    /// Whether this node knows everything.
    Fresh,
}

/// Other nodes that do as they are told, and remember what they were asked.
#[derive(Default)]
pub(crate) struct FakeCluster {
    asked: Mutex<Vec<Asked>>,
    is_waiting: AtomicBool,
    is_store_lost: AtomicBool,
}

impl FakeCluster {
    /// From now on, one node cannot be reached; `false`: it was heard of again.
    pub(crate) fn lose_a_node(&self, is_lost: bool) {
        self.is_waiting.store(is_lost, SeqCst);
    }

    /// From now on, the store cannot be asked.
    pub(crate) fn lose_the_store(&self) {
        self.is_store_lost.store(true, SeqCst);
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn note(&self, asked: Asked) -> Result<(), Stale> {
        self.asked.lock().unwrap().push(asked);
        if self.is_store_lost.load(SeqCst) { Err(Stale) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl Cluster for FakeCluster {
    async fn everywhere(&self, change: Awaited, patience: Duration) -> Progress {
        let _noted = self.note(Asked::Everywhere(change, patience));
        if !self.is_waiting.load(SeqCst) {
            return Progress::Holds { nodes: 1, silent: 0 };
        }
        let on = vec![WaitingOn { node: "eu-2".to_owned(), lease_left: Duration::from_micros(28_500_001) }];
        Progress::Waiting { on, complete_in: Duration::from_secs(37) }
    }

    async fn here(&self, sequence: u64, _patience: Duration) -> Result<(), Stale> {
        self.note(Asked::Here(sequence))
    }

    async fn fresh(&self) -> Result<(), Stale> {
        self.note(Asked::Fresh)
    }
}

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(openapi_document()).unwrap());

/// The operation that a request belongs to: its path template and the document about it.
pub(crate) fn operation(method: &Method, path: &str) -> Option<(String, &'static Value)> {
    let segments: Vec<&str> = path.split('/').collect();
    let templates = DOCUMENT["paths"].as_object().unwrap().iter().filter(|(template, _)| {
        let names: Vec<&str> = template.split('/').collect();
        names.len() == segments.len()
            && names.iter().zip(&segments).all(|(name, segment)| name.starts_with('{') || name == segment)
    });
    // A literal segment goes before a parameter, as in the router.
    let (template, item) = templates.min_by_key(|(template, _)| template.matches('{').count())?;
    Some((template.clone(), item.get(method.as_str().to_lowercase())?))
}

fn assert_documented(method: &Method, path: &str, answer: &Answer) {
    let Some((template, operation)) = operation(method, path) else { return };
    let status = answer.status.as_u16().to_string();
    let response = &operation["responses"][&status];
    assert!(
        response.is_object(),
        "{method} {template} answered {status}, which is not documented: {}",
        answer.text
    );
    let kind = answer.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap());
    if kind == Some("application/problem+json") {
        let problem = answer.json();
        let code = problem["code"].as_str().unwrap();
        let documented = &response["content"]["application/problem+json"]["examples"][code];
        assert!(documented.is_object(), "{method} {template} answered {code}, which is not documented");
        assert_eq!(problem["request_id"].as_str(), answer.headers["x-request-id"].to_str().ok());
        assert_eq!(problem["type"], format!("https://keys.example/errors/{code}"));
    }
}
