//! One queue: the window over the tasks of one tenant, priority and kind, and a note of where the store has more.
//!
//! A queue holds the `window` candidates that come first by place (and up to `blocked_window` more while those are held
//! back by something else than a free slot). What comes later is left to the store and reloaded from `after` on.
//! Invariant: while candidates are left to the store, all those with a sequence up to `after` are in memory or were
//! picked, and everything in memory has a sequence of at most `after`.
//!
//! What comes back to a place before `after` must be taken in; when that has doubled the queue, its tail is given back to
//! the store ([`Queue::cut`]).
//!
//! A refill reads the store while life goes on, so a request remembers the least sequence that was left to the store
//! since; what the page says from there on is not trusted. It also remembers which candidates that the page may name
//! were over before it arrived.

use std::collections::BTreeSet;

/// Who stands where is known to the lines; this is the count of them, and what is known of the rest.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) tenant: u32,
    pub(crate) kind: u32,
    pub(crate) lane: u8,
    /// Whether it is among those that run low.
    pub(crate) low: bool,
    /// How many wait in memory.
    pub(crate) len: usize,
    /// How many of those stand in lines that were found shut.
    pub(crate) parked: usize,
    /// The line of its tasks that ask for nothing.
    pub(crate) plain: Option<u32>,
    /// How many lines it has.
    pub(crate) lines: u32,
    /// Those that wait behind another of their order key: place and slot.
    pub(crate) hidden: BTreeSet<(i64, u32)>,
    /// Nothing that ever was in memory has a greater sequence, but for what was cut off.
    last: i64,
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
    /// Places that were over since.
    over: Vec<i64>,
    /// About how many there are.
    count: usize,
}

/// What may be believed of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trusted {
    through: i64,
    /// Ascending.
    over: Vec<i64>,
}

impl Trusted {
    /// Whether the candidate at this place may be offered.
    pub(crate) fn covers(&self, sequence: i64) -> bool {
        sequence <= self.through && self.over.binary_search(&sequence).is_err()
    }
}

impl Queue {
    pub(crate) fn new(lane: u8, tenant: u32, kind: u32) -> Self {
        Self {
            tenant,
            kind,
            lane,
            low: false,
            len: 0,
            parked: 0,
            plain: None,
            lines: 0,
            hidden: BTreeSet::new(),
            last: i64::MIN,
            rest: None,
        }
    }

    /// Whether a candidate may be taken in; if not, it is left to the store.
    pub(crate) fn admit(&mut self, sequence: i64, has_room: bool) -> bool {
        match &mut self.rest {
            Some(rest) if sequence > rest.after => {
                rest.count += 1;
                rest.left = Some(rest.left.map_or(sequence, |left| left.min(sequence)));
                false
            }
            None if !has_room && sequence > self.last => {
                self.leave(sequence, self.last, 1);
                false
            }
            _ => true,
        }
    }

    /// One more waits in memory.
    pub(crate) fn enter(&mut self, sequence: i64) {
        self.last = self.last.max(sequence);
        self.len += 1;
    }

    /// Notes that a candidate is over or was moved to another queue: a page that is on its way may name it still.
    pub(crate) fn note_over(&mut self, sequence: i64) {
        if let Some(rest) = self.rest.as_mut().filter(|rest| rest.asked && sequence > rest.after) {
            rest.over.push(sequence);
        }
    }

    /// Whether nothing is in memory and nothing is known to be in the store.
    pub(crate) fn is_spent(&self) -> bool {
        self.len == 0 && self.rest.is_none()
    }

    /// Whether the store has candidates of it, and how many by the last count.
    pub(crate) fn rest(&self) -> Option<usize> {
        self.rest.as_ref().map(|rest| rest.count)
    }

    /// Whether the store has more and is not being asked.
    pub(crate) fn may_ask(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| !rest.asked)
    }

    /// Notes that the store may have more after this sequence.
    pub(crate) fn truncate(&mut self, after: i64) {
        self.leave(after.saturating_add(1), after, 0);
    }

    /// Notes that everything after a sequence was dropped from memory.
    pub(crate) fn cut(&mut self, last_kept: i64, first_dropped: i64, count: usize) {
        self.last = last_kept;
        self.leave(first_dropped, last_kept, count);
    }

    /// Notes how many the store has besides those in memory.
    pub(crate) fn count_rest(&mut self, count: usize) {
        if let Some(rest) = &mut self.rest {
            rest.count = count;
        }
    }

    /// Forgets that the store has any; returns how many it had by the last count.
    pub(crate) fn forget_rest(&mut self) -> usize {
        self.rest.take().map_or(0, |rest| rest.count)
    }

    /// Starts a refill; it reads after the returned sequence. `None` if the store has no more.
    pub(crate) fn ask(&mut self) -> Option<i64> {
        let rest = self.rest.as_mut()?;
        (rest.asked, rest.left) = (true, None);
        rest.over.clear();
        Some(rest.after)
    }

    /// Ends a refill that failed.
    pub(crate) fn give_up(&mut self) {
        if let Some(rest) = &mut self.rest {
            rest.asked = false;
        }
    }

    /// Ends a refill that read after `after` up to `through`. Returns what of its page may be offered; `None` if the
    /// page does not join on to what is in memory any more.
    pub(crate) fn settle(&mut self, after: i64, through: i64, more: bool, read: usize) -> Option<Trusted> {
        let rest = self.rest.as_mut().filter(|rest| rest.asked)?;
        rest.asked = false;
        let mut over = std::mem::take(&mut rest.over);
        over.sort_unstable();
        if rest.after != after {
            return None;
        }
        let through = rest.left.map_or(through, |left| through.min(left - 1)).max(after);
        if more || rest.left.is_some() {
            rest.after = through;
            rest.count = rest.count.saturating_sub(read);
        } else {
            self.rest = None;
        }
        self.last = self.last.max(through);
        Some(Trusted { through, over })
    }

    /// Notes that a sequence is left to the store, and that everything after `after` is.
    fn leave(&mut self, sequence: i64, after: i64, count: usize) {
        let fresh = || Rest { after, asked: false, left: None, over: Vec::new(), count: 0 };
        let rest = self.rest.get_or_insert_with(fresh);
        rest.after = rest.after.min(after);
        rest.left = Some(rest.left.map_or(sequence, |left| left.min(sequence)));
        rest.count += count;
    }
}
