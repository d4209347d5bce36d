//! A gate: what a limit allows at this moment.
//!
//! It is shut while it is paused, closed until a moment, at its concurrency, or short of the tokens that the task at its
//! head needs. A task costs its `cost` in tokens. Whoever finds too few tokens reserves: the gate stays shut for all until
//! there are enough, so that dear tasks do not starve behind cheap ones.
//!
//! Bound: over any time `d` without a change of the limit, tasks of no more than the burst each take at most
//! `burst + rate * d` tokens; a dearer one waits for a full bucket and is paid off afterwards. Never more than
//! `concurrency` run that were let in under this limit.
//!
//! Source: ITU-T I.371 (generic cell rate algorithm) in its token form, with debt for what exceeds the burst.

use tidemill_kernel::Timestamp;

use crate::heap::Heap;
use crate::limits::{Limit, LimitUse, OnFull, Rate, Scope, Share, Verdict};
use crate::tasks::Due;

/// Tokens in units of a millionth, so that a rate per second gains whole units in a microsecond.
const TOKEN: i128 = 1_000_000;

/// The state of one limit.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) scope: Scope,
    pub(crate) limit: Limit,
    pub(crate) share: Share,
    pub(crate) running: u32,
    /// As of the last [`Gate::judge`].
    pub(crate) shut: bool,
    /// When to judge again, if nothing else happens.
    pub(crate) wake: Option<Timestamp>,
    /// What it shuts: shapes or bunches, by its scope; lines look for themselves.
    pub(crate) under: Vec<u32>,
    /// Lines that found it shut, by bunch.
    pub(crate) parked: Vec<(u32, Heap<Due>)>,
    /// Slots that run under it; kept only if the oldest may have to make room.
    pub(crate) holders: Vec<u32>,
    /// What of the limit is to be used here.
    part: Limit,
    /// The most that ran, and how many started, since somebody asked.
    peak: u32,
    started: u32,
    was_full: bool,
    paused: bool,
    closed_until: Option<Timestamp>,
    tokens: i128,
    stamp: Timestamp,
    /// Tokens that the task waits for which found too few.
    needed: u32,
}

/// What a gate shuts: something that can be left out as a whole, however many tasks are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// Tasks of all tenants.
    Shape,
    /// Tasks of one tenant.
    Bunch,
    /// Tasks of one tenant with the same keys.
    Line,
}

impl Gate {
    pub(crate) fn new(scope: Scope, now: Timestamp) -> Self {
        Self {
            scope,
            limit: Limit::default(),
            share: Share::ALL,
            running: 0,
            shut: false,
            wake: None,
            under: Vec::new(),
            parked: Vec::new(),
            holders: Vec::new(),
            part: Limit::default(),
            peak: 0,
            started: 0,
            was_full: false,
            paused: false,
            closed_until: None,
            tokens: 0,
            stamp: now,
            needed: 0,
        }
    }

    /// Sets its limit. A new rate begins with a full bucket; a changed one keeps what is in it.
    pub(crate) fn set_limit(&mut self, limit: Limit, now: Timestamp) {
        self.refill(now);
        let is_new = self.limit.rate.is_none();
        self.limit = limit;
        self.part = self.share.of(limit);
        match self.rate() {
            Some(rate) if is_new => (self.tokens, self.stamp) = (i128::from(rate.burst) * TOKEN, now),
            Some(rate) => self.tokens = self.tokens.min(i128::from(rate.burst) * TOKEN),
            None => {}
        }
        self.needed = 0;
    }

    /// Sets which part of its limit is to be used here. What it loses is lost at once, what it gains begins empty: so the
    /// parts of several schedulers never give out more than the whole, if the one that loses is told first.
    pub(crate) fn set_share(&mut self, share: Share, now: Timestamp) {
        self.refill(now);
        self.share = share;
        self.part = share.of(self.limit);
        if let Some(rate) = self.rate() {
            self.tokens = self.tokens.min(i128::from(rate.burst) * TOKEN);
        }
        self.needed = 0;
    }

    /// Pauses it or not; returns whether it was paused.
    pub(crate) fn set_paused(&mut self, paused: bool) -> bool {
        std::mem::replace(&mut self.paused, paused)
    }

    /// Closes it until a moment; an earlier one than before opens it earlier.
    pub(crate) fn close(&mut self, until: Timestamp) {
        self.closed_until = Some(until);
    }

    /// What it shuts.
    pub(crate) fn level(&self) -> Level {
        match self.scope {
            Scope::Kind(_) | Scope::Key(_) => Level::Shape,
            Scope::Tenant(_) | Scope::TenantKind(..) | Scope::Queue(_) => Level::Bunch,
            Scope::TenantKey(..) => Level::Line,
        }
    }

    /// The concurrency that is to be used here.
    pub(crate) fn concurrency(&self) -> Option<u32> {
        self.part.concurrency
    }

    /// The rate that is to be used here.
    pub(crate) fn rate(&self) -> Option<Rate> {
        self.part.rate
    }

    /// Whether others have some of its limit.
    pub(crate) fn is_divided(&self) -> bool {
        self.part != self.limit
    }

