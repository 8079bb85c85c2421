//! A data directory with many keys, made once through the real store and kept for the next run.

use std::{
    fs,
    io::{BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result, ensure};
use hmac::{Hmac, KeyInit as _, Mac as _};
use keywright_domain::{
    audit::PersonalData,
    command::{Command, Context},
    entropy::{Entropy as _, random_bytes},
    environment::Environment,
    ids::{AuditId, KeyId, RequestId, SecretId},
    key::{NewKey, NewSecret, SecretDigest},
    permit::{Action, Actor, authorize},
    principal::Creator,
    store::Store as _,
    time::Clock as _,
    vault::SharedVault,
    workspace::{Slug, Workspace},
};
use keywright_engine::SystemClock;
use keywright_keyformat::{KeyKind, Secret};
use keywright_store_sqlite::{Options, SqliteStore};
use keywright_vault::{KeyEncryptionKey, KeyVault};
use sha2::Sha256;
use tokio::task::JoinSet;

use crate::{fill, processes, random::SharedRandom};

/// Keys that `keywright dev` makes by itself.
const MADE_BY_DEV: u32 = 2;
/// Callers that create keys at the same time.
const CALLERS: u32 = 256;

/// A data directory of `keywright dev` with many keys in its workspace, the two that it makes by itself included.
pub(crate) struct Installation {
    root: PathBuf,
}

impl Installation {
    /// The installation with so many keys under `parent`, made if it is not there yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn with_keys(parent: &Path, keywright: &str, keys: u32) -> Result<Self> {
        let root = parent.join(format!("keywright-bench-{keys}-keys"));
        let finished = root.join("finished");
        let installation = Self { root };
        if finished.exists() {
            eprintln!("using the installation in {}", installation.root.display());
            return Ok(installation);
        }
        if installation.root.exists() {
            fs::remove_dir_all(&installation.root)?;
        }
        fs::create_dir_all(&installation.root)?;
        eprintln!("making an installation with {keys} keys in {}", installation.root.display());
        // The first start makes peppers, credentials and the workspace.
        drop(processes::keywright(keywright, &installation.data(), 1, None)?);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
        let secrets = runtime.block_on(create_all(&installation.data(), keys))?;
        let file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(installation.secrets())?;
        let mut file = BufWriter::new(file);
        for secret in secrets {
            writeln!(file, "{}", secret.expose())?;
        }
        file.flush()?;
        fs::write(finished, "")?;
        Ok(installation)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// A file with the text of every key, one per line.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.root.join("secrets.txt")
    }
}

struct Maker {
    store: SqliteStore,
    workspace: Workspace,
    creator: Creator,
    keyed: Hmac<Sha256>,
    random: SharedRandom,
    next: AtomicU32,
    /// Keys to make.
    more: u32,
}

async fn create_all(data: &Path, keys: u32) -> Result<Vec<Secret>> {
    let store = SqliteStore::open(data, &Options::default(), vault(data)?)?;
    let slug = Slug::parse("acme").expect("a slug");
    let workspace = store.workspace(slug).await?.context("keywright dev makes the workspace acme")?;
    let members = store.memberships(workspace.id).await?;
    let owner = members.first().context("the workspace has an owner")?;
    let creator = Creator { principal: owner.principal, membership: owner.number };
    let keyed = Hmac::new_from_slice(&pepper(data)?)?;
    let (random, next) = (SharedRandom::new(1), AtomicU32::new(1));
    let more = keys.saturating_sub(MADE_BY_DEV);
    let maker = Arc::new(Maker { store, workspace, creator, keyed, random, next, more });
    let mut tasks = JoinSet::new();
    for _ in 0..CALLERS {
        tasks.spawn(Arc::clone(&maker).work());
    }
    let mut secrets = Vec::new();
    while let Some(made) = tasks.join_next().await {
        secrets.extend(made??);
    }
    maker.store.close().await?;
    Ok(secrets)
}

impl Maker {
    async fn work(self: Arc<Self>) -> Result<Vec<Secret>> {
        let mut secrets = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number > self.more {
                return Ok(secrets);
            }
            if number.is_multiple_of(100_000) {
                eprintln!("  {number} of {}", self.more);
            }
            let (secret, new) = self.new_key(number);
            self.store.execute(self.context(), Command::CreateKey(Box::new(new))).await?;
            secrets.push(secret);
        }
    }

    fn new_key(&self, number: u32) -> (Secret, NewKey) {
        let now = SystemClock.now();
        let secret = Secret::generate(KeyKind::Live, None, |bytes| self.random.fill(bytes));
        let digest = self.keyed.clone().chain_update(secret.expose()).finalize().into_bytes().into();
        let new = NewKey {
            id: KeyId::generate(now, &self.random),
            secret: NewSecret {
                id: SecretId::generate(now, &self.random),
                locator: secret.locator(),
                hint: secret.hint().to_string(),
                digest: SecretDigest { pepper: 1, bytes: digest },
            },
            name: format!("customer-{number:07}"),
            purpose: Some("Main website customer support".to_owned()),
            environment: Environment::Production,
            permissions: None,
            created_by: self.creator,
            expires_at: None,
            limits: None,
            networks: Vec::new(),
            external_id: None,
            metadata: fill::metadata(number),
        };
        (secret, new)
    }

    /// As a call over HTTP would be recorded.
    fn context(&self) -> Context {
        let now = SystemClock.now();
        let permit = authorize(Actor::System, Action::WriteKeys, Some(self.workspace.id));
        Context {
            now,
            permit: permit.expect("the system may do everything"),
            audit_id: AuditId::generate(now, &self.random),
            request_id: Some(RequestId::generate(now, &self.random)),
            personal: PersonalData {
                salt: random_bytes(&self.random),
                address: Some([127, 0, 0, 1].into()),
                user_agent: Some("keywright-bench".to_owned()),
            },
            idempotency: None,
        }
    }
}

/// The installation's only pepper.
fn pepper(data: &Path) -> Result<Vec<u8>> {
    only_secret(&data.join("peppers.toml"), "peppers")
}

/// The vault with the installation's only key-encryption key.
fn vault(data: &Path) -> Result<SharedVault> {
    let kek = only_secret(&data.join("encryption-keys.toml"), "encryption_keys")?;
    let kek = kek.as_slice().try_into().context("a key-encryption key has 32 bytes")?;
    let kek = KeyEncryptionKey::from_bytes(kek);
    Ok(Arc::new(KeyVault::new([(1, kek)], Arc::new(SharedRandom::new(2)))?))
}

/// The secret of the only entry of a list in a file.
fn only_secret(path: &Path, list: &str) -> Result<Vec<u8>> {
    let file: toml::Table = toml::from_str(&fs::read_to_string(path)?)?;
    let entries = file.get(list).and_then(toml::Value::as_array).context("the file has no such list")?;
    ensure!(entries.len() == 1, "a new installation has one entry in {list}");
    let text = entries[0].get("secret").and_then(toml::Value::as_str).context("an entry without secret")?;
    Ok(hex::decode(text)?)
}
