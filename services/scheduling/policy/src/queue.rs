//! One queue: the first candidates of one tenant, priority and kind, in the store's order, and a note of where the
//! store has more.
//!
//! A queue holds the `window` candidates that come first. What comes later is left to the store and reloaded from
//! `after` on. Invariant: while candidates are left to the store, all those with a sequence up to `after` are in memory
//! or were picked, and everything in memory has a sequence of at most `after`.
//!
//! A refill reads the store while life goes on, so a request remembers the least sequence that was left to the store
//! since; what the page says from there on is not trusted.

use std::collections::BTreeSet;

use tidemill_kernel::Id;

/// What became of an offer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It was taken in.
    Queued,
    /// It was taken in, and this one, the last, was left to the store.
    Displaced(Id),
    /// It was left to the store.
    Deferred,
}

/// Candidates by sequence, and what is known of the rest.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BTreeSet<(i64, Id)>,
    rest: Option<Rest>,
}

/// Candidates that only the store has.
#[derive(Debug)]
struct Rest {
    /// They come after this sequence.
    after: i64,
    /// A refill is under way.
    asked: bool,
    /// The least sequence left to the store since the refill was asked for.
    left: Option<i64>,
}

impl Queue {
    /// Takes in a candidate unless others fill the window before it.
    pub(crate) fn offer(&mut self, sequence: i64, id: Id, window: usize) -> Offer {
        if self.rest.as_ref().is_some_and(|rest| sequence > rest.after) {
            self.leave(sequence, None);
            return Offer::Deferred;
        }
        self.waiting.insert((sequence, id));
        if self.waiting.len() <= window {
            return Offer::Queued;
        }
        let Some((last_sequence, last)) = self.waiting.pop_last() else { return Offer::Queued };
        self.leave(last_sequence, self.waiting.last().map(|entry| entry.0));
        if last == id { Offer::Deferred } else { Offer::Displaced(last) }
    }

    /// Takes the first.
    pub(crate) fn pop(&mut self) -> Option<Id> {
        self.waiting.pop_first().map(|entry| entry.1)
    }

    /// Takes this one out.
    pub(crate) fn remove(&mut self, sequence: i64, id: Id) -> bool {
        self.waiting.remove(&(sequence, id))
    }

    /// Sequence and id of the first.
    pub(crate) fn head(&self) -> Option<(i64, Id)> {
        self.waiting.first().copied()
    }

    /// How many are in memory.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing is in memory and nothing is known to be in the store.
    pub(crate) fn is_spent(&self) -> bool {
        self.waiting.is_empty() && self.rest.is_none()
    }

    /// Whether it is time to ask the store for more.
    pub(crate) fn wants(&self, window: usize) -> bool {
        self.len() <= window / 2 && self.rest.as_ref().is_some_and(|rest| !rest.asked)
    }

    /// Notes that the store may have more after this sequence.
    pub(crate) fn truncate(&mut self, after: i64) {
        self.leave(after.saturating_add(1), Some(after));
    }

    /// Starts a refill; it reads after the returned sequence. `None` if the store has no more.
    pub(crate) fn ask(&mut self) -> Option<i64> {
        let rest = self.rest.as_mut()?;
        (rest.asked, rest.left) = (true, None);
        Some(rest.after)
    }

    /// Ends a refill that failed.
    pub(crate) fn give_up(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.asked = false;
        }
    }

    /// Ends a refill that read after `after` up to `through`. Returns the sequence up to which its page may be
    /// offered; `None` if the page does not join on to what is in memory any more.
    pub(crate) fn settle(&mut self, after: i64, through: i64, more: bool) -> Option<i64> {
        let rest = self.rest.as_mut().filter(|rest| rest.asked)?;
        rest.asked = false;
        if rest.after != after {
            return None;
        }
        let through = rest.left.map_or(through, |left| through.min(left - 1)).max(after);
        if more || rest.left.is_some() {
            rest.after = through;
        } else {
            self.rest = None;
        }
        Some(through)
    }

    /// Notes that a sequence is left to the store, and that from now on everything after `bound` is.
    fn leave(&mut self, sequence: i64, bound: Option<i64>) {
        let fallback = bound.unwrap_or(sequence - 1);
        let rest = self.rest.get_or_insert(Rest { after: fallback, asked: false, left: None });
        rest.after = rest.after.min(bound.unwrap_or(rest.after));
        rest.left = Some(rest.left.map_or(sequence, |left| left.min(sequence)));
    }
}
