//! The settings of a client: how calls to another part are spread, tried again, and kept from what does not work.

mod check;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidemill_kernel::backoff::{Backoff, Jitter};
use tidemill_kernel::breaker::BreakerConfig;
use tidemill_kernel::retry_budget::RetryBudgetConfig;

use crate::balance::endpoints::{EjectionConfig, Policy, Rules};
use crate::layers::Methods;
use crate::layers::retry::RetryPolicy;
use crate::layers::retry::hedge::{Delay, HedgePolicy};
use crate::remote::KeepAlive;

/// How other parts are called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientConfig {
    /// Who of several instances gets a call: `p2c` (the less loaded of two, by latency and pending calls),
    /// `least_requests`, `round_robin`, or `weighted` (by the weights that discovery tells).
    pub policy: Policy,
    /// The own zone: its instances are preferred as long as enough of them work. Zones do not matter when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How many milliseconds the share of an instance grows that is new or has recovered; 0: it is whole at once.
    pub slow_start_ms: u64,
    /// How many milliseconds a connection may take to be made, and discovery to say its first word.
    pub connect_timeout_ms: u64,
    /// After how many milliseconds a connection is asked whether its peer is still there; 0: never.
    pub keep_alive_interval_ms: u64,
    /// How many milliseconds the peer may take to say so.
    pub keep_alive_timeout_ms: u64,
    /// Whether it is also asked while no call is under way.
    pub keep_alive_while_idle: bool,
    /// When an instance that does not work is left alone.
    pub breaker: Breaker,
    /// When an instance that is worse than the others is left out.
    pub ejection: Ejection,
    /// How calls that may be made twice are tried again.
    pub retry: Retry,
    /// When calls that change nothing are sent a second time; off unless a delay or a quantile is set.
    pub hedge: Hedge,
}

/// When an instance that does not work is left alone, and how it is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Breaker {
    /// After this many failed calls in a row; 0: never for that.
    pub consecutive_failures: u32,
    /// When this share (0 to 1) of the calls in the window failed; above 1: never for that.
    pub failure_ratio: f64,
    /// How many milliseconds back the share looks.
    pub window_ms: u64,
    /// From how many calls in the window on the share counts.
    pub minimum_volume: u64,
    /// How many milliseconds it is left alone at first.
    pub pause_ms: u64,
    /// How many at most: each probe that fails doubles the pause up to this.
    pub longest_pause_ms: u64,
    /// How many probes must succeed, and may be under way at once.
    pub probes: u32,
}

/// When an instance is left out that is worse than the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ejection {
    /// At once after this many failed calls in a row, or more where calls of the others fail too; 0: never for that.
    pub consecutive_failures: u64,
    /// How often, in milliseconds, instances are compared.
    pub interval_ms: u64,
    /// How many calls an instance, and all others together, must have had since to be compared.
    pub minimum_volume: u64,
    /// By how much (0 to 1) its share of failed calls is higher than that of the others.
    pub margin: f64,
    /// How many milliseconds it is left out, times the number of times in a row.
    pub pause_ms: u64,
    /// How many milliseconds at most.
    pub longest_pause_ms: u64,
    /// The largest share (0 to 1) of the instances that is out at a time; 0: none is ever left out.
    pub max_share: f64,
}

/// How calls that may be made twice are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// How often a call is made at most, the first time included; 1: no retries.
    pub attempts: u32,
    /// How many milliseconds lie before the first retry at most; they double with each.
    pub base_ms: u64,
    /// The longest such wait, and the longest that a callee may ask for, in milliseconds.
    pub cap_ms: u64,
    /// How many retries and hedges there may be for a hundred calls.
    pub budget_percent: u32,
    /// How many there may be a second in any case.
    pub budget_per_second: u32,
}

