//! The protected API itself: one prompt, and a page of prompts, against the same data served by `FastAPI` over SQLite.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use rusqlite::{Connection, params};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use ureq::Agent;

use crate::{
    processes::{self, Server},
    stats::{median, median_ratio, range},
    wrk::Load,
};

/// How many times as many requests as the peer are to be answered.
const GOAL: f64 = 15.0;
/// What each key may do per minute, on both sides: counted, and never reached.
const PER_MINUTE: u32 = 100_000_000;
/// Threads that fill the server.
const FILLERS: u32 = 32;
/// Requests that the load repeats; each for another prompt.
const TARGETS: u32 = 20_000;

/// Options of the benchmark of prompts.
#[derive(Args)]
pub(crate) struct Options {
    /// The keywright executable.
    #[arg(long, default_value = "target/release/keywright")]
    keywright: String,
    /// Python with the packages of `bench/peer_fastapi/requirements.txt`.
    #[arg(long, default_value = "python3")]
    python: String,
    /// Where the data is made, and kept for the next run; the system's temporary directory unless given.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Prompts, all published once.
    #[arg(long, default_value_t = 100_000)]
    prompts: u32,
    /// Workspaces, each with a key.
    #[arg(long, default_value_t = 1_000)]
    workspaces: u32,
    /// Rounds; each measures every route of both once. One more goes before them and is not counted.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of load per route and round.
    #[arg(long, default_value_t = 4)]
    seconds: u32,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64)]
    connections: u32,
}

/// Runs the benchmark.
///
/// # Errors
/// When a server or the load generator cannot be run, or an answer is not a success.
pub(crate) fn run(options: &Options) -> Result<()> {
    let parent = options.data.clone().unwrap_or_else(std::env::temp_dir);
    let root = parent.join(format!("keywright-bench-{}-prompts-{}", options.prompts, options.workspaces));
    make(&root, options)?;
    let (server_core, load_core) = (Some(0), Some(1));
    let ours = processes::keywright(&options.keywright, &root.join("data"), 1, server_core)?;
    let peer = processes::fastapi(&options.python, &root.join("peer.db"), server_core)?;
    compare_answers(&root, &ours, &peer)?;
    let mut routes = ["get", "list"].map(Route::new);
    // Round 0 is not counted: afterwards, both have in memory what they keep there.
    for round in 0..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        for route in &mut routes {
            for (side, server) in [&peer, &ours].into_iter().enumerate() {
                let load = Load {
                    url: &server.url,
                    script: "bench/wrk/prompts.lua",
                    arguments: &[root.join("targets.txt").display().to_string(), route.name.to_owned()],
                    connections: options.connections,
                    seconds: options.seconds,
                    core: load_core,
                };
                let measured = load.run()?;
                ensure!(measured.refused == 0.0, "{}: {} refusals", route.name, measured.refused);
                if round > 0 {
                    route.per_second[side].push(measured.per_second);
                    route.p99_ms[side].push(measured.p99_ms);
                }
            }
        }
    }
    print(options, &routes);
    Ok(())
}

/// What was measured of one route, of the peer and of Keywright.
struct Route {
    name: &'static str,
    per_second: [Vec<f64>; 2],
    p99_ms: [Vec<f64>; 2],
}

impl Route {
    fn new(name: &'static str) -> Self {
        Self { name, per_second: Default::default(), p99_ms: Default::default() }
    }
}

fn print(options: &Options, routes: &[Route]) {
    println!("{} prompts in {} workspaces, server on one core", options.prompts, options.workspaces);
    println!(
        "{:34} {:>9} {:>17} {:>8} {:>11} {:>9}",
        "", "req/s", "(min-max)", "p99 ms", "vs FastAPI", "p99 vs"
    );
    for route in routes {
        for (side, label) in ["FastAPI + SQLite", "keywright"].into_iter().enumerate() {
            let (low, high) = range(&route.per_second[side]);
            println!(
                "{:34} {:>9.0} {:>17} {:>8.2} {:>11.2} {:>9.3}",
                format!("{label}: {}", route.name),
                median(&route.per_second[side]),
                format!("({low:.0}-{high:.0})"),
                median(&route.p99_ms[side]),
                median_ratio(&route.per_second[side], &route.per_second[0]),
                median_ratio(&route.p99_ms[side], &route.p99_ms[0]),
            );
        }
    }
    for route in routes {
        let ratio = median_ratio(&route.per_second[1], &route.per_second[0]);
        let verdict = if ratio >= GOAL { "met" } else { "not met" };
        println!("{}: {ratio:.1} times FastAPI, goal {GOAL}: {verdict}", route.name);
    }
}

