//! Clients: some create and revoke keys, others verify them on every node all the time.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::Duration,
};

use parking_lot::Mutex;

use keywright_chaos::{
    client::{Client, Revoked},
    cluster::Cluster,
};

use crate::{
    history::{History, Verification},
    random::Random,
};

/// A verification that takes longer has failed.
const VERIFY_PATIENCE: Duration = Duration::from_secs(2);
/// A call that changes something waits longer than the longest wait for a lease of three seconds.
const CHANGE_PATIENCE: Duration = Duration::from_secs(70);
/// Keys that were revoked longest ago are not verified any more.
const WATCHED_MAX: usize = 300;

/// The keys that are verified.
#[derive(Default)]
pub(crate) struct Watched {
    live: Mutex<Vec<usize>>,
    revoked: Mutex<Vec<usize>>,
}

impl Watched {
    fn pick(&self, random: &mut Random) -> Option<usize> {
        let one = |keys: &Mutex<Vec<usize>>, random: &mut Random| {
            let keys = keys.lock();
            (!keys.is_empty()).then(|| keys[random.below(keys.len())])
        };
        // A key that was just revoked is the one to watch.
        if random.percent(40) {
            let revoked = self.revoked.lock();
            let recent = revoked.len().min(8);
            if recent > 0 {
                return Some(revoked[revoked.len() - 1 - random.below(recent)]);
            }
        }
        if random.percent(35) { one(&self.live, random) } else { one(&self.revoked, random) }
    }

    fn is_revoked(&self, key: usize) {
        self.live.lock().retain(|live| *live != key);
        let mut revoked = self.revoked.lock();
        revoked.push(key);
        if revoked.len() > WATCHED_MAX {
            revoked.remove(0);
        }
    }
}

/// Everything that the clients share.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) history: Arc<History>,
    pub(crate) watched: Arc<Watched>,
    /// A key that may verify keys.
    pub(crate) verifier: String,
    pub(crate) seed: u64,
}

impl Load {
    /// Starts the clients; they end with the history.
    pub(crate) fn start(&self, verifiers_per_node: usize, revokers: usize) -> Vec<thread::JoinHandle<()>> {
        let mut clients = Vec::new();
        for node in 0..self.cluster.nodes.len() {
            for number in 0..verifiers_per_node {
                let load = self.clone();
                let stream = 1_000 + u64::try_from(node * 100 + number).expect("few clients");
                clients.push(thread::spawn(move || load.verify(node, &mut Random::new(load.seed, stream))));
            }
        }
        for number in 0..revokers {
            let load = self.clone();
            let stream = 2_000 + u64::try_from(number).expect("few clients");
            clients.push(thread::spawn(move || load.revoke(&mut Random::new(load.seed, stream))));
        }
        clients
    }

    fn verify(&self, node: usize, random: &mut Random) {
        let client = Client::new(&self.verifier, VERIFY_PATIENCE);
        let base = &self.cluster.nodes[node].base;
        while !self.history.is_over() {
            let Some(key) = self.watched.pick(random) else {
                thread::sleep(Duration::from_millis(5));
                continue;
            };
            let secret = self.history.secret(key);
            let start = self.history.now();
            if let Ok(answer) = client.verify(base, &secret) {
                let end = self.history.now();
                self.history.verified(Verification { key, node, start, end, answer });
            } else {
                self.history.counts.unanswered.fetch_add(1, Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        }
    }

    fn revoke(&self, random: &mut Random) {
        let client = Client::new(&self.cluster.operator, CHANGE_PATIENCE);
        let bases: Vec<_> = self.cluster.nodes.iter().map(|node| node.base.as_str()).collect();
        while !self.history.is_over() {
            let base = bases[random.below(bases.len())];
            let Ok((id, secret)) = client.create_key(base, &[]) else {
                thread::sleep(Duration::from_millis(50));
                continue;
            };
            let key = self.history.add_key(id.clone(), secret);
            self.watched.live.lock().push(key);
            thread::sleep(random.milliseconds(20, 400));
            self.history.revoke_begins(key);
            if self.revoke_one(&client, &bases, &id, random) {
                self.history.revoke_returned(key);
                self.watched.is_revoked(key);
            }
        }
    }

    /// Revokes, again and again where that fails, until a node gives the receipt.
    fn revoke_one(&self, client: &Client, bases: &[&str], id: &str, random: &mut Random) -> bool {
        let mut operation: Option<String> = None;
        while !self.history.is_over() {
            let base = bases[random.below(bases.len())];
            if let Some(id) = &operation {
                if matches!(client.is_complete(base, id), Ok(true)) {
                    return true;
                }
            } else {
                match client.revoke(base, id) {
                    Ok(Revoked::Everywhere) => return true,
                    Ok(Revoked::Later(id)) => {
                        self.history.counts.waited.fetch_add(1, Relaxed);
                        operation = Some(id);
                    }
                    // The outcome is not known: a second call returns the receipt of the first.
                    Err(_) => {}
                }
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}
