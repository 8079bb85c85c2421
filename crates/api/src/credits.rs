//! Draws credits for the calls of this node, and tells the store what was spent of them.
//!
//! Calls of the same account wait for each other here, so one slice serves all of them. A slice that nobody takes from goes
//! back within half a second. Nothing here decides whether a call is accepted: the engine does, out of what was drawn.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use keywright_domain::{
    credit::CreditDraw,
    entropy::{Entropy, random_bytes},
    store::{Store, StoreError},
    time::Clock,
};
use keywright_engine::{Deposit, Engine, Heard, MissingCredits, Moment};
use tokio::{sync::Notify, time::timeout};

/// Calls of so many different customers draw at once.
const LANES: usize = 64;
/// How long a draw may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most slices that are told to the store at once.
const SETTLED_MAX: usize = 256;
/// Attempts to tell the store everything at the end.
const LAST_ATTEMPTS: u32 = 20;
const LAST_PAUSE: Duration = Duration::from_millis(50);

/// Why credits cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It takes too long.
    #[error("the database does not answer in time")]
    TooLate,
    /// This node has as many slices as it may have.
    #[error("this node spends from too many accounts at once")]
    TooMany,
}

/// Draws credits for the calls of this node.
pub struct Credits {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    lanes: [tokio::sync::Mutex<()>; LANES],
    drawn: Arc<Notify>,
    is_changed: AtomicBool,
}

impl Credits {
    /// Draws from `store`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            store,
            clock,
            entropy,
            lanes: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            drawn: Arc::default(),
            is_changed: AtomicBool::new(false),
        }
    }

    /// Called when this node begins to hold credits: from then on [`Self::maintain`] has something to do.
    pub const fn drawn(&self) -> &Arc<Notify> {
        &self.drawn
    }

    /// This node changed an account or a reservation, or may have: something may be due earlier than was known.
    pub(crate) fn note_change(&self) {
        self.is_changed.store(true, Ordering::Relaxed);
    }

    /// Whether that was so since the last call.
    pub fn take_changed(&self) -> bool {
        self.is_changed.swap(false, Ordering::Relaxed)
    }

    /// Draws what a call misses. Then the call is to be tried again.
    ///
    /// # Errors
    /// [`DrawError`]; nothing was spent.
    pub async fn draw(&self, engine: &Engine, missing: &MissingCredits) -> Result<(), DrawError> {
        let _alone = self.lanes[lane(missing)].lock().await;
        if engine.has_credits(missing, self.now()) {
            return Ok(());
        }
        while self.draw_once(engine, missing).await? == Deposit::DrawAgain {
            self.settle(engine).await?;
        }
        Ok(())
    }

    async fn draw_once(&self, engine: &Engine, missing: &MissingCredits) -> Result<Deposit, DrawError> {
        let now = self.now();
        let slice = random_bytes(&*self.entropy);
        let pending = engine.begin_slice(slice).ok_or(DrawError::TooMany)?;
        let _holds_credits_when_this_ends = CallWhenDone(&self.drawn);
        let draw = CreditDraw {
            slice,
            workspace: missing.workspace,
            subjects: missing.subjects.clone(),
            needed: missing.units.into(),
            want: engine.credits_wanted(missing, now),
            nodes: engine.nodes(),
            now: now.wall,
        };
        match timeout(PATIENCE, self.store.draw_credits(draw)).await {
            Ok(Ok(grant)) => Ok(engine.deposit(missing, pending, &grant, self.now())),
            Ok(Err(error)) => {
                engine.doubt_slice(pending, now);
                Err(error.into())
            }
            Err(_) => {
                engine.doubt_slice(pending, now);
                Err(DrawError::TooLate)
            }
        }
    }

    /// Ends slices that nobody takes from, and tells the store of all that ended. Call it a few times a second.
    ///
    /// # Errors
    /// [`StoreError`]; it will be told the next time.
    pub async fn maintain(&self, engine: &Engine) -> Result<(), StoreError> {
        engine.end_idle_slices(self.now());
        self.settle(engine).await
    }

    /// Ends all slices and tells the store. What cannot be told now, the next start tells.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish(&self, engine: &Engine) -> Result<(), StoreError> {
        engine.end_all_slices();
        let mut outcome = self.settle(engine).await;
        for _ in 0..LAST_ATTEMPTS {
            if outcome.is_ok() {
                break;
            }
            tokio::time::sleep(LAST_PAUSE).await;
            outcome = self.settle(engine).await;
        }
        outcome
    }

    async fn settle(&self, engine: &Engine) -> Result<(), StoreError> {
        loop {
            let ended = engine.ended_slices(self.now(), SETTLED_MAX);
            if ended.settlements.is_empty() {
                return Ok(());
            }
            let told = self.store.settle_credits(ended.settlements.clone()).await;
            engine.settled_slices(ended, if told.is_ok() { Heard::Yes } else { Heard::Perhaps });
            told?;
        }
    }

    fn now(&self) -> Moment {
        Moment::read(&*self.clock)
    }
}

/// Calls whoever looks after credits when a draw has come to something, or was given up.
struct CallWhenDone<'a>(&'a Notify);

impl Drop for CallWhenDone<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// Which calls wait for each other: those of one customer, and so of one account.
fn lane(missing: &MissingCredits) -> usize {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    missing.workspace.hash(&mut hasher);
    missing.subjects.last().hash(&mut hasher);
    usize::try_from(hasher.finish() % LANES as u64).unwrap_or(0)
}
