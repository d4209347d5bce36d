//! How the scheduler shares and how long a lease lasts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::scaling::ScalingConfig;

/// The shortest lease, in milliseconds: a heartbeat every third of it must get through.
const SHORTEST_LEASE_MS: u64 = 100;

/// The scheduler's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a lease lasts without a heartbeat, in milliseconds; 100 or more.
    pub lease_ms: u64,
    /// How many waiting tasks of one queue are kept in memory; 1 or more.
    pub window: usize,
    /// How many tasks of one tenant may run at once, 1 or more; none for no bound.
    pub tenant_concurrency: Option<u32>,
    /// How many workers there should be: `[scheduling.scaling]`.
    pub scaling: ScalingConfig,
}

impl Default for Config {
    /// A lost worker is noticed within ten seconds; a queue in memory takes about 200 KiB.
    fn default() -> Self {
        Self { lease_ms: 10_000, window: 1_024, tenant_concurrency: None, scaling: ScalingConfig::default() }
    }
}

impl Config {
    /// How long a lease lasts.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// Refuses what cannot work, all of it at once.
    ///
    /// # Errors
    /// [`Error::Config`] names each key and what would be right.
    pub fn check(&self) -> Result<(), Error> {
        let mut faults = Vec::new();
        if self.lease_ms < SHORTEST_LEASE_MS {
            let lease = self.lease_ms;
            faults.push(format!(
                "`lease_ms` is {lease}, shorter than a heartbeat takes: set {SHORTEST_LEASE_MS} or more"
            ));
        }
        if self.window == 0 {
            faults.push("`window` is 0, so that no task could be picked: set 1 or more".to_owned());
        }
        if self.tenant_concurrency == Some(0) {
            let fault =
                "`tenant_concurrency` is 0, so that nothing would ever run: set 1 or more, or leave it out";
            faults.push(fault.to_owned());
        }
        faults.extend(self.scaling.faults());
        if faults.is_empty() { Ok(()) } else { Err(Error::Config(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named_all_at_once() {
        assert_eq!(Config::default().check(), Ok(()));
        let wrong = Config { lease_ms: 0, window: 0, tenant_concurrency: Some(0), ..Config::default() };
        let fault = wrong.check().unwrap_err();
        let text = fault.to_string();
        for word in
            ["[scheduling]", "`lease_ms` is 0", "`window` is 0", "`tenant_concurrency` is 0", "set 1 or more"]
        {
            assert!(text.contains(word), "{text}");
        }
        assert!(
            Config { lease_ms: 100, window: 1, tenant_concurrency: Some(1), ..Config::default() }
                .check()
                .is_ok()
        );
    }
}
