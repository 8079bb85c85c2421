//! `keywright dev`: a ready workspace for development.

mod sample;

use std::{io::Write as _, net::SocketAddr, path::PathBuf};

use argon2::{Argon2, PasswordHasher as _, password_hash::phc::PasswordHash};
use clap::Args;
use keywright_domain::{
    command::{Command, Outcome},
    entropy::random_bytes,
    environment::Environment,
    ids::KeyId,
    key::NewKey,
    permission::PermissionSet,
    permit::{self, Action, Actor},
    principal::{Creator, Membership},
    workspace::{Slug, Workspace},
};
use keywright_keyformat::KeyKind;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    config::{
        Config,
        value::{Listen, OptionalListen},
    },
    failure::{Exit, Failure},
    installation::{
        DataDirectory, FirstWorkspace, OpenOptions, Opened, bootstrap, explain_command, issue, read_private,
        system_context, write_private,
    },
    ops,
    serving::{ListenOptions, Listeners, Serving, block_on},
    system::SystemEntropy,
};

const WORKSPACE: &str = "acme";
const OWNER_EMAIL: &str = "owner@acme.example";
const WHAT: &str = "the development credentials";
const OPTIONS: ListenOptions = ListenOptions { public: "--listen", admin: "KEYWRIGHT_ADMIN_LISTEN" };

/// Serve a ready workspace for development.
#[derive(Debug, Args)]
#[command(after_help = "\
Everything is kept in the data directory: the next start has the same workspace and credentials. Delete the directory to
begin anew.

Examples:
  keywright dev
  keywright dev --listen 127.0.0.1:9000 --data /tmp/keys
  keywright dev --json | jq -r .api_key.secret")]
pub(crate) struct Dev {
    /// Directory for the database, the peppers and the credentials
    #[arg(long, value_name = "DIR", default_value = "./keywright-dev")]
    data: PathBuf,
    /// Address to listen on; port 0 takes any free port
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Print the credentials as one line of JSON on standard output
    #[arg(long)]
    json: bool,
}

/// What `dev` shows, and keeps to show it again.
#[derive(Serialize, Deserialize)]
struct Credentials {
    workspace: String,
    operator_key: String,
    owner: Owner,
    management_key: String,
    api_key: ApiKey,
}

#[derive(Serialize, Deserialize)]
struct Owner {
    email: String,
    password: String,
}

#[derive(Serialize, Deserialize)]
struct ApiKey {
    id: String,
    secret: String,
}

/// The line of `--json`.
#[derive(Serialize)]
struct Line<'a> {
    url: &'a str,
    #[serde(flatten)]
    credentials: &'a Credentials,
    admin_url: Option<String>,
}

impl Dev {
    /// Serves until a signal ends it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut config = Config::from_environment()?;
        config.listen = Listen(self.listen);
        config.data_dir.clone_from(&self.data);
        if config.admin_listen == Config::default().admin_listen {
            // Any free port: several development servers run side by side.
            config.admin_listen = OptionalListen(Some(([127, 0, 0, 1], 0).into()));
        }
        if config.log == Config::default().log {
            // The terminal belongs to the credentials; what goes wrong is shown all the same.
            "warn".clone_into(&mut config.log.level);
        }
        ops::log::start(&config.log)?;
        block_on(self.serve(&config))
    }

    async fn serve(&self, config: &Config) -> Result<(), Failure> {
        let listeners = Listeners::bind(config, OPTIONS)?;
        let directory = DataDirectory::create(&config.data_dir)?;
        let opened = Opened::open(&directory, OpenOptions::of(config)).await?;
        let credentials = match read_credentials(&directory)? {
            Some(credentials) if opened.is_set_up => credentials,
            None if opened.is_set_up => return Err(foreign(&directory)),
            _ => {
                let credentials = create(&opened, config).await?;
                let text =
                    Zeroizing::new(serde_json::to_string_pretty(&credentials).expect("texts are JSON"));
                write_private(&directory.dev_credentials(), WHAT, &text)?;
                credentials
            }
        };
        sample::seed(&opened, &credentials.workspace).await?;
        let url = listeners.base_url(config);
        let admin_url = listeners.admin.as_ref().map(|bound| format!("http://{}", bound.address()));
        let serving = Serving::start(opened, config, listeners)?;
        let line = Line { url: &url, credentials: &credentials, admin_url };
        let text = if self.json {
            format!("{}\n", serde_json::to_string(&line).expect("texts are JSON"))
        } else {
            line.pretty(&directory)
        };
        let mut out = std::io::stdout();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| Failure::new(Exit::Io, format!("cannot write to standard output: {error}")))?;
        serving.run().await
    }
}

fn foreign(directory: &DataDirectory) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("{} is an installation that `dev` did not make", directory.path().display()),
    )
    .remedy("serve it with `keywright serve`, or choose another directory with --data")
}

fn read_credentials(directory: &DataDirectory) -> Result<Option<Credentials>, Failure> {
    let path = directory.dev_credentials();
    let Some(text) = read_private(&path, WHAT)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|_| {
        Failure::new(Exit::Data, format!("{} cannot be read", path.display()))
            .remedy("delete the data directory to begin anew")
    })
}

