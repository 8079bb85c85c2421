//! Prometheus metrics. Labels come from closed sets; a key's id is never one of them.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use keywright_api::VerdictCounts;
use keywright_domain::{time::Clock as _, verdict::Code};
use keywright_engine::{Engine, EngineGauges, SpoolGauges};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Registry,
};

use super::{
    Health, RequestStats,
    requests::{BUCKETS_US, Summary},
};
use crate::{
    cluster::{self, Barriers, Standing},
    jobs::JobStats,
    mail::MailStats,
    runtime::ConnectionGauges,
    security::{Outlet, SecurityEvents},
    system::SystemClock,
};

/// What all metrics are read from when they are asked for.
pub(crate) struct Sources {
    pub(crate) engine: Arc<Engine>,
    pub(crate) health: Arc<Health>,
    pub(crate) requests: Arc<RequestStats>,
    /// Verdicts of the routes that are not hot.
    pub(crate) router_verdicts: Arc<VerdictCounts>,
    pub(crate) connections: Arc<ConnectionGauges>,
    pub(crate) jobs: Arc<JobStats>,
    pub(crate) mail: Arc<MailStats>,
    /// How this process stands among others, if the store is shared.
    pub(crate) standing: Option<Arc<Standing>>,
    /// The security event log, if one is configured.
    pub(crate) security: Option<Arc<SecurityEvents>>,
}

/// Renders the metrics.
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// Metrics read from `sources`.
    pub(crate) fn new(sources: Sources) -> Self {
        let mut registry = Registry::with_prefix("keywright");
        registry.register_collector(Box::new(sources));
        Self(registry)
    }

    /// The text that Prometheus reads (`OpenMetrics` 1.0).
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0).expect("a String takes any text");
        text
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sources")
    }
}

impl Collector for Sources {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer(encoder);
        writer.info("build", "What is running", &[("version", env!("CARGO_PKG_VERSION"))])?;
        self.encode_requests(&mut writer)?;
        self.encode_connections(&mut writer)?;
        encode_engine(&mut writer, &self.engine.gauges(), self.engine.is_ready())?;
        encode_spool(&mut writer, &self.engine.spool().gauges())?;
        self.encode_jobs(&mut writer)?;
        self.encode_mail(&mut writer)?;
        if let Some(standing) = &self.standing {
            encode_standing(&mut writer, standing, SystemClock.boot_ns())?;
        }
        if let Some(security) = &self.security {
            encode_security(&mut writer, security)?;
        }
        writer.gauge("ready", "Whether verifications are answered", u64::from(self.health.is_ready()))?;
        let is_writable = u64::from(self.health.is_store_writable());
        writer.gauge("store_writable", "Whether the database could be written at the last try", is_writable)
    }
}

impl Sources {
    fn encode_requests(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let all = self.requests.summaries();
        let statuses = all.iter().flat_map(|((method, route), summary)| {
            summary.by_status.iter().map(move |(status, count)| {
                let status = if *status == 0 { "other".to_owned() } else { status.to_string() };
                (vec![("method", (*method).to_owned()), ("route", route.clone()), ("status", status)], *count)
            })
        });
        writer.counters("http_requests", "Requests by route template and status", statuses)?;
        let verdicts = Code::ALL.into_iter().map(|code| {
            let count = self.requests.verdicts(code) + self.router_verdicts.of(code);
            (vec![("code", code.as_str().to_owned())], count)
        });
        writer.counters("verifications", "Judged keys, by code", verdicts)?;
        writer.histograms("http_request_duration_seconds", "Time from head to answer", &all)
    }

    fn encode_connections(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let gauges = &self.connections;
        writer.gauge("connections_open", "Open connections", gauges.open() as u64)?;
        writer.counter("connections_accepted", "Connections accepted", gauges.accepted())?;
        writer.counter(
            "connections_turned_away",
            "Connections closed as one too many",
            gauges.turned_away(),
        )?;
        writer.counter("connections_timed_out", "Connections closed as slow or idle", gauges.timed_out())
    }

    fn encode_mail(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let outcomes = self.mail.outcomes();
        let outcomes = outcomes.map(|(word, count)| (vec![("outcome", word.to_owned())], count));
        writer.counters("mail_letters", "Letters by what became of them", outcomes.into_iter())?;
        writer.gauge("mail_waiting", "Letters that wait for the mail server", self.mail.waiting.load(Relaxed))
    }

