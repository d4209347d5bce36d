//! What one unary call costs: in this process and over loopback, through all layers and bare.
//!
//! One caller, one call after the other, over the store in memory, so that the way is measured and not a database. The
//! bar: in process, at most a tenth of loopback.

#[path = "../loopback.rs"]
mod loopback;
mod paths;
#[path = "../report.rs"]
mod report;

use std::time::Duration;

use anyhow::{Context as _, Error, Result};
use tidemill_chassis::telemetry;

use paths::{Call, Path, Timings};
use report::{Size, Table, ratio};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let Some(size) = report::begin("wire") else { return Ok(()) };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let many = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(workers).build()?;
    // Calls are counted and timed as in the binary; spans are off, as without a collector.
    let _telemetry = {
        let _entered = many.enter();
        telemetry::init("warn", "bench", &telemetry::TelemetryConfig::default()).map_err(Error::msg)?
    };
    for call in Call::ALL {
        let title = format!("{}; runtime with {workers} threads, as in the binary", call.title());
        many.block_on(compare(&title, call, size))?;
    }
    let one = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(1).build()?;
    let title = format!("{}; runtime with one thread", Call::Small.title());
    one.block_on(compare(&title, Call::Small, size))
}

/// Measures every path in turn, several rounds, and prints the best of each.
async fn compare(title: &str, call: Call, size: Size) -> Result<()> {
    let (rounds, calls) = (size.of(2, 7), size.of(500, 20_000));
    let ground = paths::Ground::new().await?;
    let paths = ground.paths(call).await?;
    let mut best: Vec<Option<Timings>> = paths.iter().map(|_| None).collect();
    for round in 0..=rounds {
        for (path, best) in paths.iter().zip(&mut best) {
            let timings = path.round(calls).await?;
            // The first round only warms up.
            if round > 0 && best.as_ref().is_none_or(|best| timings.mean < best.mean) {
                *best = Some(timings);
            }
        }
    }
    let best: Option<Vec<Timings>> = best.into_iter().collect();
    print(title, &paths, &best.context("no round was measured")?)
}

fn print(title: &str, paths: &[Path], timings: &[Timings]) -> Result<()> {
    let loopback = timings.last().context("no path was measured")?;
    let mut table = Table::new(["path", "mean us", "p50 us", "p99 us", "to the last row"]);
    for (path, timing) in paths.iter().zip(timings) {
        let share = ratio(timing.mean.as_secs_f64(), loopback.mean.as_secs_f64());
        table.row([path.name.to_owned(), micros(timing.mean), micros(timing.p50), micros(timing.p99), share]);
    }
    table.print(title);
    let whole = |name| paths.iter().position(|path| path.name == name).and_then(|index| timings.get(index));
    let inside = whole("in process, all layers").context("it is measured")?.mean.as_secs_f64();
    let verdict = if inside * 10.0 <= loopback.mean.as_secs_f64() { "holds" } else { "is missed" };
    report::say(format!(
        "  all layers: loopback costs {:.1} times as much as in process; the bar of 10 {verdict}",
        loopback.mean.as_secs_f64() / inside
    ));
    Ok(())
}

fn micros(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e6)
}
