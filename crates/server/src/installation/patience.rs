//! How a start goes on while the database cannot be reached.

use std::time::Duration;

use keywright_domain::{store::StoreError, time::Clock as _};
use tokio::time::sleep;

use super::{Progress, explain_store};
use crate::{failure::Failure, system::SystemClock};

const REST_FIRST: Duration = Duration::from_millis(250);
const REST_LAST: Duration = Duration::from_secs(5);
/// What to do when patience is at its end.
const START_IT: &str = "start the database, or allow more time with --start-timeout SECONDS";

/// How long the database may be out of reach at the start, at a stretch; and whoever is told what is waited for.
pub(super) struct Patience<'a> {
    limit: Duration,
    progress: Progress<'a>,
    /// Since when the database cannot be reached, and how long the next rest is.
    out_of_reach: Option<(u64, Duration)>,
    /// What the log was told last.
    logged: String,
}

impl<'a> Patience<'a> {
    /// Patience for `limit`.
    pub(super) const fn new(limit: Duration, progress: Progress<'a>) -> Self {
        Self { limit, progress, out_of_reach: None, logged: String::new() }
    }

    /// How long the database may still be out of reach.
    pub(super) fn left(&self) -> Duration {
        let Some((since_ns, _)) = self.out_of_reach else { return self.limit };
        let gone = Duration::from_nanos(SystemClock.boot_ns().saturating_sub(since_ns));
        self.limit.saturating_sub(gone)
    }

    /// Tells whoever asks what is done now. The database can be reached.
    pub(super) fn works(&mut self, what: &str) {
        if self.out_of_reach.take().is_some() {
            self.logged.clear();
            tracing::info!("the database is reached again");
        }
        (self.progress)(what);
    }

    /// The database cannot be reached: says so, unless that is the end of patience.
    ///
    /// # Errors
    /// `failure`, with what to do, when the database has been out of reach for too long.
    pub(super) fn fails(&mut self, text: &str, failure: impl FnOnce() -> Failure) -> Result<(), Failure> {
        if self.out_of_reach.is_none() {
            self.out_of_reach = Some((SystemClock.boot_ns(), REST_FIRST));
        }
        if self.left().is_zero() {
            return Err(failure().remedy(START_IT));
        }
        (self.progress)(text);
        if self.logged != text {
            text.clone_into(&mut self.logged);
            tracing::warn!(error = text, "waiting for the database");
        }
        Ok(())
    }

    /// Waits before the next attempt, each time a little longer.
    pub(super) async fn rest(&mut self) {
        let left = self.left();
        if let Some((_, rest)) = &mut self.out_of_reach {
            sleep((*rest).min(left)).await;
            *rest = (*rest * 2).min(REST_LAST);
        }
    }

    /// The answer to a question that may be asked again as long as the database cannot be reached.
    ///
    /// # Errors
    /// What [`explain_store`] makes of another refusal, or of this one when patience is at its end.
    pub(super) async fn ask<T>(
        &mut self,
        question: impl AsyncFn() -> Result<T, StoreError>,
    ) -> Result<T, Failure> {
        loop {
            let error = match question().await {
                Ok(answer) => {
                    self.works("opening the database");
                    return Ok(answer);
                }
                Err(error) => error,
            };
            if !may_pass(&error) {
                return Err(explain_store(&error));
            }
            let text = error.to_string();
            self.fails(&text, || explain_store(&error))?;
            self.rest().await;
        }
    }
}

/// Whether another attempt may fare better without anybody changing the configuration. What was asked changes nothing, or the
/// same each time, so a commit whose outcome is unknown is no harm.
pub(super) const fn may_pass(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(_) | StoreError::ReadOnly(_) | StoreError::CommitUnknown(_))
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    };

    use super::*;
    use crate::failure::Exit;

    fn unavailable() -> StoreError {
        StoreError::Unavailable("gone".to_owned())
    }

    #[tokio::test]
    async fn a_question_is_asked_again_until_it_is_answered() {
        let (told, asked) = (Mutex::new(Vec::new()), AtomicU32::new(0));
        let progress = |text: &str| told.lock().unwrap().push(text.to_owned());
        let mut patience = Patience::new(Duration::from_secs(60), &progress);
        let answer = patience.ask(async || match asked.fetch_add(1, Relaxed) {
            0 | 1 => Err(unavailable()),
            count => Ok(count),
        });
        assert_eq!(answer.await.unwrap(), 2);
        assert!(told.lock().unwrap()[0].contains("gone"), "{told:?}");
        assert_eq!(patience.left(), Duration::from_secs(60), "the next outage begins anew");
    }

    #[tokio::test]
    async fn patience_ends_and_says_what_to_do() {
        let mut patience = Patience::new(Duration::from_millis(300), &|_| {});
        let failure = patience.ask::<()>(async || Err(unavailable())).await.unwrap_err();
        assert_eq!(failure.exit(), Exit::Unavailable);
        assert!(failure.to_string().contains("--start-timeout"), "{failure}");
        let damaged = async || Err(StoreError::Damaged("torn".to_owned()));
        let asked = Patience::new(Duration::from_secs(60), &|_| {}).ask::<()>(damaged).await;
        assert_eq!(asked.unwrap_err().exit(), Exit::Data, "at once");
    }
}