    fn encode_jobs(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let jobs = &self.jobs;
        let by_code = Code::ALL.into_iter().map(|code| {
            (vec![("code", code.as_str().to_owned())], jobs.flushed_by_code[code as usize].load(Relaxed))
        });
        writer.counters(
            "usage_flushed",
            "Verifications of known keys written to the usage tables, by code",
            by_code,
        )?;
        writer.counter(
            "usage_unattributed",
            "Verifications whose key could not be noted, the spool being full",
            jobs.unattributed.load(Relaxed),
        )?;
        writer.gauge("usage_flush_last_ms", "Time the last flush took", jobs.flush_last_ms.load(Relaxed))?;
        writer.gauge(
            "store_commit_last_us",
            "Time the last probing commit took",
            jobs.commit_last_us.load(Relaxed),
        )?;
        writer.counter(
            "secrets_redigested",
            "Digests moved to a newer pepper",
            jobs.redigested.load(Relaxed),
        )?;
        writer.counter(
            "data_keys_rewrapped",
            "Data keys moved to a newer key-encryption key",
            jobs.rewrapped.load(Relaxed),
        )?;
        writer.counter(
            "retention_rows_removed",
            "Rows removed or emptied because they were kept long enough",
            jobs.retired_rows.load(Relaxed),
        )?;
        writer.gauge(
            "audit_checkpoint_sequence",
            "Last signed audit entry",
            jobs.checkpoint.load(Relaxed),
        )?;
        let failures = jobs.failures().map(|(job, count)| (vec![("job", job.to_owned())], count));
        writer.counters("job_failures", "Failed runs of background jobs", failures)
    }
}

fn encode_engine(writer: &mut Writer<'_>, gauges: &EngineGauges, has_lease: bool) -> fmt::Result {
    writer.gauge("engine_keys", "Keys in memory", gauges.keys)?;
    writer.gauge("engine_secrets", "Secrets in memory", gauges.secrets)?;
    writer.gauge("engine_index_bytes", "Bytes of the locator index", gauges.index_bytes)?;
    writer.gauge("engine_cold_bytes", "Bytes of metadata and networks", gauges.cold_bytes)?;
    writer.gauge("engine_applied_sequence", "Last applied change", gauges.applied_sequence)?;
    writer.counter(
        "engine_missing_peppers",
        "Verifications that needed a missing pepper",
        gauges.missing_peppers,
    )?;
    writer.gauge("engine_lease", "Whether this node may answer from memory", u64::from(has_lease))
}

fn encode_spool(writer: &mut Writer<'_>, gauges: &SpoolGauges) -> fmt::Result {
    writer.gauge("spool_active_entries", "Entries being counted", gauges.active_entries)?;
    writer.gauge("spool_sealed_segments", "Segments that wait for the database", gauges.sealed_segments)?;
    writer.gauge("spool_bytes", "Bytes of the spool on disk", gauges.bytes)?;
    writer.counter("spool_folded", "Events that gave up address and route for space", gauges.folded)?;
    writer.counter(
        "spool_unattributed",
        "Events counted without their key for space",
        gauges.unattributed,
    )?;
    writer.gauge("spool_damaged_files", "Files found damaged at start and set aside", gauges.damaged_files)
}

fn encode_security(writer: &mut Writer<'_>, security: &SecurityEvents) -> fmt::Result {
    let of = |value: fn(&Outlet) -> u64| {
        security.outlets().iter().map(move |outlet| (vec![("sink", outlet.name().to_owned())], value(outlet)))
    };
    let written = of(|outlet| outlet.stats().written.load(Relaxed));
    writer.counters("security_events_written", "Security events that a sink took", written)?;
    let dropped = of(|outlet| outlet.notices().dropped());
    writer.counters(
        "security_events_dropped",
        "Events about refused calls that were dropped, a sink being down; events of the audit trail never are",
        dropped,
    )?;
    let failures = of(|outlet| outlet.stats().failures.load(Relaxed));
    writer.counters("security_events_failures", "Deliveries to a sink that failed", failures)?;
    let lag = of(|outlet| outlet.stats().lag.load(Relaxed));
    writer.gauges("security_events_lag", "Audit entries that a sink has not taken yet", lag)
}

