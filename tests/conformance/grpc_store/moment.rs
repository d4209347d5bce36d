//! The moment of a call, beside it in a task local, from which the shell's clock is fed.

use tidemill_kernel::{Clock, Timestamp};

tokio::task_local! {
    static NOW: Timestamp;
}

/// Runs a call at this moment.
pub(super) async fn at<T>(now: Timestamp, call: impl Future<Output = T>) -> T {
    NOW.scope(now, call).await
}

/// Stands at the moment of the call that reads it.
pub(super) struct CallClock;

impl Clock for CallClock {
    fn now(&self) -> Timestamp {
        NOW.try_with(|now| *now).unwrap_or_default()
    }
}
