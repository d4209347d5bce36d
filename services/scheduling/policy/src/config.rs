//! What can be set: shares of priorities, limits of tenants, the window of a queue.

use std::time::Duration;

use tidemill_kernel::Priority;

use crate::Error;

/// How a policy decides.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyConfig {
    /// What each priority is guaranteed.
    pub shares: Shares,
    /// How many tasks a tenant may run at once if its limits do not say; none: any number.
    pub default_concurrency: Option<u32>,
    /// How many candidates of one queue are held in memory, at least 1. A queue at half of it asks for a refill.
    pub window: usize,
    /// How many more of a queue are held while candidates of it wait for something else than a free slot (a limit, an
    /// order key, a worker that has what they need), so that others of the queue are found behind them.
    pub blocked_window: usize,
    /// When a task without a deadline counts as due, after it was made: so much a tenant's deadlines can delay its other
    /// tasks before they go first.
    pub patience: Duration,
    /// When submissions are refused.
    pub overload: Overload,
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            shares: Shares::default(),
            default_concurrency: None,
            window: 1024,
            blocked_window: 4096,
            patience: Duration::from_secs(60),
            overload: Overload::default(),
        }
    }
}

impl PolicyConfig {
    /// Refuses shares that cannot all be given, and a window of nothing.
    pub fn validate(&self) -> Result<(), Error> {
        for priority in Priority::ALL {
            let share = self.shares.of(priority);
            if !(0.0..1.0).contains(&share) {
                return Err(Error::Share { priority, share });
            }
        }
        let sum: f64 = Priority::ALL.into_iter().map(|priority| self.shares.of(priority)).sum();
        if sum >= 1.0 {
            return Err(Error::ShareSum { sum });
        }
        if self.window == 0 {
            return Err(Error::Window);
        }
        self.overload.validate()
    }
}

/// The share of dispatches (0 to 1) that a priority gets while it has work, whatever more urgent work there is. The
/// sum must stay below 1; what is left goes by priority. A share counts in millionths.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Needs none: it is first anyway.
    pub interactive: f64,
    /// Of normal work.
    pub normal: f64,
    /// Of background work.
    pub background: f64,
}

impl Default for Shares {
    fn default() -> Self {
        Self { interactive: 0.0, normal: 0.2, background: 0.05 }
    }
}

impl Shares {
    /// The share of this priority.
    pub fn of(&self, priority: Priority) -> f64 {
        match priority {
            Priority::Interactive => self.interactive,
            Priority::Normal => self.normal,
            Priority::Background => self.background,
        }
    }
}

/// How much may wait before submissions are refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overload {
    /// How many tasks of one tenant, unless a quota of its own is set; none: any number.
    pub tenant_queued: Option<usize>,
    /// How many tasks in all; none: any number.
    pub queued: Option<usize>,
    /// Background tasks are refused from this fraction of `queued` on.
    pub background: f64,
    /// Normal tasks are refused from this fraction of `queued` on, at least that of background tasks.
    pub normal: f64,
}

impl Default for Overload {
    fn default() -> Self {
        Self { tenant_queued: None, queued: None, background: 0.8, normal: 0.95 }
    }
}

impl Overload {
    /// How many tasks may wait in all before tasks of this priority are refused.
    pub fn bound(&self, priority: Priority) -> Option<usize> {
        let fraction = match priority {
            Priority::Interactive => 1.0,
            Priority::Normal => self.normal,
            Priority::Background => self.background,
        };
        self.queued.map(|queued| (queued as f64 * fraction) as usize)
    }

    fn validate(&self) -> Result<(), Error> {
        let (background, normal) = (self.background, self.normal);
        if background > 0.0 && background <= normal && normal <= 1.0 {
            return Ok(());
        }
        Err(Error::Shedding { background, normal })
    }
}

/// What a tenant may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantLimits {
    /// Its share against the other tenants; 0 counts as 1.
    pub weight: u32,
    /// How many of its tasks may run at once; none: the default of the policy; 0 pauses it.
    pub concurrency: Option<u32>,
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self { weight: 1, concurrency: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_that_cannot_be_given_are_refused() {
        let with = |normal, background| PolicyConfig {
            shares: Shares { interactive: 0.0, normal, background },
            ..PolicyConfig::default()
        };
        assert_eq!(PolicyConfig::default().validate(), Ok(()));
        assert_eq!(with(0.6, 0.4).validate(), Err(Error::ShareSum { sum: 1.0 }));
        for (normal, background) in [(-0.1, 0.0), (1.0, 0.0), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert!(matches!(with(normal, background).validate(), Err(Error::Share { .. })));
        }
        for (background, normal) in [(0.9, 0.8), (0.0, 0.5), (0.5, 1.1), (f64::NAN, 1.0)] {
            let overload = Overload { background, normal, ..Overload::default() };
            let config = PolicyConfig { overload, ..PolicyConfig::default() };
            assert!(matches!(config.validate(), Err(Error::Shedding { .. })));
        }
        assert_eq!(PolicyConfig { window: 0, ..PolicyConfig::default() }.validate(), Err(Error::Window));
    }
}
