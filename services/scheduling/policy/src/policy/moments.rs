//! What time alone changes: gates that open, deadlines that pass.

use tidemill_kernel::Timestamp;

use super::Policy;
use crate::candidate::Candidate;

impl Policy {
    /// Lets time pass: opens what was closed until then, takes out what has passed its deadline. [`Policy::take`] does so
    /// too; call it when [`Policy::next_moment`] has come, so that idle workers are given what has become free.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(&(moment, gate)) = self.timers.first()
            && moment <= self.now
        {
            self.timers.pop_first();
            self.gates[gate as usize].wake = None;
            self.judge(gate);
        }
        while let Some(&(deadline, slot)) = self.deadlines.first()
            && deadline <= self.now
        {
            self.expired.extend(self.candidate(slot));
            self.unwait(slot);
            self.forget(slot);
        }
    }

    /// When the next thing happens that only time brings about.
    pub fn next_moment(&self) -> Option<Timestamp> {
        let timer = self.timers.first().map(|entry| entry.0).filter(|moment| moment.as_micros() < i64::MAX);
        let deadline = self.deadlines.first().map(|entry| entry.0);
        timer.into_iter().chain(deadline).min()
    }

    /// The candidates whose deadline has passed before they were picked. They are forgotten here: drop them and count
    /// them.
    pub fn expired(&mut self, now: Timestamp) -> Vec<Candidate> {
        self.advance(now);
        std::mem::take(&mut self.expired)
    }

    /// Judges a gate, carries out what that changes, and sets its timer.
    pub(super) fn judge(&mut self, number: u32) {
        let gate = &mut self.gates[number as usize];
        let before = gate.wake;
        let has_changed = gate.judge(self.now);
        let after = gate.wake;
        if before != after {
            before.map(|moment| self.timers.remove(&(moment, number)));
            after.map(|moment| self.timers.insert((moment, number)));
        }
        if has_changed {
            self.apply(number);
        }
    }
}
