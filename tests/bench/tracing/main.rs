//! What telemetry costs a call: without a collector, and with a real one that is told a hundredth or all of the traces; in
//! this process and over loopback, in one run.
//!
//! A process has one way to trace, so each way is measured in a process of its own, which this one starts. Every call is a
//! trace of its own: the server's span and the store's, over loopback the client's too.

#[path = "../loopback.rs"]
mod loopback;
#[path = "../wire/paths.rs"]
#[expect(dead_code, reason = "the benchmark of the wire asks for more")]
mod paths;
#[path = "../report.rs"]
mod report;

use std::process::Command;

use anyhow::{Context as _, Error, Result, ensure};
use tidemill_chassis::telemetry::{self, TelemetryConfig};
use tidemill_tests::harness::collector::Collector;

use paths::{Call, Ground};
use report::{Size, Table, ratio};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What tells a process that it is one of those that measure: the number of its way, calls, the collector.
const TASK: &str = "TIDEMILL_BENCH_TRACING";

/// A way to trace.
struct Way {
    name: &'static str,
    /// The share of traces that is sampled; none for no collector at all.
    ratio: Option<f64>,
    keep_errors: bool,
}

const WAYS: [Way; 4] = [
    Way { name: "no collector", ratio: None, keep_errors: true },
    Way { name: "1 % of traces", ratio: Some(0.01), keep_errors: false },
    Way { name: "1 % of traces and all that fails (the default)", ratio: Some(0.01), keep_errors: true },
    Way { name: "all traces", ratio: Some(1.0), keep_errors: true },
];

/// The paths that are measured, as `paths` names them.
const PATHS: [&str; 2] = ["in process, all layers", "loopback, all layers"];

fn main() -> Result<()> {
    if let Ok(task) = std::env::var(TASK) {
        return measure(&task);
    }
    let Some(size) = report::begin("tracing") else { return Ok(()) };
    let runtime = tokio::runtime::Runtime::new()?;
    let home = tempfile::tempdir()?;
    let Some(collector) = runtime.block_on(Collector::start_quiet(home.path()))? else { return Ok(()) };
    let (rounds, calls) = (size.of(1, 5), size.of(500, 20_000));
    let mut best = [[f64::INFINITY; 2]; WAYS.len()];
    // In turns, so that other work on the machine falls on all of them.
    for _ in 0..rounds {
        for (way, best) in best.iter_mut().enumerate() {
            let figures = child(way, calls, &collector.endpoint())?;
            best.iter_mut().zip(figures).for_each(|(best, figure)| *best = best.min(figure));
        }
    }
    print(size, &best);
    Ok(())
}

fn print(size: Size, best: &[[f64; 2]; WAYS.len()]) {
    let mut table = Table::new(["telemetry", "in process us", "to none", "loopback us", "to none"]);
    for (way, [inside, across]) in WAYS.iter().zip(best) {
        let cells = [format!("{inside:.2}"), ratio(*inside, best[0][0]), format!("{across:.2}")];
        let [inside, to_none, across_us] = cells;
        table.row([way.name.to_owned(), inside, to_none, across_us, ratio(*across, best[0][1])]);
    }
    table.print(&format!("{}; mean of the best of {} rounds", Call::Small.title(), size.of(1, 5)));
}

/// Measures one way in a process of its own: mean microseconds of a call, by path.
fn child(way: usize, calls: usize, collector: &str) -> Result<[f64; 2]> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.env(TASK, format!("{way} {calls} {collector}")).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let mut figures = text.split_whitespace().map(str::parse);
    let mut next = || Ok::<f64, Error>(figures.next().context("too few figures")??);
    Ok([next()?, next()?])
}

/// The process that measures.
fn measure(task: &str) -> Result<()> {
    let mut words = task.split(' ');
    let mut next = || words.next().context("a task has three words");
    let (way, calls, collector) = (&WAYS[next()?.parse::<usize>()?], next()?.parse()?, next()?);
    let config = TelemetryConfig {
        otlp_endpoint: way.ratio.map(|_| collector.to_owned()),
        sample_ratio: way.ratio,
        keep_errors: way.keep_errors,
        ..TelemetryConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let telemetry = telemetry::init("warn", "bench", &config).map_err(Error::msg)?;
        let ground = Ground::new().await?;
        let paths = ground.paths(Call::Small).await?;
        for name in PATHS {
            let path = paths.iter().find(|path| path.name == name).context(name)?;
            path.round(calls / 10).await?;
            let mean = path.round(calls).await?.mean;
            report::say(format!("{:.3}", mean.as_secs_f64() * 1e6));
        }
        telemetry.flush().await;
        Ok(())
    })
}