/// A prompt of the data set; the same on both sides.
struct Sample {
    slug: String,
    title: String,
    description: String,
    category: &'static str,
    tags: [&'static str; 2],
    generator: String,
    system: String,
    critique: String,
}

impl Sample {
    fn new(number: u32) -> Self {
        const CATEGORIES: [&str; 4] = ["support", "sales", "writing", "analysis"];
        let paragraph = "Answer the customer's question in plain words, name the page of the manual, and say so when \
                         you do not know. Question: {{question:string // what the customer asks}}\n";
        Self {
            slug: format!("prompt-{number:06}"),
            title: format!("Prompt number {number}"),
            description: format!("Answers questions of kind {}.", number % 97),
            category: CATEGORIES[(number % 4) as usize],
            tags: ["bench", CATEGORIES[(number / 4 % 4) as usize]],
            generator: paragraph.repeat(1 + (number % 6) as usize),
            system: "You are a patient assistant of a company that sells garden tools.".to_owned(),
            critique: "Is the answer kind, short and true?".to_owned(),
        }
    }

    fn body(&self) -> Value {
        json!({
            "slug": self.slug, "title": self.title, "description": self.description, "category": self.category,
            "tags": self.tags, "generator": self.generator, "system_prompt": self.system,
            "critique_prompt": self.critique,
        })
    }
}

fn slug_of(workspace: u32) -> String {
    format!("bench-{workspace:04}")
}

/// Makes the data of both sides, unless it is there.
fn make(root: &Path, options: &Options) -> Result<()> {
    if root.join("finished").exists() {
        eprintln!("using the data in {}", root.display());
        return Ok(());
    }
    if root.exists() {
        fs::remove_dir_all(root)?;
    }
    fs::create_dir_all(root)?;
    eprintln!(
        "making {} prompts in {} workspaces in {}",
        options.prompts,
        options.workspaces,
        root.display()
    );
    let server = processes::keywright(&options.keywright, &root.join("data"), 2, None)?;
    let filler = Filler::new(&server)?;
    let keys = Filler::in_parallel(options.workspaces, |number| filler.workspace(number))?;
    let ids = Filler::in_parallel(options.prompts, |number| filler.prompt(number, options.workspaces))?;
    fill_peer(&root.join("peer.db"), options, &keys, &ids)?;
    let step = (options.prompts / TARGETS).max(1);
    let targets = (0..options.prompts).step_by(step as usize).map(|number| {
        let workspace = number % options.workspaces;
        format!("{} {} {}\n", keys[&workspace], slug_of(workspace), Sample::new(number).slug)
    });
    fs::write(root.join("targets.txt"), targets.collect::<String>())?;
    drop(server);
    fs::write(root.join("finished"), "")?;
    Ok(())
}

/// Fills a server over its own API.
struct Filler {
    agent: Agent,
    url: String,
    operator: String,
}

impl Filler {
    fn new(server: &Server) -> Result<Self> {
        let operator = server.ready["operator_key"].as_str().context("no operator_key")?.to_owned();
        Ok(Self { agent: Agent::new_with_defaults(), url: server.url.clone(), operator })
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.agent.post(format!("{}{path}", self.url));
        let mut answer =
            request.header("authorization", format!("Bearer {}", self.operator)).send_json(body)?;
        Ok(answer.body_mut().read_json()?)
    }

    /// A workspace and its key.
    fn workspace(&self, number: u32) -> Result<String> {
        let slug = slug_of(number);
        self.post("/v1/workspaces", &json!({"slug": slug}))?;
        let limits = json!([{"name": "minute", "limit": PER_MINUTE, "window_seconds": 60}]);
        let body = json!({"name": "bench", "environment": "production", "limits": limits});
        let made = self.post(&format!("/v1/workspaces/{slug}/keys"), &body)?;
        Ok(made["secret"].as_str().context("no secret")?.to_owned())
    }

    /// A published prompt; its id.
    fn prompt(&self, number: u32, workspaces: u32) -> Result<String> {
        let sample = Sample::new(number);
        let prompts = format!("/v1/workspaces/{}/prompts", slug_of(number % workspaces));
        let made = self.post(&prompts, &sample.body())?;
        self.post(&format!("{prompts}/{}/publish", sample.slug), &json!({}))?;
        let id = ["/id", "/prompt/id"].iter().find_map(|place| made.pointer(place)).and_then(Value::as_str);
        Ok(id.context("no id of the prompt")?.to_owned())
    }

