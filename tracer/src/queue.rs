//! How what a backend sees gets to who reads it: [`queue`], which wakes a reader seldom.
//!
//! Another thread that is woken for each event costs a traced program more than ptrace(2) does: both want the processor at
//! the same time. So a reader that has just got something is left alone for a while, and then takes all that has come.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long something may lie there, unless the queue fills or ends meanwhile.
const PAUSE: Duration = Duration::from_millis(10);

/// A queue of so many items at most, besides those that the reader has taken already.
pub(crate) fn queue<T>(capacity: usize) -> (Sink<T>, Source<T>) {
    let state = State { items: VecDeque::new(), wanted: usize::MAX, written: false, read: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), capacity, more: Condvar::new(), less: Condvar::new() });
    (Sink(Arc::clone(&shared)), Source { shared, taken: VecDeque::new(), pauses: false })
}

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    capacity: usize,
    /// For the reader: there are as many items as it wants, or there will be no more.
    more: Condvar,
    /// For the writer: there is room, or nobody will read.
    less: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    /// How many items the reader is to be woken for; it does not wait if that is the largest number.
    wanted: usize,
    /// There is no writer any more.
    written: bool,
    /// There is no reader any more.
    read: bool,
}

impl<T> Shared<T> {
    /// The state is whole between any two calls, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Sink<T>(Arc<Shared<T>>);

impl<T> Sink<T> {
    /// Hands over an item, and waits for room if there is none; `false` if nobody takes it any more.
    pub(crate) fn send(&self, item: T) -> bool {
        let Shared { capacity, more, less, .. } = &*self.0;
        let is_full = |state: &mut State<T>| state.items.len() >= *capacity && !state.read;
        let mut state = less.wait_while(self.0.lock(), is_full).unwrap_or_else(PoisonError::into_inner);
        if state.read {
            return false;
        }
        state.items.push_back(item);
        if state.items.len() >= state.wanted {
            state.wanted = usize::MAX;
            more.notify_one();
        }
        true
    }
}

impl<T> Drop for Sink<T> {
    fn drop(&mut self) {
        self.0.lock().written = true;
        self.0.more.notify_one();
    }
}

/// The reader's end: an iterator that ends when the writer has gone and all of it has been read.
#[derive(Debug)]
pub(crate) struct Source<T> {
    shared: Arc<Shared<T>>,
    taken: VecDeque<T>,
    /// Something has come: the next look is a while later.
    pauses: bool,
}

impl<T> Source<T> {
    /// Takes all that there is, or the first that comes.
    fn refill(&mut self) {
        let Shared { capacity, more, less, .. } = &*self.shared;
        let mut state = self.shared.lock();
        if self.pauses {
            let enough = capacity.div_ceil(2);
            state.wanted = enough;
            let waits = |state: &mut State<T>| state.items.len() < enough && !state.written;
            state = more.wait_timeout_while(state, PAUSE, waits).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.wanted = 1;
        let waits = |state: &mut State<T>| state.items.is_empty() && !state.written;
        state = more.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        state.wanted = usize::MAX;
        std::mem::swap(&mut state.items, &mut self.taken);
        self.pauses = true;
        less.notify_one();
    }
}

impl<T> Iterator for Source<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        if self.taken.is_empty() {
            self.refill();
        }
        self.taken.pop_front()
    }
}

impl<T> Drop for Source<T> {
    fn drop(&mut self) {
        self.shared.lock().read = true;
        self.shared.less.notify_one();
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
