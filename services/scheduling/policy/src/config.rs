//! What can be set: shares of priorities, limits of tenants, the window of a queue.

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
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self { shares: Shares::default(), default_concurrency: None, window: 1024 }
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
        Ok(())
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
        assert_eq!(PolicyConfig { window: 0, ..PolicyConfig::default() }.validate(), Err(Error::Window));
    }
}
