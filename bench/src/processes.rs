//! Servers under test: started on a private port and directory, pinned, ended with the benchmark.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
    /// What a `keywright dev --json` printed.
    pub(crate) ready: Value,
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // SIGTERM first: a killed nginx master leaves its workers behind.
        if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok() {
            let deadline = Instant::now() + Duration::from_secs(20);
            while Instant::now() < deadline {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// Processor seconds that the process and its children have used so far.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let mut total = cpu_seconds_of(self.child.id());
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.child.id())).unwrap_or_default();
        total +=
            children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(cpu_seconds_of).sum::<f64>();
        total
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let kilobytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()));
        kilobytes.unwrap_or(0) * 1_024
    }
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident_bytes_of(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()));
    kilobytes.unwrap_or(0) * 1_024
}

/// Processor seconds that a process has used so far.
pub(crate) fn cpu_seconds_of(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = text.rsplit_once(") ").map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    // utime and stime, in clock ticks of 10 ms.
    (ticks(11) + ticks(12)) / 100.0
}

/// Processor seconds that a process, its children and those that it has waited for have used so far.
pub(crate) fn cpu_seconds_of_family(pid: u32) -> f64 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    cpu_seconds_of(pid) + children.map(cpu_seconds_of).sum::<f64>()
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn pinned(program: &str, core: Option<usize>) -> Command {
    match core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &core.to_string(), program]);
            command
        }
        None => Command::new(program),
    }
}

fn wait_for(port: u16, child: &mut Child) -> Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let deadline = Instant::now() + Duration::from_secs(30);
    while Instant::now() < deadline {
        if TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok() {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("the server ended at once: {status}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nothing listens on port {port} after 30 s")
}

/// nginx with one worker and `return 204`.
pub(crate) fn nginx(directory: &Path, core: Option<usize>) -> Result<Server> {
    let port = free_port()?;
    let root = directory.display();
    let configuration = format!(
        "worker_processes 1; daemon off; pid {root}/nginx.pid; error_log {root}/error.log crit;\n\
         events {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;\n\
         client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;\n\
         uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;\n\
         server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 204; }} }} }}\n"
    );
    let file = directory.join("nginx.conf");
    fs::write(&file, configuration)?;
    let mut child = pinned("nginx", core)
        .arg("-p")
        .arg(directory)
        .arg("-c")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run nginx (apt-get install nginx-light)")?;
    wait_for(port, &mut child)?;
    Ok(Server { child, url: format!("http://127.0.0.1:{port}"), ready: Value::Null })
}

/// Envoy with its native `api_key_auth` filter, if the executable is there.
pub(crate) fn envoy(executable: &str, directory: &Path, key: &str, core: Option<usize>) -> Result<Server> {
    let port = free_port()?;
    let configuration =
        include_str!("../envoy.yaml").replace("@PORT@", &port.to_string()).replace("@KEY@", key);
    let file = directory.join("envoy.yaml");
    fs::write(&file, configuration)?;
    let mut child = pinned(executable, core)
        .args(["--concurrency", "1", "--log-level", "critical", "--disable-hot-restart", "-c"])
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {executable}"))?;
    wait_for(port, &mut child)?;
    Ok(Server { child, url: format!("http://127.0.0.1:{port}"), ready: Value::Null })
}

/// The peer of `bench/peer_fastapi` on one uvicorn worker: on a single core, more of them only take turns.
pub(crate) fn fastapi(python: &str, database: &Path, core: Option<usize>) -> Result<Server> {
    let port = free_port()?;
    let mut child = pinned(python, core)
        .args(["-m", "uvicorn", "app:app", "--app-dir", "bench/peer_fastapi", "--host", "127.0.0.1"])
        .args(["--port", &port.to_string(), "--loop", "uvloop", "--http", "httptools", "--workers", "1"])
        .args(["--no-access-log", "--log-level", "warning", "--backlog", "1024"])
        .env("PEER_DATABASE", database)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| {
            format!("cannot run {python} (pip install -r bench/peer_fastapi/requirements.txt)")
        })?;
    wait_for(port, &mut child)?;
    Ok(Server { child, url: format!("http://127.0.0.1:{port}"), ready: Value::Null })
}

/// `keywright dev --json` on a directory.
pub(crate) fn keywright(
    executable: &str,
    data: &Path,
    workers: usize,
    core: Option<usize>,
) -> Result<Server> {
    let mut child = pinned(executable, core)
        .args(["dev", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .env("KEYWRIGHT_WORKERS", workers.to_string())
        .env("KEYWRIGHT_LOG_LEVEL", "warn")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {executable} (cargo build --release)"))?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
    let ready: Value =
        serde_json::from_str(&line).with_context(|| format!("keywright dev printed {line:?}"))?;
    let url = ready["url"].as_str().context("no url")?.to_owned();
    Ok(Server { child, url, ready })
}

/// Creates keys over the API and returns their secrets.
pub(crate) fn create_keys(server: &Server, count: u32) -> Result<Vec<String>> {
    let workspace = server.ready["workspace"].as_str().context("no workspace")?;
    let management = server.ready["management_key"].as_str().context("no management_key")?;
    let url = format!("{}/v1/workspaces/{workspace}/keys", server.url);
    (0..count)
        .map(|number| {
            let body = json!({"name": format!("bench-{number}"), "environment": "production", "purpose": "benchmark"});
            let mut answer = ureq::post(&url).header("authorization", format!("Bearer {management}")).send_json(&body)?;
            let answer: Value = answer.body_mut().read_json()?;
            Ok(answer["secret"].as_str().context("no secret")?.to_owned())
        })
        .collect()
}
