//! Runs the load generator wrk and reads what it prints.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// What one run of wrk measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    /// Requests per second.
    pub(crate) per_second: f64,
    /// 99th percentile of the latency, in milliseconds.
    pub(crate) p99_ms: f64,
    /// All requests of the run.
    pub(crate) requests: f64,
    /// Answers other than 2xx and 3xx.
    pub(crate) refused: f64,
}

/// What to send.
pub(crate) struct Load<'a> {
    /// Where to.
    pub(crate) url: &'a str,
    /// A Lua script that makes the requests.
    pub(crate) script: &'a str,
    /// Arguments of the script.
    pub(crate) arguments: &'a [String],
    /// Connections.
    pub(crate) connections: u32,
    /// Length of the run.
    pub(crate) seconds: u32,
    /// The core that wrk runs on.
    pub(crate) core: Option<usize>,
}

impl Load<'_> {
    /// Sends the load.
    ///
    /// # Errors
    /// When wrk cannot be run or its output is not understood.
    pub(crate) fn run(&self) -> Result<Measured> {
        let mut command = match self.core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string(), "wrk"]);
                command
            }
            None => Command::new("wrk"),
        };
        let output = command
            .args([
                "-t1",
                "--latency",
                "-c",
                &self.connections.to_string(),
                "-d",
                &format!("{}s", self.seconds),
            ])
            .args(["-s", self.script, self.url, "--"])
            .args(self.arguments)
            .output()
            .context("cannot run wrk (apt-get install wrk)")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "wrk failed: {text} {}", String::from_utf8_lossy(&output.stderr));
        parse(&text).with_context(|| format!("cannot read wrk's output:\n{text}"))
    }
}

fn parse(text: &str) -> Option<Measured> {
    let after = |label: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(label)).map(|rest| rest.trim().to_owned())
    };
    let requests = text.lines().find(|line| line.contains(" requests in "))?;
    Some(Measured {
        per_second: after("Requests/sec:")?.parse().ok()?,
        p99_ms: milliseconds(&after("99%")?)?,
        requests: requests.split_whitespace().next()?.parse().ok()?,
        refused: after("Non-2xx or 3xx responses:").map_or(Some(0.0), |count| count.parse().ok())?,
    })
}

fn milliseconds(text: &str) -> Option<f64> {
    let (number, factor) = if let Some(number) = text.strip_suffix("us") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix("ms") {
        (number, 1.0)
    } else {
        (text.strip_suffix('s')?, 1_000.0)
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_output_of_wrk() {
        let text = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 64 connections\n  Latency Distribution\n     50%  500.00us\n     99%    1.25ms\n  120000 requests in 1.00s, 10MB read\n  Non-2xx or 3xx responses: 7\nRequests/sec: 119000.50\n";
        let measured = parse(text).unwrap();
        assert!((measured.per_second - 119_000.5).abs() < 1e-9);
        assert!((measured.p99_ms - 1.25).abs() < 1e-9);
        assert!((measured.requests - 120_000.0).abs() < 1e-9);
        assert!((measured.refused - 7.0).abs() < 1e-9);
    }
}