/// Sets the installation up with everything that one needs to try it.
async fn create(opened: &Opened, config: &Config) -> Result<Credentials, Failure> {
    let password = Zeroizing::new(hex::encode(random_bytes::<12>(&SystemEntropy)));
    let first = FirstWorkspace {
        slug: Slug::parse(WORKSPACE).expect("a slug"),
        plan: "unlimited",
        owner_email: OWNER_EMAIL.to_owned(),
        password_hash: Some(hash(&password)?),
    };
    let tag = config.issuer_tag.map(|tag| tag.0);
    let made = bootstrap(opened, tag.as_ref(), Some(first)).await?;
    let (workspace, owner) =
        made.workspace.ok_or_else(|| Failure::new(Exit::Software, "the workspace was not made"))?;
    let named = KeyFor { opened, config, workspace: &workspace, owner: &owner };
    let (_, management_key) =
        named.create("management", "Everything an Owner may", Some(PermissionSet::ALL)).await?;
    let (id, secret) = named.create("first-key", "The key to try things with", None).await?;
    Ok(Credentials {
        workspace: WORKSPACE.to_owned(),
        operator_key: made.operator.expose().to_owned(),
        owner: Owner { email: OWNER_EMAIL.to_owned(), password: password.to_string() },
        management_key,
        api_key: ApiKey { id: id.to_string(), secret },
    })
}

/// Argon2id with the parameters that OWASP recommends first (19 MiB, 2 passes).
fn hash(password: &str) -> Result<String, Failure> {
    let salt = random_bytes::<16>(&SystemEntropy);
    let hash: argon2::password_hash::Result<PasswordHash> =
        Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string())
        .map_err(|error| Failure::new(Exit::Software, format!("the password cannot be hashed: {error}")))
}

/// For whom keys are made.
struct KeyFor<'a> {
    opened: &'a Opened,
    config: &'a Config,
    workspace: &'a Workspace,
    owner: &'a Membership,
}

impl KeyFor<'_> {
    /// A key of the owner. `None`: the workspace's default permissions.
    async fn create(
        &self,
        name: &str,
        purpose: &str,
        permissions: Option<PermissionSet>,
    ) -> Result<(KeyId, String), Failure> {
        let mut context = system_context();
        context.permit = permit::authorize(Actor::System, Action::WriteKeys, Some(self.workspace.id))
            .expect("the system may do everything");
        let tag = self.config.issuer_tag.map(|tag| tag.0);
        let (secret, kept) = issue(self.opened, KeyKind::Live, tag.as_ref(), context.now);
        let id = KeyId::generate(context.now, &SystemEntropy);
        let key = NewKey {
            id,
            secret: kept,
            name: name.to_owned(),
            purpose: Some(purpose.to_owned()),
            environment: Environment::Production,
            permissions,
            created_by: Creator { principal: self.owner.principal, membership: self.owner.number },
            expires_at: None,
            limits: None,
            networks: Vec::new(),
            external_id: None,
            metadata: "{}".to_owned(),
        };
        let committed = self.opened.store.execute(context, Command::CreateKey(Box::new(key))).await;
        match committed.map_err(|error| explain_command(&error))?.outcome {
            Outcome::Key(key) => Ok((key.id, secret.expose().to_owned())),
            _ => Err(Failure::new(
                Exit::Software,
                "the store answered a command with the outcome of another one",
            )),
        }
    }
}

impl Line<'_> {
    fn pretty(&self, directory: &DataDirectory) -> String {
        let Self { url, credentials, admin_url } = self;
        let Credentials { workspace, operator_key, owner, management_key, api_key } = credentials;
        let metrics =
            admin_url.as_ref().map_or(String::new(), |admin| format!("\n  Metrics         {admin}/metrics"));
        format!(
            r#"
Keywright is ready at {url}

  Workspace       {workspace}
  Owner           {email}  {password}
  Management key  {management_key}
  Operator key    {operator_key}
  An API key      {secret}

Verify a key:
  curl -s {url}/v1/keys/verify -H 'Authorization: Bearer {management_key}' \
    -H 'Content-Type: application/json' -d '{{"key":"{secret}"}}'

Create one:
  curl -s {url}/v1/workspaces/{workspace}/keys -H 'Authorization: Bearer {management_key}' \
    -H 'Content-Type: application/json' -d '{{"name":"my-web-app","environment":"production"}}'

Get a prompt:
  curl -s {url}/v1/prompts/get -H 'Authorization: Bearer {secret}' \
    -H 'Content-Type: application/json' -d '{{"package_name":"@{workspace}/{prompt}:latest"}}'

List the prompts:
  curl -s {url}/v1/prompts -H 'Authorization: Bearer {secret}'

Revoke the one above (then verify it again):
  curl -s {url}/v1/workspaces/{workspace}/keys/{id}/revoke -H 'Authorization: Bearer {management_key}' \
    -H 'Content-Type: application/json' -d '{{"reason":"trying it out"}}'

  Documentation   {url}/docs{metrics}
  Data            {data}  (delete it to begin anew)
  Stop            Ctrl-C

"#,
            email = owner.email,
            password = owner.password,
            secret = api_key.secret,
            prompt = sample::PROMPT,
            id = api_key.id,
            data = directory.path().display(),
        )
    }
}
