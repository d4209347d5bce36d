//! What all observers note, on the clock of this process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tidemill_scheduling::checker::{Event, History, Moment, Who};

/// The history as it grows.
pub(crate) struct Log {
    began: Instant,
    events: Mutex<Vec<Event>>,
}

impl Log {
    /// Nothing was seen yet.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), events: Mutex::default() }
    }

    /// How long it has been kept.
    pub(crate) fn now(&self) -> Moment {
        self.began.elapsed()
    }

    /// Notes what was seen.
    pub(crate) fn note(&self, event: Event) {
        self.lock().push(event);
    }

    /// Notes that somebody had a fault since `from`, and gives him `rest` to recover.
    pub(crate) fn disturbed(&self, who: Who, from: Moment, rest: Moment) {
        self.note(Event::Disturbed { who, from, until: self.now() + rest });
    }

    /// What was seen so far.
    pub(crate) fn history(&self) -> History {
        History { events: self.lock().clone() }
    }

    /// No holder of the lock can leave the list half done.
    fn lock(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
