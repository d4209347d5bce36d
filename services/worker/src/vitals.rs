//! What a worker sees of its process and its host, for heartbeats: memory and processors (proc(5)).

use std::fs;

use tidemill_chassis::clock::Stopwatch;
use tidemill_chassis::telemetry::metrics::{processor_time, resident};

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Vitals {
    /// Resident memory of the process, in bytes; 0 if not known.
    pub(crate) memory_bytes: u64,
    /// Memory that is left on the host, in bytes; 0 if not known.
    pub(crate) memory_free_bytes: u64,
    /// Share of the processors that was busy, 0 to 1; negative if not known.
    pub(crate) cpu: f64,
}

impl Default for Vitals {
    /// Nothing is known.
    fn default() -> Self {
        Self { memory_bytes: 0, memory_free_bytes: 0, cpu: -1.0 }
    }
}

/// Measures them, each time since the time before.
#[derive(Debug)]
pub(crate) struct Gauge {
    processors: f64,
    since: Stopwatch,
    used: Option<f64>,
}

impl Gauge {
    /// One that begins now.
    pub(crate) fn start() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, |count| count.get());
        let processors = f64::from(u32::try_from(processors).unwrap_or(1));
        Self { processors, since: Stopwatch::start(), used: used() }
    }

    /// The vitals since the last call.
    pub(crate) fn read(&mut self) -> Vitals {
        let (elapsed, now) = (self.since.elapsed().as_secs_f64(), used());
        let share = |(before, now): (f64, f64)| share(now - before, elapsed * self.processors);
        let cpu = self.used.zip(now).map_or(-1.0, share);
        (self.since, self.used) = (Stopwatch::start(), now);
        Vitals { memory_bytes: resident().unwrap_or(0), memory_free_bytes: available().unwrap_or(0), cpu }
    }
}

/// Seconds of processor time that the process has used.
fn used() -> Option<f64> {
    processor_time().map(|times| times.iter().map(|(_, seconds)| seconds).sum())
}

fn share(used: f64, of: f64) -> f64 {
    if of > 0.0 { (used / of).clamp(0.0, 1.0) } else { -1.0 }
}

fn available() -> Option<u64> {
    let memory = fs::read_to_string("/proc/meminfo").ok()?;
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_processors_and_unknown_without_time() {
        assert!((share(1.0, 4.0) - 0.25).abs() < 1e-9);
        assert!((share(9.0, 4.0) - 1.0).abs() < 1e-9);
        assert!(share(1.0, 0.0) < 0.0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_sees_its_memory() {
        let vitals = Gauge::start().read();
        assert!(vitals.memory_bytes > 1 << 20 && vitals.memory_free_bytes > 0, "{vitals:?}");
    }
}
