//! An outbox for tests.

use std::sync::Arc;

use keywright_api::{
    outbox::{Letter, Outbox},
    router,
};
use parking_lot::Mutex;

use crate::harness::Api;

/// Keeps the letters that it is given.
#[derive(Default)]
pub(crate) struct Letters(Mutex<Vec<Letter>>);

#[async_trait::async_trait]
impl Outbox for Letters {
    async fn send(&self, letter: Letter) {
        self.0.lock().push(letter);
    }
}

impl Letters {
    /// An outbox that is empty.
    pub(crate) fn shared() -> Arc<Self> {
        Arc::default()
    }

    /// The letters since the last time.
    pub(crate) fn take(&self) -> Vec<Letter> {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Api {
    /// The same without a way to send letters.
    pub(crate) fn silent(mut self) -> Self {
        self.state.outbox = None;
        self.router = router(self.state.clone());
        self
    }

    /// The same with a way to send letters.
    pub(crate) fn sending(mut self, letters: &Arc<Letters>) -> Self {
        self.state.outbox = Some(Arc::clone(letters) as _);
        self.router = router(self.state.clone());
        self
    }
}
