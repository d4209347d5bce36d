//! What is believed of a service, given what Consul says and when it is away: a pure state machine.
//!
//! - An instance that leaves while others stay is gone at once: it deregistered, or its check failed.
//! - While Consul is away, nothing changes.
//! - Consul's word is doubted for a grace time when it may have forgotten rather than seen: after it was away, and when
//!   its index went backwards (a restart without its state, a restored snapshot). Who is missing then is kept that
//!   long, so that services have time to register again; who registered again and leaves after that is gone at once.
//! - A set that becomes empty is doubted too: the last instance would be given up for certain failure, while calling
//!   it costs no more than finding that it is dead. The first instance that shows up ends this doubt, since a
//!   single-instance service that is replaced should not be called at its old address.
//! - After the grace time Consul is believed, empty or not: an address may belong to somebody else by then.

use std::time::Duration;

use tidemill_kernel::Timestamp;

use crate::discovery::{Instance, Instances, arrange};

/// The state.
#[derive(Debug)]
pub(super) struct Known {
    grace: Duration,
    /// What Consul said last; `None` before its first word.
    told: Option<Instances>,
    /// Who is missing from that and goes on being used.
    kept: Vec<Instance>,
    doubt: Option<Doubt>,
    is_away: bool,
}

#[derive(Debug, Clone, Copy)]
struct Doubt {
    until: Timestamp,
    /// Whether it is only about a set that became empty.
    is_of_empty: bool,
}

impl Known {
    /// Nothing is known yet.
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, told: None, kept: Vec::new(), doubt: None, is_away: false }
    }

    /// Consul cannot be asked.
    pub(super) fn away(&mut self) {
        self.is_away = true;
    }

    /// Consul says that these are the instances; `is_rewound` when its index went backwards.
    pub(super) fn answered(&mut self, instances: Vec<Instance>, is_rewound: bool, now: Timestamp) {
        let told = arrange(instances);
        let was_away = std::mem::take(&mut self.is_away);
        let until = now + self.grace;
        let Some(before) = self.told.take() else {
            self.told = Some(told);
            return;
        };
        if was_away || is_rewound {
            self.doubt = Some(Doubt { until, is_of_empty: false });
            self.kept.extend_from_slice(&before);
        } else if told.is_empty() && !before.is_empty() {
            self.doubt.get_or_insert(Doubt { until, is_of_empty: true });
            self.kept.extend_from_slice(&before);
        } else if !told.is_empty() && self.doubt.is_some_and(|doubt| doubt.is_of_empty) {
            self.doubt = None;
            self.kept.clear();
        }
        self.kept.retain(|kept| !told.iter().any(|instance| instance.address == kept.address));
        self.told = Some(told);
        self.settle(now);
    }

    /// Believes Consul if the grace time is over.
    pub(super) fn settle(&mut self, now: Timestamp) {
        if self.settles_at().is_some_and(|until| until <= now) {
            self.doubt = None;
            self.kept.clear();
        }
    }

    /// When to call [`Known::settle`]; not while Consul is away, which is no time to believe it.
    pub(super) fn settles_at(&self) -> Option<Timestamp> {
        self.doubt.filter(|_| !self.is_away).map(|doubt| doubt.until)
    }

    /// The instances to use; `None` before Consul's first word.
    pub(super) fn instances(&self) -> Option<Instances> {
        let told = self.told.as_ref()?;
        if self.kept.is_empty() {
            return Some(Instances::clone(told));
        }
        Some(arrange(told.iter().chain(&self.kept).cloned().collect()))
    }
}

#[cfg(test)]
mod tests;
