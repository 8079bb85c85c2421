//! Events that are in no audit trail, while they wait for a sink.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::event::Event;

/// Events that wait at most; more are dropped, and counted.
const WAITING_MAX: usize = 1_000;

/// The queue of one sink.
#[derive(Default)]
pub(crate) struct Notices {
    waiting: Mutex<VecDeque<Event>>,
    dropped: AtomicU64,
}

impl Notices {
    /// One more, unless too many wait.
    pub(crate) fn push(&self, event: Event) {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= WAITING_MAX {
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        waiting.push_back(event);
    }

    /// The first that wait, at most `limit`. They go on waiting until [`Self::confirm`].
    pub(crate) fn first(&self, limit: usize) -> Vec<Event> {
        self.waiting.lock().iter().take(limit).cloned().collect()
    }

    /// The first `count` were delivered.
    pub(crate) fn confirm(&self, count: usize) {
        let mut waiting = self.waiting.lock();
        let count = count.min(waiting.len());
        waiting.drain(..count);
    }

    /// How many were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::event::samples::event, *};

    #[test]
    fn a_bounded_queue() {
        let notices = Notices::default();
        for _ in 0..WAITING_MAX {
            notices.push(event("limits.exceeded"));
        }
        assert_eq!(notices.dropped(), 0);
        notices.push(event("limits.exceeded"));
        assert_eq!((notices.dropped(), notices.first(usize::MAX).len()), (1, WAITING_MAX));
        notices.confirm(10);
        notices.push(event("credentials.refused"));
        assert_eq!((notices.dropped(), notices.first(usize::MAX).len()), (1, WAITING_MAX - 9));
        notices.confirm(usize::MAX);
        assert!(notices.first(1).is_empty());
    }
}
