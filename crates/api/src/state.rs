//! What every endpoint works with.

use std::sync::Arc;

use keywright_domain::{
    account::SessionLimits,
    entropy::{Entropy, random_bytes},
    store::Store,
    time::Clock,
};
use keywright_keyformat::IssuerTag;

use crate::{
    address_limit::{AddressLimit, AddressLimitSettings},
    caps::UPLOADS_MAX,
    client_address::TrustedProxies,
    credits::Credits,
    hot::RequestIds,
    oidc::{Providers, SpentFlows},
    outbox::Outbox,
    packages::PromptCache,
    password::Passwords,
    password_rules::BreachList,
    plane::Plane,
    setup_gate::SetupGate,
    sign_in_failures::SignInFailures,
    throttle::{FailureThrottle, ThrottleSettings},
    verdict_counts::VerdictCounts,
};

/// How the interface presents itself.
#[derive(Clone, Debug, Default)]
pub struct ApiConfig {
    /// Where the installation is reached, without a slash at the end; begins the `type` of problems. May be empty.
    pub base_url: String,
    /// The tag inside the installation's keys, if it has one.
    pub issuer_tag: Option<IssuerTag>,
    /// Proxies whose forwarding header is believed.
    pub trusted_proxies: TrustedProxies,
    /// How many unknown keys one address may try.
    pub throttle: ThrottleSettings,
    /// How many requests without a credential one address may make.
    pub unauthenticated: AddressLimitSettings,
    /// When sessions of people end by themselves.
    pub session_limits: SessionLimits,
}

/// Everything that endpoints share. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The verification engine.
    pub plane: Plane,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub entropy: Arc<dyn Entropy>,
    /// How the interface presents itself.
    pub config: Arc<ApiConfig>,
    /// Refuses addresses that try too many unknown keys.
    pub throttle: Arc<FailureThrottle>,
    /// Attempts to sign in that failed, for the security event log.
    pub sign_in_failures: Arc<SignInFailures>,
    /// Limits the requests without a credential of each address.
    pub address_limit: Arc<AddressLimit>,
    /// Guards the one-time set-up.
    pub setup: Arc<SetupGate>,
    /// Draws credits for calls that spend some.
    pub credits: Arc<Credits>,
    /// Verdicts by code. Whoever runs several workers gives each its own.
    pub verdicts: Arc<VerdictCounts>,
    /// Hashes passwords.
    pub passwords: Arc<Passwords>,
    /// Where letters to people leave; without one, whoever asks for a link gets it in the answer, once.
    pub outbox: Option<Arc<dyn Outbox>>,
    /// The list of breached passwords that the installation brings, if it brings one.
    pub breach_list: Option<Arc<dyn BreachList>>,
    /// Makes the ids of requests.
    pub request_ids: Arc<RequestIds>,
    /// The OpenID Connect providers that people sign in by.
    pub providers: Arc<Providers>,
    /// Sign-ins by providers that were finished a short while ago.
    pub(crate) spent_flows: Arc<SpentFlows>,
    /// Rendered prompts.
    pub prompts: PromptCache,
    /// Places for context files that are being taken in.
    pub(crate) uploads: Arc<tokio::sync::Semaphore>,
    /// Held while a workspace is read, changed and written back, so that no change of a policy undoes another one.
    pub(crate) workspace_writes: Arc<tokio::sync::Mutex<()>>,
}

impl AppState {
    /// The state of an interface whose set-up is closed; see [`SetupGate::open`].
    pub fn new(
        store: Arc<dyn Store>,
        plane: Plane,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        config: ApiConfig,
    ) -> Self {
        let request_ids = RequestIds::new(&*entropy);
        let seed = u64::from_be_bytes(random_bytes(&*entropy));
        let credits = Credits::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&entropy));
        Self {
            credits: Arc::new(credits),
            store,
            plane,
            clock,
            entropy,
            throttle: Arc::new(FailureThrottle::new(config.throttle, seed)),
            sign_in_failures: Arc::default(),
            address_limit: Arc::new(AddressLimit::new(config.unauthenticated, seed)),
            config: Arc::new(config),
            setup: Arc::new(SetupGate::default()),
            verdicts: Arc::default(),
            passwords: Arc::default(),
            outbox: None,
            breach_list: None,
            request_ids: Arc::new(request_ids),
            providers: Arc::default(),
            spent_flows: Arc::default(),
            prompts: PromptCache::default(),
            uploads: Arc::new(tokio::sync::Semaphore::new(UPLOADS_MAX)),
            workspace_writes: Arc::default(),
        }
    }
}
