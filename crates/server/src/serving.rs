//! A running server: listeners and jobs from the first request to the last.

use std::{sync::Arc, time::Duration};

use keywright_api::{
    AppState,
    address_limit::AddressLimitSettings,
    client_address::{ForwardingHeader, TrustedProxies},
    plane::Plane,
};
use keywright_domain::account::SessionLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
};

use crate::{
    breach_list,
    config::Config,
    failure::{Exit, Failure},
    installation::Opened,
    jobs::{self, JobStats},
    mail::{Carrier, Letterbox, MailStats, Posted, deliver},
    ops::{
        Admin, Health, Observed, RequestStats, Traces,
        health::Phase,
        metrics::{Metrics, Sources},
        tag_route,
    },
    pages,
    runtime::{Bound, Server, ServerSettings, bind, tls::TlsFiles},
    security::SecurityEvents,
    sign_in,
    system::SystemEntropy,
};

/// How long closing the listeners of the admin side may take.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

/// What is bound before anything is opened, so that a taken port changes nothing on the disk.
pub(crate) struct Listeners {
    pub(crate) public: Bound,
    pub(crate) admin: Option<Bound>,
    pub(crate) tls: Option<Arc<TlsFiles>>,
}

/// How messages name the option for an address.
#[derive(Clone, Copy)]
pub(crate) struct ListenOptions {
    pub(crate) public: &'static str,
    pub(crate) admin: &'static str,
}

impl Listeners {
    /// Binds the addresses and reads the certificate.
    pub(crate) fn bind(config: &Config, options: ListenOptions) -> Result<Self, Failure> {
        let tls = config.tls.as_ref().map(TlsFiles::load).transpose()?.map(Arc::new);
        let public = bind(config.listen.0, options.public)?;
        let admin = config.admin_listen.0.map(|address| bind(address, options.admin)).transpose()?;
        Ok(Self { public, admin, tls })
    }

