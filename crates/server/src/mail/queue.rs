//! Letters that wait for the mail server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout_at},
};

use super::{Carrier, SendError, Text};

/// Letters that may wait in the box, and as many that were taken out of it. One more is dropped, and counted.
pub(crate) const WAITING_MAX: usize = 1_000;
/// The pause after a first failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// How long a letter is tried.
const GIVE_UP: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the letters that still wait are tried when the process ends.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// What became of letters.
#[derive(Debug, Default)]
pub(crate) struct MailStats {
    /// Taken by the mail server.
    pub(crate) sent: AtomicU64,
    /// Tries that failed and are repeated.
    pub(crate) retried: AtomicU64,
    /// Refused by the mail server for good, or tried for too long.
    pub(crate) failed: AtomicU64,
    /// Given up because too many waited, or because the process ended.
    pub(crate) dropped: AtomicU64,
    /// Wait now.
    pub(crate) waiting: AtomicU64,
    /// Whether the mail server did not take the last letter that it may take later.
    pub(crate) is_troubled: AtomicBool,
}

impl MailStats {
    /// The numbers of letters, by what became of them.
    pub(crate) fn outcomes(&self) -> [(&'static str, u64); 4] {
        [
            ("sent", self.sent.load(Relaxed)),
            ("retried", self.retried.load(Relaxed)),
            ("failed", self.failed.load(Relaxed)),
            ("dropped", self.dropped.load(Relaxed)),
        ]
    }
}

/// A letter and whom it goes to.
pub(crate) struct Posted {
    /// The address.
    pub(crate) to: String,
    /// What it says.
    pub(crate) text: Text,
    /// The kind of letter, for the log.
    pub(crate) kind: &'static str,
}

/// Hands over one letter, blocking.
pub(crate) trait Carry: Send + Sync + 'static {
    /// Hands over `posted`.
    fn carry(&self, posted: &Posted) -> Result<(), SendError>;
}

impl Carry for Carrier {
    fn carry(&self, posted: &Posted) -> Result<(), SendError> {
        self.send(&posted.to, &posted.text)
    }
}

/// Takes letters in, without waiting.
#[derive(Clone)]
pub(crate) struct Letterbox {
    queue: mpsc::Sender<Posted>,
    stats: Arc<MailStats>,
}

impl Letterbox {
    /// A letterbox, and what [`deliver`] empties it by.
    pub(crate) fn new(stats: Arc<MailStats>) -> (Self, mpsc::Receiver<Posted>) {
        let (queue, emptied) = mpsc::channel(WAITING_MAX);
        (Self { queue, stats }, emptied)
    }

    /// Puts a letter in; it is dropped when there is no room.
    pub(crate) fn post(&self, posted: Posted) {
        let kind = posted.kind;
        // Counted before it can be delivered: the number never falls below none.
        self.stats.waiting.fetch_add(1, Relaxed);
        if self.queue.try_send(posted).is_err() {
            self.stats.waiting.fetch_sub(1, Relaxed);
            self.stats.dropped.fetch_add(1, Relaxed);
            tracing::error!(kind, "a letter was dropped: too many wait for the mail server");
        }
    }
}

/// A letter that was taken out of the box.
struct Waiting {
    posted: Arc<Posted>,
    since: Instant,
    due: Instant,
    failures: u32,
}

/// Delivers letters one after the other until `stopping`; then each that waits is tried once more.
pub(crate) async fn deliver<C: Carry>(
    mut letters: mpsc::Receiver<Posted>,
    carrier: Arc<C>,
    stats: Arc<MailStats>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut delivery = Delivery { carrier, stats, waiting: Vec::new() };
    loop {
        let due = delivery.waiting.iter().map(|waiting| waiting.due).min();
        let pause = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = told_to_stop(&mut stopping) => break,
            posted = letters.recv(), if delivery.waiting.len() < WAITING_MAX => match posted {
                Some(posted) => delivery.take(posted),
                None => break,
            },
            () = pause => delivery.try_due().await,
        }
    }
    letters.close();
    while let Ok(posted) = letters.try_recv() {
        delivery.take(posted);
    }
    delivery.finish().await;
}

async fn told_to_stop(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stopping| *stopping).await);
}

struct Delivery<C> {
    carrier: Arc<C>,
    stats: Arc<MailStats>,
    waiting: Vec<Waiting>,
}

impl<C: Carry> Delivery<C> {
    fn take(&mut self, posted: Posted) {
        let now = Instant::now();
        self.waiting.push(Waiting { posted: Arc::new(posted), since: now, due: now, failures: 0 });
    }

    /// Tries the letter that is due first.
    async fn try_due(&mut self) {
        let first = self.waiting.iter().enumerate().min_by_key(|(_, waiting)| waiting.due);
        let Some((index, _)) = first else { return };
        let mut waiting = self.waiting.swap_remove(index);
        let Err(error) = self.carry(&waiting).await else { return };
        let now = Instant::now();
        let tried = now.duration_since(waiting.since);
        let kind = waiting.posted.kind;
        match error {
            SendError::Later(why) if tried < GIVE_UP => {
                if waiting.failures == 0 {
                    tracing::warn!(kind, why, "a letter was not taken; will try again");
                }
                self.stats.retried.fetch_add(1, Relaxed);
                waiting.due = now + pause(waiting.failures);
                waiting.failures = waiting.failures.saturating_add(1);
                self.waiting.push(waiting);
            }
            SendError::Later(why) | SendError::Never(why) => {
                tracing::error!(kind, why, "a letter was not delivered");
                self.stats.failed.fetch_add(1, Relaxed);
                self.stats.waiting.fetch_sub(1, Relaxed);
            }
        }
    }