    /// Calls `one` for every number below `count`.
    fn in_parallel<T: Send>(count: u32, one: impl Fn(u32) -> Result<T> + Sync) -> Result<HashMap<u32, T>> {
        let next = AtomicU32::new(0);
        let work = || {
            let mut made = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(made);
                }
                if number.is_multiple_of(10_000) {
                    eprintln!("{number} of {count}");
                }
                made.push((number, one(number)?));
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..FILLERS).map(|_| scope.spawn(work)).collect();
            let mut all = HashMap::new();
            for thread in threads {
                all.extend(thread.join().expect("a filler does not panic")?);
            }
            Ok(all)
        })
    }
}

/// The same rows for the peer.
fn fill_peer(
    path: &Path,
    options: &Options,
    keys: &HashMap<u32, String>,
    ids: &HashMap<u32, String>,
) -> Result<()> {
    let mut database = Connection::open(path)?;
    database.execute_batch(
        "CREATE TABLE workspaces (id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE);
         CREATE TABLE keys (digest BLOB PRIMARY KEY, workspace INTEGER NOT NULL, per_minute INTEGER NOT NULL) WITHOUT ROWID;
         CREATE TABLE prompts (id TEXT PRIMARY KEY, workspace INTEGER NOT NULL, slug TEXT NOT NULL, latest INTEGER NOT NULL,
             created_at INTEGER NOT NULL, UNIQUE (workspace, slug)) WITHOUT ROWID;
         CREATE INDEX prompts_of_workspace ON prompts (workspace, id);
         CREATE TABLE versions (prompt TEXT NOT NULL, version INTEGER NOT NULL, title TEXT NOT NULL, content TEXT NOT NULL,
             system TEXT, critique TEXT, description TEXT, category TEXT, tags TEXT NOT NULL, created_at INTEGER NOT NULL,
             PRIMARY KEY (prompt, version)) WITHOUT ROWID;",
    )?;
    let transaction = database.transaction()?;
    for number in 0..options.workspaces {
        transaction.execute("INSERT INTO workspaces VALUES (?1, ?2)", params![number, slug_of(number)])?;
        let digest: [u8; 32] = Sha256::digest(&keys[&number]).into();
        transaction.execute("INSERT INTO keys VALUES (?1, ?2, ?3)", params![digest, number, PER_MINUTE])?;
    }
    for number in 0..options.prompts {
        let (sample, id) = (Sample::new(number), &ids[&number]);
        transaction
            .prepare_cached("INSERT INTO prompts VALUES (?1, ?2, ?3, 1, 1764000000000)")?
            .execute(params![id, number % options.workspaces, sample.slug])?;
        let version = "INSERT INTO versions VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1764000000000)";
        transaction.prepare_cached(version)?.execute(params![
            id,
            sample.title,
            sample.generator,
            sample.system,
            sample.critique,
            sample.description,
            sample.category,
            serde_json::to_string(&sample.tags)?
        ])?;
    }
    transaction.commit()?;
    database.execute_batch("ANALYZE; VACUUM;")?;
    Ok(())
}

/// Whether both sides say the same of a prompt and of a page, as far as a client cares.
fn compare_answers(root: &Path, ours: &Server, peer: &Server) -> Result<()> {
    let targets = fs::read_to_string(root.join("targets.txt"))?;
    let words: Vec<&str> = targets.lines().next().context("no targets")?.split(' ').collect();
    let [key, workspace, slug] = words[..] else { anyhow::bail!("a target has three words") };
    let texts = |server: &Server| -> Result<(Value, usize)> {
        let authorization = format!("Bearer {key}");
        let name = json!({"package_name": format!("@{workspace}/{slug}:v1")});
        let one: Value = ureq::post(format!("{}/v1/prompts/get", server.url))
            .header("authorization", &authorization)
            .send_json(&name)?
            .body_mut()
            .read_json()?;
        let page: Value = ureq::get(format!("{}/v1/prompts?limit=20", server.url))
            .header("authorization", &authorization)
            .call()?
            .body_mut()
            .read_json()?;
        let fields = ["content", "systemPrompt", "title", "tags", "version", "packageName", "workspaceSlug"];
        let shown = fields.iter().map(|field| one[field].clone()).collect();
        Ok((Value::Array(shown), page["prompts"].as_array().map_or(0, Vec::len)))
    };
    let (mine, theirs) = (texts(ours)?, texts(peer)?);
    ensure!(mine == theirs, "the two do not serve the same: {mine:?} {theirs:?}");
    Ok(())
}
