//! How long tasks waited, by tenant and priority, since this scheduler began.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tidemill_kernel::{Priority, TenantName};
use tidemill_proto::time::to_micros;
use tidemill_proto::types::v1::Task;

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
    /// Notes the wait of a task at the start of its first attempt: from when it could run. None for another attempt.
    pub(crate) fn note(&self, task: &Task) -> Option<(Priority, Duration)> {
        let tenant = task.tenant.parse().ok()?;
        let priority = Priority::from_number(task.priority)?;
        let (created, started) = (task.created_at.as_ref()?, task.started_at.as_ref()?);
        if task.attempt != 1 {
            return None;
        }
        let ready = task.run_at.as_ref().map_or(0, to_micros).max(to_micros(created));
        let wait = u64::try_from(to_micros(started).saturating_sub(ready)).unwrap_or(0).max(1);
        let told = Some((priority, Duration::from_micros(wait)));
        let mut waits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = waits.len() >= MOST;
        let key = (tenant, priority);
        if full && !waits.contains_key(&key) {
            return told;
        }
        if let Ok(empty) = Histogram::new(2) {
            // The histogram grows to what it is told, so a wait beyond reason is cut to it.
            let wait = wait.min(LONGEST);
            if let Err(fault) = waits.entry(key).or_insert(empty).record(wait) {
                tracing::debug!(%fault, "a wait was not counted");
            }
        }
        told
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
    use tidemill_proto::time::from_micros;

    use super::*;

    #[test]
    fn a_wait_counts_from_the_moment_the_task_could_run_and_only_once() {
        let waits = Waits::default();
        let task = |attempt| Task {
            tenant: "acme".into(),
            priority: 2,
            attempt,
            created_at: Some(from_micros(1_000_000)),
            run_at: Some(from_micros(5_000_000)),
            started_at: Some(from_micros(5_001_000)),
            ..Task::default()
        };
        assert_eq!(waits.note(&task(1)), Some((Priority::Normal, Duration::from_millis(1))));
        assert_eq!(waits.note(&task(2)), None);
        let tenant = "acme".parse().unwrap();
        let (median, worst) = waits.quantiles(&tenant, Priority::Normal).unwrap();
        assert!((990..=1_010).contains(&median.as_micros()) && worst >= median, "{median:?} {worst:?}");
        assert_eq!(waits.quantiles(&tenant, Priority::Interactive), None);
    }
}