    async fn carry(&self, waiting: &Waiting) -> Result<(), SendError> {
        let (carrier, posted) = (Arc::clone(&self.carrier), Arc::clone(&waiting.posted));
        let result = tokio::task::spawn_blocking(move || carrier.carry(&posted))
            .await
            .unwrap_or_else(|_| Err(SendError::Never("a defect".to_owned())));
        if result.is_ok() {
            self.stats.sent.fetch_add(1, Relaxed);
            self.stats.waiting.fetch_sub(1, Relaxed);
        }
        // A server that refuses for good is there, and judges.
        self.stats.is_troubled.store(matches!(result, Err(SendError::Later(_))), Relaxed);
        result
    }

    async fn finish(&mut self) {
        let end = Instant::now() + LAST_TRIES;
        let mut lost: u64 = 0;
        for waiting in std::mem::take(&mut self.waiting) {
            if !matches!(timeout_at(end, self.carry(&waiting)).await, Ok(Ok(()))) {
                lost += 1;
            }
        }
        if lost > 0 {
            self.stats.dropped.fetch_add(lost, Relaxed);
            self.stats.waiting.store(0, Relaxed);
            tracing::error!(letters = lost, "letters were not delivered before the end; ask for them again");
        }
    }
}

/// The pause after so many failures and one more.
fn pause(failures: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << failures.min(16)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    /// Answers as told, then takes everything.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<Vec<SendError>>,
        carried: Mutex<Vec<String>>,
    }

    impl Carry for Scripted {
        fn carry(&self, posted: &Posted) -> Result<(), SendError> {
            let mut answers = self.answers.lock();
            if !answers.is_empty() {
                return Err(answers.remove(0));
            }
            self.carried.lock().push(posted.to.clone());
            Ok(())
        }
    }

    struct Office {
        letterbox: Letterbox,
        stats: Arc<MailStats>,
        scripted: Arc<Scripted>,
        stop: watch::Sender<bool>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Office {
        fn open(answers: Vec<SendError>) -> Self {
            let stats = Arc::new(MailStats::default());
            let scripted = Arc::new(Scripted { answers: Mutex::new(answers), ..Scripted::default() });
            let (letterbox, letters) = Letterbox::new(Arc::clone(&stats));
            let (stop, stopping) = watch::channel(false);
            let task = tokio::spawn(deliver(letters, Arc::clone(&scripted), Arc::clone(&stats), stopping));
            Self { letterbox, stats, scripted, stop, task }
        }

        fn post(&self, to: &str) {
            let text = Text { subject: String::new(), parts: Vec::new() };
            self.letterbox.post(Posted { to: to.to_owned(), text, kind: "test" });
        }

        async fn close(self) -> (Vec<String>, [u64; 5]) {
            self.stop.send_replace(true);
            self.task.await.unwrap();
            let outcomes = self.stats.outcomes().map(|(_, count)| count);
            let carried = self.scripted.carried.lock().clone();
            let [sent, retried, failed, dropped] = outcomes;
            (carried, [sent, retried, failed, dropped, self.stats.waiting.load(Relaxed)])
        }
    }

    fn later() -> SendError {
        SendError::Later("busy".to_owned())
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        assert_eq!(pause(0), PAUSE_MIN);
        assert_eq!(pause(3), 8 * PAUSE_MIN);
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_server_gets_the_letter_later() {
        let office = Office::open(vec![later(), later()]);
        office.post("a@x.example");
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(office.stats.is_troubled.load(Relaxed));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!office.stats.is_troubled.load(Relaxed));
        assert_eq!(office.close().await, (vec!["a@x.example".to_owned()], [1, 2, 0, 0, 0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_letter_does_not_hold_up_the_others() {
        let office = Office::open(vec![SendError::Never("no such person".to_owned())]);
        office.post("a@x.example");
        office.post("b@x.example");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!office.stats.is_troubled.load(Relaxed), "the server is there");
        assert_eq!(office.close().await, (vec!["b@x.example".to_owned()], [1, 0, 1, 0, 0]));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_tried_for_ever() {
        let office = Office::open((0..200).map(|_| later()).collect());
        office.post("a@x.example");
        tokio::time::sleep(GIVE_UP + PAUSE_MAX).await;
        let (carried, [sent, _, failed, _, waiting]) = office.close().await;
        assert_eq!((carried.len(), sent, failed, waiting), (0, 0, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_at_the_end_is_tried_once_more_and_counted() {
        let office = Office::open(vec![later(), later()]);
        office.post("a@x.example");
        tokio::time::sleep(Duration::from_millis(500)).await;
        office.post("b@x.example");
        let (carried, [sent, _, _, dropped, _]) = office.close().await;
        assert_eq!((carried.len(), sent, dropped), (1, 1, 1));
    }

    #[tokio::test]
    async fn there_is_room_for_so_many() {
        let stats = Arc::new(MailStats::default());
        let (letterbox, letters) = Letterbox::new(Arc::clone(&stats));
        for _ in 0..=WAITING_MAX {
            let text = Text { subject: String::new(), parts: Vec::new() };
            letterbox.post(Posted { to: String::new(), text, kind: "test" });
        }
        assert_eq!(stats.waiting.load(Relaxed), WAITING_MAX as u64);
        assert_eq!(stats.outcomes()[3], ("dropped", 1));
        drop(letters);
    }
}
