//! How long tasks waited, by tenant and priority, since this scheduler began.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tidemill_kernel::{Priority, TenantName};

use crate::engine::Wait;

/// How many pairs of tenant and priority are kept; later ones are not counted.
const MOST: usize = 10_000;
/// The longest wait that is told apart, in microseconds: 30 days.
const LONGEST: u64 = 30 * 24 * 3_600 * 1_000_000;

/// Shared between the loop that hands tasks out and the service that tells of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits(Arc<Mutex<Noted>>);

/// Waits in microseconds.
type Noted = HashMap<(TenantName, Priority), Histogram<u32>>;

impl Waits {
    /// Notes how long tasks waited from when they could run to the start of their first attempt.
    pub(crate) fn note(&self, noted: &[Wait]) {
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (tenant, priority, wait) in noted {
            let key = (tenant.clone(), *priority);
            if waits.len() >= MOST && !waits.contains_key(&key) {
                continue;
            }
            // The histogram grows to what it is told, so a wait beyond reason is cut to it.
            let wait = u64::try_from(wait.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST);
            if let Ok(empty) = Histogram::new(2)
                && let Err(fault) = waits.entry(key).or_insert(empty).record(wait)
            {
                tracing::debug!(%fault, "a wait was not counted");
            }
        }
    }

    /// Median and 99th percentile, if anything was noted.
    pub(crate) fn quantiles(&self, tenant: &TenantName, priority: Priority) -> Option<(Duration, Duration)> {
        let waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = waits.get(&(tenant.clone(), priority))?;
        let at = |quantile| Duration::from_micros(waits.value_at_quantile(quantile));
        Some((at(0.5), at(0.99)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_by_tenant_and_priority() {
        let (waits, tenant): (_, TenantName) = (Waits::default(), "acme".parse().unwrap());
        waits.note(&[(tenant.clone(), Priority::Normal, Duration::from_millis(1))]);
        let (median, worst) = waits.quantiles(&tenant, Priority::Normal).unwrap();
        assert!((990..=1_010).contains(&median.as_micros()) && worst >= median, "{median:?} {worst:?}");
        assert_eq!(waits.quantiles(&tenant, Priority::Interactive), None);
    }
}