    /// How it was used since this was asked last, without what waits.
    pub(crate) fn take_use(&mut self) -> LimitUse {
        let (peak, started) =
            (std::mem::replace(&mut self.peak, self.running), std::mem::take(&mut self.started));
        let is_full = self.is_full();
        let was_full = std::mem::replace(&mut self.was_full, is_full);
        LimitUse { queued: 0, running: self.running, peak, started, was_full }
    }

    fn is_full(&self) -> bool {
        self.concurrency().is_some_and(|cap| self.running >= cap)
    }

    /// Whether it is of no use any more.
    pub(crate) fn is_idle(&self) -> bool {
        self.limit == Limit::default() && !self.paused && self.closed_until.is_none() && !self.shut
    }

    /// Reserves tokens for a task. False if there are too few: then it is to be judged again, and will be shut.
    pub(crate) fn reserve(&mut self, cost: u32, now: Timestamp) -> bool {
        let Some(rate) = self.rate() else { return true };
        let needed = u64::from(cost.max(1)).min(rate.burst);
        self.refill(now);
        if self.tokens >= i128::from(needed) * TOKEN {
            return true;
        }
        self.needed = u32::try_from(needed).unwrap_or(u32::MAX);
        false
    }

    /// Lets a task in.
    pub(crate) fn enter(&mut self, slot: u32, cost: u32, now: Timestamp) {
        self.running += 1;
        self.peak = self.peak.max(self.running);
        self.started = self.started.saturating_add(1);
        self.was_full |= self.is_full();
        if self.limit.concurrency.is_some() && self.limit.on_full == OnFull::ReplaceOldest {
            self.holders.push(slot);
        }
        if self.limit.rate.is_some() {
            self.refill(now);
            self.tokens -= i128::from(cost.max(1)) * TOKEN;
            self.needed = 0;
        }
    }

    /// A task is no longer under it.
    pub(crate) fn leave(&mut self, slot: u32) {
        self.running = self.running.saturating_sub(1);
        if let Some(at) = self.holders.iter().position(|&holder| holder == slot) {
            self.holders.swap_remove(at);
        }
    }

    /// Decides whether it is shut, and when time alone may change that. True if it has changed.
    pub(crate) fn judge(&mut self, now: Timestamp) -> bool {
        self.refill(now);
        if self.closed_until.is_some_and(|until| until <= now) {
            self.closed_until = None;
        }
        let verdict = self.verdict();
        self.wake = verdict.and_then(Verdict::until);
        std::mem::replace(&mut self.shut, verdict.is_some()) != self.shut
    }

    /// Why it is shut, as of the last judgement.
    pub(crate) fn verdict(&self) -> Option<Verdict> {
        self.verdict_for(self.needed)
    }

    /// Why it is shut for a task that needs so many tokens.
    pub(crate) fn verdict_for(&self, cost: u32) -> Option<Verdict> {
        if self.paused {
            return Some(Verdict::Paused);
        }
        if let Some(until) = self.closed_until {
            return Some(Verdict::Closed { until });
        }
        let running = self.running;
        if let (Some(cap), Some(whole)) = (self.concurrency(), self.limit.concurrency)
            && running >= cap
        {
            let part = Verdict::Part { running, part: cap, whole };
            return Some(if cap < whole { part } else { Verdict::Concurrency { running, cap } });
        }
        let rate = self.rate()?;
        // Without a burst, one task at a time is let in and paid off.
        let needed = i128::from(u64::from(cost.max(1)).min(rate.burst)) * TOKEN;
        let missing = needed - self.tokens;
        if missing <= 0 && (rate.per_second > 0 || rate.burst > 0) {
            return None;
        }
        let until = match i128::from(rate.per_second) {
            0 => None,
            gain => {
                let micros = u64::try_from((missing + gain - 1) / gain).unwrap_or(u64::MAX);
                Some(self.stamp + std::time::Duration::from_micros(micros))
            }
        };
        match self.limit.rate {
            Some(whole) if whole != rate => {
                Some(Verdict::PartOfRate { until, part: rate.per_second, whole: whole.per_second })
            }
            _ => Some(Verdict::Rate { until: until.unwrap_or(Timestamp::from_micros(i64::MAX)) }),
        }
    }

    /// Where the lines of a bunch stand that found it shut.
    pub(crate) fn parked_mut(&mut self, bunch: u32) -> &mut Heap<Due> {
        let at = match self.parked.iter().position(|row| row.0 == bunch) {
            Some(at) => at,
            None => {
                self.parked.push((bunch, Heap::default()));
                self.parked.len() - 1
            }
        };
        &mut self.parked[at].1
    }

    fn refill(&mut self, now: Timestamp) {
        let Some(rate) = self.rate().filter(|_| now > self.stamp) else { return };
        let micros = i128::try_from(now.since(self.stamp).as_micros()).unwrap_or(0);
        let full = i128::from(rate.burst) * TOKEN;
        self.tokens =
            self.tokens.saturating_add(micros.saturating_mul(i128::from(rate.per_second))).min(full);
        self.stamp = now;
    }
}

#[cfg(test)]
mod tests;
