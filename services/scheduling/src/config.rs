//! How the scheduler shares and how long a lease lasts.

mod limit;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;
pub use crate::config::limit::SharedLimit;
use crate::scaling::ScalingConfig;

/// The shortest lease, in milliseconds: a heartbeat every third of it must get through.
const SHORTEST_LEASE_MS: u64 = 100;

/// The shortest lease of a shard, in milliseconds: it is renewed four times in it.
const SHORTEST_SHARD_LEASE_MS: u64 = 500;

/// The scheduler's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How long a lease lasts without a heartbeat, in milliseconds; 100 or more.
    pub lease_ms: u64,
    /// How long a lease outlives the stream of a worker that was lost, in milliseconds: the time it has to come again.
    pub keep_ms: u64,
    /// How long a scheduler that is not heard of keeps its shards, in milliseconds; 500 or more.
    pub shard_lease_ms: u64,
    /// How many workers may be lost while they run a task before it is given up; 1 or more.
    pub quarantine_after: u32,
    /// How many bytes of waiting tasks are kept in memory with their payloads.
    pub memory_bytes: usize,
    /// How many waiting tasks of one queue are kept in memory; 1 or more.
    pub window: usize,
    /// How many tasks may wait before submissions are refused, background ones from 80 % on, normal ones from 95 % on;
    /// none for no bound.
    pub max_queued: Option<usize>,
    /// How many tasks of one tenant may wait; none for no bound.
    pub tenant_max_queued: Option<usize>,
    /// How many tasks of one tenant may run at once, 1 or more; none for no bound. One that is cancelled counts no longer,
    /// although its worker hears of that a moment later.
    pub tenant_concurrency: Option<u32>,
    /// Limits that hold for all tenants together, however many schedulers there are: `[[scheduling.limits]]`, each with a `kind`
    /// or a `limit_key`, and a `concurrency`, a `per_second` with a `burst`, or both. The same for every scheduler: a new one
    /// holds back what falls under it until all of them know it.
    pub limits: Vec<SharedLimit>,
    /// What each priority is guaranteed: `[scheduling.shares]`.
    pub shares: Shares,
    /// How many workers there should be: `[scheduling.scaling]`.
    pub scaling: ScalingConfig,
}

impl Default for Config {
    /// A silent worker is noticed within ten seconds, a lost scheduler within two; a full queue takes about a megabyte
    /// besides the payloads.
    fn default() -> Self {
        Self {
            lease_ms: 10_000,
            keep_ms: 2_000,
            shard_lease_ms: 2_000,
            quarantine_after: 3,
            memory_bytes: 16 << 20,
            window: 4_096,
            max_queued: None,
            tenant_max_queued: None,
            tenant_concurrency: None,
            limits: Vec::new(),
            shares: Shares::default(),
            scaling: ScalingConfig::default(),
        }
    }
}

/// The part of all hand-outs that a priority gets while it has work, whatever more urgent work there is, in percent. Below
/// 100 together; what is left goes by priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shares {
    /// Of interactive work, which needs none: it is first anyway.
    pub interactive_percent: u8,
    /// Of normal work.
    pub normal_percent: u8,
    /// Of background work.
    pub background_percent: u8,
}

impl Default for Shares {
    fn default() -> Self {
        Self { interactive_percent: 0, normal_percent: 20, background_percent: 5 }
    }
}

impl Shares {
    fn sum(self) -> u32 {
        [self.interactive_percent, self.normal_percent, self.background_percent].map(u32::from).iter().sum()
    }
}

impl From<Shares> for tidemill_policy::Shares {
    fn from(shares: Shares) -> Self {
        let part = |percent: u8| f64::from(percent) / 100.0;
        Self {
            interactive: part(shares.interactive_percent),
            normal: part(shares.normal_percent),
            background: part(shares.background_percent),
        }
    }
}

impl Config {
    /// How long a lease lasts.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.lease_ms)
    }

    /// How long a lease outlives its worker's stream.
    pub fn keep(&self) -> Duration {
        Duration::from_millis(self.keep_ms)
    }

    /// How long a silent scheduler keeps its shards.
    pub fn shard_lease(&self) -> Duration {
        Duration::from_millis(self.shard_lease_ms)
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
        if self.shard_lease_ms < SHORTEST_SHARD_LEASE_MS {
            let lease = self.shard_lease_ms;
            faults.push(format!(
                "`shard_lease_ms` is {lease}, so short that a busy moment would cost a scheduler its shards: set \
                 {SHORTEST_SHARD_LEASE_MS} or more"
            ));
        }
        if self.quarantine_after == 0 {
            let fault = "`quarantine_after` is 0, so that no task could be started: set 1 or more";
            faults.push(fault.to_owned());
        }
        if self.window == 0 {
            faults.push("`window` is 0, so that no task could be picked: set 1 or more".to_owned());
        }
        if self.tenant_concurrency == Some(0) {
            let fault =
                "`tenant_concurrency` is 0, so that nothing would ever run: set 1 or more, or leave it out";
            faults.push(fault.to_owned());
        }
        if self.shares.sum() >= 100 {
            let sum = self.shares.sum();
            faults.push(format!(
                "`shares` are {sum} % together, so that nothing is left to go by priority: set less than 100"
            ));
        }
        faults.extend(limit::faults(&self.limits));
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
        let nothing = Config {
            lease_ms: 0,
            window: 0,
            tenant_concurrency: Some(0),
            shard_lease_ms: 0,
            quarantine_after: 0,
            shares: Shares { normal_percent: 96, ..Shares::default() },
            ..Config::default()
        };
        let fault = nothing.check().unwrap_err();
        let text = fault.to_string();
        for word in [
            "`shard_lease_ms` is 0",
            "`quarantine_after` is 0",
            "`shares` are 101 %",
            "[scheduling]",
            "`lease_ms` is 0",
            "`window` is 0",
            "`tenant_concurrency` is 0",
            "set 1 or more",
        ] {
            assert!(text.contains(word), "{text}");
        }
        let least = Config { lease_ms: 100, window: 1, tenant_concurrency: Some(1), ..Config::default() };
        assert!(least.check().is_ok());
    }
}
