//! The self-audit: after a revocation has returned, every node is asked on its public port whether it would accept the
//! secret. The answer must be no, so the counter of violations must stay at zero.
//!
//! It needs no secret: the question names the secret's locator, which is public, and both question and answer carry a code
//! that only a node with the installation's pepper can make.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Response, StatusCode, header};
use keywright_domain::{
    change::{Change, NumberedChange},
    control::NodeRow,
    entropy::random_bytes,
    time::Clock,
};
use keywright_engine::{Engine, Moment, Pepper};
use keywright_keyformat::Locator;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::system::SystemEntropy;

/// Where the question goes: then the nonce, the locator and the code.
const PATH: &str = "/internal/self-audit/";
const KEY_DOMAIN: &[u8] = b"keywright self-audit v1\0";
/// Revocations that wait for their barrier, and audits that wait for their turn. More are skipped.
const REVOKED_MAX: usize = 4_096;
const QUEUE_MAX: usize = 256;
/// At most so many audits a second: one in so many milliseconds.
const PAUSE: Duration = Duration::from_millis(50);
/// How much everything else comes first.
const NICE: i32 = 10;
const TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_MAX_BYTES: u64 = 1_024;

/// What came of the audits.
#[derive(Debug, Default)]
pub(crate) struct AuditStats {
    /// Answers that were no, as they must be.
    pub(crate) passed: AtomicU64,
    /// Answers that were yes.
    pub(crate) violations: AtomicU64,
    /// Nodes that gave no answer.
    pub(crate) unanswered: AtomicU64,
    /// Revocations that were not looked at, so as not to ask too often.
    pub(crate) skipped: AtomicU64,
}

/// Keys for the codes, by version of the pepper; the newest is last.
pub(crate) struct AuditKeys(Vec<Zeroizing<[u8; 32]>>);

impl AuditKeys {
    /// Keys made from `peppers`, oldest first.
    pub(crate) fn of<'a>(peppers: impl Iterator<Item = &'a Pepper>) -> Self {
        Self(peppers.map(|pepper| Zeroizing::new(code(pepper.expose(), &[KEY_DOMAIN]))).collect())
    }

    fn newest(&self) -> &[u8; 32] {
        self.0.last().expect("there is at least one pepper")
    }

    /// The key under which `given` is the code of `parts`.
    fn which(&self, parts: &[&[u8]], given: &[u8]) -> Option<&[u8; 32]> {
        self.0.iter().map(|key| &**key).find(|key| is_code(key, parts, given))
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        // Lengths first, so that no two lists of parts look the same.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

fn code(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    mac(key, parts).finalize().into_bytes().into()
}

/// In constant time.
fn is_code(key: &[u8; 32], parts: &[&[u8]], given: &[u8]) -> bool {
    mac(key, parts).verify_slice(given).is_ok()
}

/// What a node says.
#[derive(Serialize, Deserialize)]
struct Answer {
    accepts: bool,
    as_of_seq: u64,
    code: String,
}

impl Answer {
    fn parts<'a>(nonce: &'a str, locator: &'a str, verdict: &'a [u8; 9]) -> [&'a [u8]; 4] {
        [b"answer", nonce.as_bytes(), locator.as_bytes(), verdict]
    }

    fn verdict(accepts: bool, as_of_seq: u64) -> [u8; 9] {
        let mut bytes = [u8::from(accepts); 9];
        bytes[1..].copy_from_slice(&as_of_seq.to_be_bytes());
        bytes
    }
}

/// Answers the questions of other nodes.
pub(crate) struct AuditDesk {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<AuditKeys>,
}

impl AuditDesk {
    /// The answer, if `path` is a question of a node of this installation.
    pub(crate) fn answer(&self, path: &str) -> Option<Response<Bytes>> {
        let mut words = path.strip_prefix(PATH)?.split('/');
        let (nonce, locator, given) = (words.next()?, words.next()?, words.next()?);
        let parsed: Locator = locator.parse().ok()?;
        let given = hex::decode(given).ok()?;
        let question = [b"question", nonce.as_bytes(), locator.as_bytes()];
        let key = self.keys.which(&question, &given)?;
        let would = self.engine.would_accept_locator(&parsed, Moment::read(&*self.clock));
        let verdict = Answer::verdict(would.accepts, would.as_of);
        let code = hex::encode(code(key, &Answer::parts(nonce, locator, &verdict)));
        let answer = Answer { accepts: would.accepts, as_of_seq: would.as_of, code };
        let text = serde_json::to_vec(&answer).expect("numbers and texts are JSON");
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
        Some(response)
    }
}