/// When calls that change nothing are sent a second time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hedge {
    /// After how many milliseconds; with a quantile too, the least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
    /// When it takes longer than this share (0 to 1) of the recent calls of its method took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantile: Option<f64>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            policy: Policy::P2c,
            zone: None,
            slow_start_ms: 5_000,
            connect_timeout_ms: 5_000,
            keep_alive_interval_ms: 10_000,
            keep_alive_timeout_ms: 5_000,
            keep_alive_while_idle: true,
            breaker: Breaker::default(),
            ejection: Ejection::default(),
            retry: Retry::default(),
            hedge: Hedge::default(),
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            failure_ratio: 0.5,
            window_ms: 10_000,
            minimum_volume: 20,
            pause_ms: 500,
            longest_pause_ms: 2_000,
            probes: 1,
        }
    }
}

impl Default for Ejection {
    fn default() -> Self {
        let EjectionConfig {
            consecutive_failures,
            interval,
            minimum_volume,
            margin,
            pause,
            longest_pause,
            max_share,
        } = EjectionConfig::default();
        let [interval_ms, pause_ms, longest_pause_ms] =
            [interval, pause, longest_pause].map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        Self {
            consecutive_failures,
            interval_ms,
            minimum_volume,
            margin,
            pause_ms,
            longest_pause_ms,
            max_share,
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 3, base_ms: 10, cap_ms: 1_000, budget_percent: 20, budget_per_second: 10 }
    }
}

impl ClientConfig {
    /// How calls are spread.
    pub fn rules(&self) -> Rules {
        let (breaker, ejection) = (&self.breaker, &self.ejection);
        Rules {
            policy: self.policy,
            zone: self.zone.clone(),
            breaker: BreakerConfig {
                consecutive_failures: breaker.consecutive_failures,
                failure_ratio: breaker.failure_ratio,
                window: Duration::from_millis(breaker.window_ms),
                minimum_volume: breaker.minimum_volume,
                pause: Duration::from_millis(breaker.pause_ms),
                longest_pause: Duration::from_millis(breaker.longest_pause_ms),
                probes: breaker.probes,
            },
            ejection: EjectionConfig {
                consecutive_failures: ejection.consecutive_failures,
                interval: Duration::from_millis(ejection.interval_ms),
                minimum_volume: ejection.minimum_volume,
                margin: ejection.margin,
                pause: Duration::from_millis(ejection.pause_ms),
                longest_pause: Duration::from_millis(ejection.longest_pause_ms),
                max_share: ejection.max_share,
            },
            slow_start: Duration::from_millis(self.slow_start_ms),
        }
    }

    /// Which calls are tried again or sent twice, for methods of which the contracts say this.
    pub fn retry_policy(&self, methods: Methods) -> RetryPolicy {
        let retry = &self.retry;
        let [base, cap] = [retry.base_ms, retry.cap_ms].map(Duration::from_millis);
        RetryPolicy {
            idempotent: methods.idempotent,
            attempts: retry.attempts,
            backoff: Backoff { base, cap, jitter: Jitter::Equal },
            budget: RetryBudgetConfig {
                percent: retry.budget_percent,
                minimum_per_second: retry.budget_per_second,
                ..RetryBudgetConfig::default()
            },
            hedge: self.hedge.delay().map(|delay| HedgePolicy { safe: methods.safe, delay }),
        }
    }

    /// How a peer that has fallen silent is noticed.
    pub fn keep_alive(&self) -> Option<KeepAlive> {
        let [interval, timeout] =
            [self.keep_alive_interval_ms, self.keep_alive_timeout_ms].map(Duration::from_millis);
        (!interval.is_zero()).then_some(KeepAlive {
            interval,
            timeout,
            while_idle: self.keep_alive_while_idle,
        })
    }
}

impl Hedge {
    fn delay(&self) -> Option<Delay> {
        let delay = self.delay_ms.map(Duration::from_millis);
        match self.quantile {
            Some(quantile) => Some(Delay::Quantile { quantile, least: delay.unwrap_or_default() }),
            None => delay.map(Delay::Fixed),
        }
    }
}