fn encode_standing(writer: &mut Writer<'_>, standing: &Standing, now_ns: u64) -> fmt::Result {
    writer.gauge("cluster_head", "Head of the change log at the last poll", standing.head.load(Relaxed))?;
    let stable = standing.stable.load(Relaxed);
    writer.gauge(
        "cluster_stable",
        "Up to here every node is known to have applied the change log",
        stable,
    )?;
    writer.gauge("cluster_generation", "Which history is followed", standing.generation.load(Relaxed))?;
    writer.gauge("cluster_nodes", "Registered nodes at the last look", standing.nodes.load(Relaxed))?;
    let lag = standing.lag.load(Relaxed);
    writer.gauge(
        "cluster_lag",
        "Changes that the slowest node has not acknowledged, at the last look",
        lag,
    )?;
    writer.gauge("cluster_waiting", "Changes that somebody waits for", standing.waiting.load(Relaxed))?;
    let left = standing.leases_left_ns(now_ns).into_iter().map(|(term_seconds, left_ns)| {
        (vec![("term_seconds", term_seconds.to_string())], left_ns / 1_000_000)
    });
    writer.gauges("cluster_lease_left_ms", "Time left of the lease, by term", left)?;
    let age_ns = now_ns.saturating_sub(standing.polled_ns.load(Relaxed));
    writer.gauge("cluster_poll_age_ms", "Time since the last answered poll was sent", age_ns / 1_000_000)?;
    let in_force = standing.promise().map(|(word, _)| word);
    let promises = ["strict", "best_effort_across_failover", "none"]
        .map(|word| (vec![("promise", word.to_owned())], u64::from(in_force == Some(word))));
    writer.gauges("cluster_promise", "The promise in force: 1", promises.into_iter())?;
    writer.counter("cluster_failures", "Operations that failed", standing.failures.load(Relaxed))?;
    writer.counter("cluster_loads", "Loads of the whole state", standing.loads.load(Relaxed))?;
    writer.counter("cluster_registrations", "Registrations", standing.registrations.load(Relaxed))?;
    let silent = standing.silent.load(Relaxed);
    writer.counter("cluster_barriers_by_time", "Barriers that ended by time: a node was silent", silent)?;
    let audits = &standing.audits;
    let outcomes =
        [("passed", &audits.passed), ("unanswered", &audits.unanswered), ("skipped", &audits.skipped)];
    let outcomes = outcomes.map(|(word, count)| (vec![("outcome", word.to_owned())], count.load(Relaxed)));
    writer.counters("self_audits", "Questions to nodes after a revocation returned", outcomes.into_iter())?;
    let violations = audits.violations.load(Relaxed);
    writer.counter(
        "revocation_violations",
        "Nodes that would accept what was revoked: must be 0",
        violations,
    )?;
    writer.barriers(&standing.barriers())
}

/// Labels of one time series.
type Labels = Vec<(&'static str, String)>;

struct Writer<'a>(DescriptorEncoder<'a>);

impl Writer<'_> {
    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> fmt::Result {
        let labels = labels.to_vec();
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, u64, u64>(&value, None)
    }

    fn gauges(&mut self, name: &str, help: &str, series: impl Iterator<Item = (Labels, u64)>) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            metric.encode_family(&labels)?.encode_gauge(&i64::try_from(value).unwrap_or(i64::MAX))?;
        }
        Ok(())
    }

    fn barriers(&mut self, barriers: &Barriers) -> fmt::Result {
        let (name, help) = ("barrier_duration_seconds", "Time from a commit until every node goes by it");
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let ends =
            cluster::BUCKETS_US.map(|end_us| f64::from(end_us) / 1e6).into_iter().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = ends.zip(barriers.buckets).collect();
        let count = barriers.buckets.iter().sum();
        metric.encode_histogram::<NoLabelSet>(barriers.sum_seconds, count, &buckets, None)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        series: impl Iterator<Item = (Labels, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in series {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&value, None)?;
        }
        Ok(())
    }

    fn histograms<'s>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (&'s (&'static str, String), &'s Summary)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for ((method, route), summary) in series {
            let labels = vec![("method", (*method).to_owned()), ("route", route.clone())];
            let ends = BUCKETS_US.map(|end_us| f64::from(end_us) / 1e6).into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = ends.zip(summary.buckets).collect();
            let count = summary.buckets.iter().sum();
            let sum = summary.sum.as_secs_f64();
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
        }
        Ok(())
    }
}
