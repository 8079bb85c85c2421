//! All that the endpoints ask of the verification engine, in one place.

use std::{net::IpAddr, sync::Arc};

use keywright_domain::{
    ids::{KeyId, WorkspaceId},
    key::{KeyNumber, SecretDigest},
    permission::{Catalogue, PermissionSet},
    principal::Creator,
    query::LastUsed,
    time::Clock,
    usage::AgentClass,
    verdict::Code,
    workspace::Slug,
};
use keywright_engine::{Caller, Engine, Moment, Refusal, Trust, Unavailable, VerifyRequest};
use keywright_keyformat::Locator;

use crate::{
    cluster::{Cluster, SingleNode},
    shares::Shares,
};

/// Why a presented credential is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The verdict.
    pub code: Code,
    /// What is wrong with the text, or what ended the key, if that is known. Never the text itself.
    pub hint: Option<String>,
    /// Whether nothing was judged, because this node can not be sure to know the latest changes.
    pub is_stale: bool,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code,
            hint: refusal
                .malformed
                .map(|malformed| malformed.to_string())
                .or_else(|| refusal.expired_by.map(|cause| cause.hint().to_owned())),
            is_stale: refusal.unavailable == Some(Unavailable::Stale),
        }
    }
}

/// The receipt of a change: how many nodes follow it, and how long the call waited for them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effective {
    /// Nodes that have applied the change.
    pub nodes: u32,
    /// How long the call waited for them, in milliseconds.
    pub waited_ms: f64,
    /// Nodes that were not heard of, and whose leases have run out.
    pub silent: u32,
}

impl Effective {
    /// A receipt for a wait that began at `since_ns` on the boot clock.
    pub(crate) fn since(clock: &dyn Clock, since_ns: u64, nodes: u32, silent: u32) -> Self {
        Self { nodes, waited_ms: milliseconds(clock.boot_ns().saturating_sub(since_ns)), silent }
    }
}

/// A key that was found by the locator of one of its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The key.
    pub key: KeyId,
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Its workspace's name.
    pub slug: Slug,
}

/// A credential as it was presented, and the circumstances.
#[derive(Clone, Copy)]
pub struct Presented<'a> {
    /// The text. Never shown, stored or logged.
    pub text: &'a str,
    /// From where it came, if known.
    pub client: Option<IpAddr>,
    /// What kind of client sent it.
    pub agent: AgentClass,
    /// The route, for the access ledger.
    pub route: &'a str,
}

/// The engine, as the endpoints see it. Cheap to clone.
#[derive(Clone)]
pub struct Plane {
    engine: Arc<Engine>,
    cluster: Arc<dyn Cluster>,
    shares: Option<Arc<Shares>>,
}

impl Plane {
    /// The view of `engine`, which follows the changes of the store that the endpoints use, and is the only one.
    pub fn new(engine: Arc<Engine>) -> Self {
        Self::clustered(engine, Arc::new(SingleNode))
    }

    /// The view of `engine`, which is one of several that follow the changes of the store.
    pub fn clustered(engine: Arc<Engine>, cluster: Arc<dyn Cluster>) -> Self {
        Self { engine, cluster, shares: None }
    }

    /// The same, of an engine that shares its limits with the other nodes.
    #[must_use]
    pub fn with_shares(mut self, shares: Arc<Shares>) -> Self {
        self.shares = Some(shares);
        self
    }

    /// What draws shares of limits, if they are shared.
    pub fn shares(&self) -> Option<&Shares> {
        self.shares.as_deref()
    }

    /// The other nodes.
    pub fn cluster(&self) -> &dyn Cluster {
        &*self.cluster
    }

    /// The engine itself, for the hot routes.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Who presents this credential, as far as the state in memory may tell under `trust`.
    ///
    /// # Errors
    /// [`Refused`] with the verdict.
    pub fn authenticate(
        &self,
        presented: &Presented<'_>,
        now: Moment,
        trust: Trust,
    ) -> Result<Caller, Refused> {
        let request = VerifyRequest {
            client: presented.client,
            agent: presented.agent,
            route: self.engine.spool().route(presented.route),
            cost: 0,
            trust,
            ..VerifyRequest::new(presented.text.as_bytes())
        };
        Ok(self.engine.authenticate(&request, now)?)
    }

    /// The digest under which a new secret is stored.
    pub fn digest(&self, text: &str) -> SecretDigest {
        self.engine.digest(text.as_bytes())
    }

    /// The permission catalogue as it is now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.engine.catalogue()
    }

    /// What the creator of a key may do now; the key never does more.
    pub fn creator_permissions(&self, creator: &Creator) -> PermissionSet {
        self.engine.membership_permissions(creator.membership)
    }

    /// Whether the creator of a key may act: the membership has neither ended nor been switched off.
    pub fn is_creator_active(&self, creator: &Creator) -> bool {
        self.engine.is_membership_active(creator.membership)
    }

    /// When the secrets of a key were last used since this process started.
    pub fn last_used(&self, key: KeyNumber) -> Vec<LastUsed> {
        self.engine.last_used(key)
    }

    /// The key that has a secret with this locator.
    pub fn locate(&self, locator: Locator) -> Option<Located> {
        let located = self.engine.locate(&locator)?;
        let slug = self.engine.workspace_slug(located.workspace_number)?;
        Some(Located { key: located.id, workspace: located.workspace, slug: Slug::parse(slug).ok()? })
    }
}

/// With one digit after the point.
fn milliseconds(nanoseconds: u64) -> f64 {
    let tenths = u32::try_from(nanoseconds / 100_000).unwrap_or(u32::MAX);
    f64::from(tenths) / 10.0
}