/// An audit that is due.
struct Due {
    sequence: u64,
    locators: Vec<Locator>,
    addresses: Vec<(String, String)>,
}

/// Asks the other nodes.
pub(super) struct Auditor {
    revoked: Mutex<BTreeMap<u64, Vec<Locator>>>,
    /// Names and addresses of the nodes, at the last look.
    addresses: Mutex<Vec<(String, String)>>,
    due: mpsc::SyncSender<Due>,
    stats: Arc<AuditStats>,
}

impl Auditor {
    /// Starts the thread that asks. It ends with the auditor.
    pub(super) fn start(keys: Arc<AuditKeys>, stats: Arc<AuditStats>) -> std::io::Result<Self> {
        let (due, waiting) = mpsc::sync_channel(QUEUE_MAX);
        let for_thread = Arc::clone(&stats);
        thread::Builder::new()
            .name("self-audit".to_owned())
            .spawn(move || ask_all(&keys, &for_thread, &waiting))?;
        Ok(Self { revoked: Mutex::default(), addresses: Mutex::default(), due, stats })
    }

    /// Notes what ended for good by a change of this node.
    pub(super) fn note(&self, changes: &[NumberedChange]) {
        for change in changes.iter().filter(|change| change.restricting) {
            let Change::Key(view) = &change.change else { continue };
            let ended = view.secrets.iter().filter(|secret| view.revoked || secret.retired);
            let locators: Vec<_> = ended.map(|secret| secret.locator).collect();
            let mut revoked = self.revoked.lock();
            if !locators.is_empty() && revoked.len() < REVOKED_MAX {
                revoked.insert(change.sequence, locators);
            }
        }
    }

    /// The nodes as they are registered now.
    pub(super) fn look(&self, rows: &[NodeRow]) {
        let alive = rows.iter().filter(|row| !row.is_fenced && !row.address.is_empty());
        let mut addresses: Vec<_> = alive.map(|row| (row.name.clone(), row.address.clone())).collect();
        let mut known = self.addresses.lock();
        addresses.sort();
        addresses.dedup();
        *known = addresses;
    }

    /// The change holds on every node, as the barrier has it.
    pub(super) fn holds(&self, sequence: u64) {
        let mut revoked = self.revoked.lock();
        let locators = revoked.remove(&sequence);
        // What nobody waited for is not looked at.
        *revoked = revoked.split_off(&sequence.saturating_sub(REVOKED_MAX as u64));
        drop(revoked);
        let (Some(locators), addresses) = (locators, self.addresses.lock().clone()) else { return };
        if addresses.len() < 2 {
            return;
        }
        if self.due.try_send(Due { sequence, locators, addresses }).is_err() {
            self.stats.skipped.fetch_add(1, Relaxed);
        }
    }
}

fn ask_all(keys: &AuditKeys, stats: &AuditStats, waiting: &mpsc::Receiver<Due>) {
    // On Linux this is the thread's own: audits must not hold up what they audit. Without it they are a little slower
    // or faster, no more.
    let _ignored = rustix::process::nice(NICE);
    // For each phase on its own: a limit on looking names up, or on all of it, would take a thread per question.
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_connect(Some(TIMEOUT))
        .timeout_send_request(Some(TIMEOUT))
        .timeout_recv_response(Some(TIMEOUT))
        .timeout_recv_body(Some(TIMEOUT))
        .build()
        .into();
    while let Ok(due) = waiting.recv() {
        for (name, address) in &due.addresses {
            for locator in &due.locators {
                match ask(&agent, keys, address, *locator) {
                    Some(answer) if answer.accepts => {
                        stats.violations.fetch_add(1, Relaxed);
                        tracing::error!(
                            node = name,
                            sequence = due.sequence,
                            as_of_seq = answer.as_of_seq,
                            %locator,
                            "a node would accept a secret whose revocation has returned; please report it"
                        );
                    }
                    Some(_) => drop(stats.passed.fetch_add(1, Relaxed)),
                    None => drop(stats.unanswered.fetch_add(1, Relaxed)),
                }
            }
        }
        thread::sleep(PAUSE);
    }
}

