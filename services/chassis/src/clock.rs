//! The real clock, the real sleep and the operating system's randomness: the only place that touches them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemill_kernel::{Clock, Timestamp};

/// The machine's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the real clock")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Measures a span of time that no step of the wall clock bends.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// One that runs.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it has run.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Waits; follows tokio's paused time in tests.
#[expect(clippy::disallowed_methods, reason = "this is the real sleep")]
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// A generator seeded by the operating system.
pub fn seeded_rng() -> StdRng {
    StdRng::from_os_rng()
}
