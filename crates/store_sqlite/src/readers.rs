//! Reading connections, each in a thread of its own.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
};

use keywright_domain::store::StoreError;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;

/// A question, ready to be asked of a connection.
pub(crate) type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The waiting questions and the threads that answer them.
pub(crate) struct Readers {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    queue_max: usize,
}

struct Queue {
    questions: VecDeque<Question>,
    is_open: bool,
}

impl Readers {
    /// Starts a thread for each connection.
    pub(crate) fn start(connections: Vec<Connection>, queue_max: usize) -> Result<Self, StoreError> {
        let queue = Queue { questions: VecDeque::new(), is_open: true };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), wake: Condvar::new(), queue_max });
        let readers = Self { shared, threads: Mutex::new(Vec::new()) };
        for connection in connections {
            let shared = Arc::clone(&readers.shared);
            let thread = thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || answer_all(&shared, &connection))
                .map_err(|error| StoreError::Unavailable(format!("a thread cannot be started: {error}")))?;
            readers.threads.lock().push(thread);
        }
        Ok(readers)
    }

    /// Puts a question in the queue.
    pub(crate) fn ask(&self, question: Question) -> Result<(), StoreError> {
        let mut queue = self.shared.queue.lock();
        if !queue.is_open {
            return Err(StoreError::Unavailable("the store is closed".to_owned()));
        }
        if queue.questions.len() >= self.shared.queue_max {
            return Err(StoreError::Unavailable("too many questions are waiting".to_owned()));
        }
        queue.questions.push_back(question);
        drop(queue);
        self.shared.wake.notify_one();
        Ok(())
    }

    /// Answers what waits, then ends the threads.
    pub(crate) fn close(&self) {
        self.shared.queue.lock().is_open = false;
        self.shared.wake.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A question's panic was caught; a thread has nothing to tell.
            drop(thread.join());
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.close();
    }
}

fn answer_all(shared: &Shared, connection: &Connection) {
    while let Some(question) = next(shared) {
        // A defect in one question must not take the others' thread; whoever asked sees its answer missing.
        drop(catch_unwind(AssertUnwindSafe(|| question(connection))));
        if !connection.is_autocommit() {
            drop(connection.execute_batch("ROLLBACK"));
        }
    }
}

fn next(shared: &Shared) -> Option<Question> {
    let mut queue = shared.queue.lock();
    loop {
        if let Some(question) = queue.questions.pop_front() {
            return Some(question);
        }
        if !queue.is_open {
            return None;
        }
        shared.wake.wait(&mut queue);
    }
}