/// A node's answer, if there is one and it is the node's.
fn ask(agent: &ureq::Agent, keys: &AuditKeys, address: &str, locator: Locator) -> Option<Answer> {
    let nonce = hex::encode(random_bytes::<16>(&SystemEntropy));
    let locator = locator.to_string();
    let key = keys.newest();
    let given = code(key, &[b"question", nonce.as_bytes(), locator.as_bytes()]);
    let url = format!("{address}{PATH}{nonce}/{locator}/{}", hex::encode(given));
    let mut response = agent.get(&url).call().ok()?;
    let text = response.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_string().ok()?;
    let answer: Answer = serde_json::from_str(&text).ok()?;
    let verdict = Answer::verdict(answer.accepts, answer.as_of_seq);
    let given = hex::decode(&answer.code).ok()?;
    is_code(key, &Answer::parts(&nonce, &locator, &verdict), &given).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_keys_parts_and_their_borders_apart() {
        let [older, newer] = [1, 2].map(|byte| Pepper::from_bytes([byte; 32]));
        let keys = AuditKeys::of([&older, &newer].into_iter());
        let given = code(keys.newest(), &[b"ab", b"c"]);
        assert_eq!(keys.which(&[b"ab", b"c"], &given), Some(keys.newest()));
        assert_eq!(keys.which(&[b"a", b"bc"], &given), None);
        assert_eq!(keys.which(&[b"ab", b"c"], &given[1..]), None);
        assert_eq!(AuditKeys::of([&older].into_iter()).which(&[b"ab", b"c"], &given), None);
        // Nodes that have the new pepper already and nodes that have not understand each other the older way round.
        let old_code = code(AuditKeys::of([&older].into_iter()).newest(), &[b"x"]);
        assert!(keys.which(&[b"x"], &old_code).is_some());
    }

    /// Answers every question with these words, as a node would.
    fn node_that_says(accepts: bool, keys: &Arc<AuditKeys>) -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::clone(keys);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = String::new();
                std::io::BufRead::read_line(&mut std::io::BufReader::new(&stream), &mut head).unwrap();
                let words: Vec<&str> = head.split(' ').nth(1).unwrap().split('/').collect();
                let [.., nonce, locator, _] = words[..] else { panic!("{head}") };
                let verdict = Answer::verdict(accepts, 9);
                let code = hex::encode(code(keys.newest(), &Answer::parts(nonce, locator, &verdict)));
                let body = serde_json::to_string(&Answer { accepts, as_of_seq: 9, code }).unwrap();
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            }
        });
        address
    }

    fn row(name: &str, address: String) -> NodeRow {
        NodeRow {
            name: name.to_owned(),
            incarnation: keywright_domain::control::Incarnation([0; 16]),
            address,
            version: String::new(),
            applied: 0,
            renewals: 0,
            challenge: 0,
            reasserted: 0,
            is_fenced: false,
        }
    }

    #[test]
    fn a_node_that_would_accept_is_counted_as_a_violation() {
        let keys = Arc::new(AuditKeys::of([&Pepper::from_bytes([1; 32])].into_iter()));
        let stats = Arc::<AuditStats>::default();
        let auditor = Auditor::start(Arc::clone(&keys), Arc::clone(&stats)).unwrap();
        let gone = keywright_testkit::free_port();
        auditor.look(&[
            row("good", node_that_says(false, &keys)),
            row("bad", node_that_says(true, &keys)),
            row("gone", format!("http://127.0.0.1:{gone}")),
            // Its answers are not those of a node of this installation.
            row(
                "stranger",
                node_that_says(false, &Arc::new(AuditKeys::of([&Pepper::from_bytes([2; 32])].into_iter()))),
            ),
        ]);
        let locator: Locator = "aB3dE6gH9kLm".parse().unwrap();
        auditor.revoked.lock().insert(5, vec![locator]);
        auditor.holds(4);
        auditor.holds(5);
        let counted =
            || [&stats.passed, &stats.violations, &stats.unanswered].map(|count| count.load(Relaxed));
        for _ in 0..600 {
            if counted().iter().sum::<u64>() == 4 {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!((counted(), stats.skipped.load(Relaxed)), ([1, 1, 2], 0));
    }
}