    /// Where clients reach the server: as configured, or as bound.
    pub(crate) fn base_url(&self, config: &Config) -> String {
        if let Some(url) = &config.base_url {
            return url.as_str().to_owned();
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut address = self.public.address();
        if address.ip().is_unspecified() {
            // "All addresses" is none that a client can use.
            address.set_ip(if address.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        format!("{scheme}://{address}")
    }
}

/// Runs a future on the main thread. Requests are answered by threads of their own.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::System, format!("cannot start the event loop: {error}")))?
        .block_on(future)
}

/// A server that answers requests.
pub(crate) struct Serving {
    shared: jobs::Shared,
    state: AppState,
    server: Server,
    admin: Option<Server>,
    traces: Option<Arc<Traces>>,
    stop_jobs: watch::Sender<bool>,
    jobs: tokio::task::JoinSet<()>,
    signals: Signals,
    drain: Duration,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let listen = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(Exit::System, format!("cannot listen for signals: {error}")))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Serving {
    /// Starts to answer requests for `opened`. The workers have handles of their own of the `listeners`; the ones given
    /// are closed, so that the port is free when the last worker stops accepting.
    pub(crate) fn start(opened: Opened, config: &Config, listeners: Listeners) -> Result<Self, Failure> {
        let signals = Signals::listen()?;
        raise_limits();
        let opened = Arc::new(opened);
        let standing = opened.node.as_ref().map(|node| Arc::clone(node.standing()));
        let mail = Arc::new(MailStats::default());
        let health = Arc::new(Health::new(Arc::clone(&opened.engine), standing.clone(), Arc::clone(&mail)));
        let job_stats = Arc::new(JobStats::default());
        let mut state = app_state(&opened, config, listeners.base_url(config));
        let post = post_office(config, &mail)?;
        state.outbox = post.as_ref().map(|(letterbox, ..)| Arc::new(letterbox.clone()) as _);
        state.providers.name(sign_in::providers(&config.sign_in)?, &state.clock);
        let requests = Arc::new(RequestStats::default());
        let shared = jobs::Shared {
            opened,
            health: Arc::clone(&health),
            stats: Arc::clone(&job_stats),
            credits: Arc::clone(&state.credits),
            retention: (&config.retention).into(),
            security: SecurityEvents::open(&config.security_events, &config.data_dir)?,
            requests: Arc::clone(&requests),
            router_verdicts: Arc::clone(&state.verdicts),
            throttle: Arc::clone(&state.throttle),
            sign_in_failures: Arc::clone(&state.sign_in_failures),
        };
        let traces = Traces::start(&config.telemetry)?.map(Arc::new);
        let router = keywright_api::router(state.clone()).merge(pages::routes());
        let router = router.layer(axum::middleware::from_fn(tag_route));
        let observed =
            Observed::new(state.clone(), router, Arc::clone(&requests), Arc::clone(&health), traces.clone());
        let desk = shared.opened.node.as_ref().map(|node| Arc::clone(node.desk()));
        let observed = observed.with_desk(desk);
        let limits = (&config.limits).into();
        let settings = ServerSettings {
            workers: config.worker_count(),
            limits,
            exempt: config.trusted_networks(),
            tls: listeners.tls.clone(),
        };
        let server = Server::start(&listeners.public, settings, &observed)?;
        let metrics = Arc::new(Metrics::new(Sources {
            engine: Arc::clone(&shared.opened.engine),
            health: Arc::clone(&health),
            requests,
            router_verdicts: Arc::clone(&state.verdicts),
            connections: Arc::clone(server.gauges()),
            jobs: job_stats,
            mail: Arc::clone(&mail),
            standing,
            security: shared.security.clone(),
        }));
        let admin = listeners.admin.as_ref().map(|bound| {
            let settings = ServerSettings { workers: 1, limits, exempt: Vec::new(), tls: None };
            Server::start(bound, settings, &Admin::new(Arc::clone(&health), Arc::clone(&metrics)))
        });
        let admin = admin.transpose()?;
        let (stop_jobs, stopping) = watch::channel(false);
        let mut jobs = jobs::start(&shared, listeners.tls.as_ref(), &stopping);
        if let Some((_, letters, carrier)) = post {
            jobs.spawn(deliver(letters, Arc::new(carrier), mail, stopping));
        }
        drop(listeners);
        health.enter(Phase::Serving);
        Ok(Self { shared, state, server, admin, traces, stop_jobs, jobs, signals, drain: config.drain() })
    }

    /// What the API shares.
    pub(crate) const fn state(&self) -> &AppState {
        &self.state
    }

    /// Serves until a signal comes, then ends in order: no request is cut off that finishes in time, no count and no
    /// change is lost.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        self.signals.next().await;
        tracing::info!("stopping; a second signal ends the process at once");
        let Self { shared, state, server, admin, traces, stop_jobs, mut jobs, mut signals, drain } = self;
        drop(state);
        let ending = async {
            shared.health.enter(Phase::Stopping);
            server.drain(drain).await;
            if let Some(node) = &shared.opened.node {
                // From here on nothing is answered from memory, and no other node waits for this one.
                node.stop().await;
            }
            if let Some(limits) = &shared.opened.limits {
                limits.stop().await;
            }
            stop_jobs.send_replace(true);
            while jobs.join_next().await.is_some() {}
            let settled = shared.credits.finish(&shared.opened.engine).await.map_err(anyhow::Error::from);
            let flushed = jobs::flush_everything(&shared).await;
            let signed = jobs::sign_checkpoint(&shared).await;
            let closed = shared.opened.store.close().await.map_err(anyhow::Error::from);
            if let Some(admin) = admin {
                admin.drain(ADMIN_DRAIN).await;
            }
            if let Some(traces) = traces {
                // Delivering the last spans waits for the collector.
                drop(tokio::task::spawn_blocking(move || traces.stop()).await);
            }
            for (what, result) in
                [("usage", flushed), ("credits", settled), ("checkpoint", signed), ("database", closed)]
            {
                if let Err(error) = result {
                    // Usage and slices stay in the spool, which the next start takes over.
                    tracing::error!(what, error = format!("{error:#}"), "not finished at shutdown");
                }
            }
        };
        tokio::select! {
            () = ending => tracing::info!("stopped"),
            () = signals.next() => {
                tracing::warn!("ended at once by a second signal; acknowledged changes and counted usage are safe");
                std::process::exit(130);
            }
        }
        Ok(())
    }
}

/// Where letters are put in, and how they are carried; none without a mail server.
fn post_office(
    config: &Config,
    stats: &Arc<MailStats>,
) -> Result<Option<(Letterbox, mpsc::Receiver<Posted>, Carrier)>, Failure> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let carrier = Carrier::new(mail, Arc::new(SystemEntropy))?;
    let (letterbox, letters) = Letterbox::new(Arc::clone(stats));
    Ok(Some((letterbox, letters, carrier)))
}

fn app_state(opened: &Opened, config: &Config, base_url: String) -> AppState {
    let api = keywright_api::ApiConfig {
        base_url,
        issuer_tag: config.issuer_tag.map(|tag| tag.0),
        trusted_proxies: TrustedProxies::new(config.trusted_networks(), ForwardingHeader::XForwardedFor),
        unauthenticated: AddressLimitSettings {
            per_minute: config.limits.unauthenticated_per_minute.get(),
            per_hour: config.limits.unauthenticated_per_hour.get(),
            ..AddressLimitSettings::default()
        },
        session_limits: SessionLimits {
            idle_seconds: i64::from(config.accounts.session_idle_minutes.get()) * 60,
            absolute_seconds: i64::from(config.accounts.session_hours.get()) * 3_600,
        },
        ..keywright_api::ApiConfig::default()
    };
    let mut state = AppState::new(
        Arc::clone(&opened.store) as _,
        plane(opened),
        Arc::clone(&opened.clock),
        Arc::new(SystemEntropy),
        api,
    );
    state.breach_list = breach_list::of(&config.accounts);
    state
}

fn plane(opened: &Opened) -> Plane {
    let engine = Arc::clone(&opened.engine);
    let plane = match &opened.node {
        Some(node) => Plane::clustered(engine, Arc::clone(node) as _),
        None => Plane::new(engine),
    };
    match &opened.limits {
        Some(limits) => plane.with_shares(limits.shares()),
        None => plane,
    }
}

/// As many open files as the system lets us have, and no core file: it would hold peppers.
fn raise_limits() {
    let files = getrlimit(Resource::Nofile);
    if setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }).is_err() {
        tracing::debug!("the limit of open files stays as it is");
    }
    let core = getrlimit(Resource::Core);
    if setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: core.maximum }).is_err() {
        tracing::warn!("core files cannot be switched off");
    }
}
