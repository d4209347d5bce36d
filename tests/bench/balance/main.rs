//! What balancing is worth: latencies over four instances, of which one takes 20 times as long, beside the same four
//! without a slow one in the same run; and how long one that has died goes on getting calls.
//!
//! Instances wait instead of computing, so that two cores are enough for four of them; each call is timed from when it
//! was due, so that a slow answer hides no call behind it.

mod death;
mod instance;
mod load;
#[path = "../report.rs"]
mod report;

use std::time::Duration;

use anyhow::Result;
use tidemill_chassis::ClientConfig;
use tidemill_chassis::balance::endpoints::Policy;
use tidemill_chassis::client::Hedge;
use tidemill_chassis::discovery;

use instance::Instance;
use load::Outcome;
use report::{Size, Table, ratio};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Calls a second.
const RATE: f64 = 400.0;
/// What a call takes.
const QUICK: Duration = Duration::from_millis(5);
/// What it takes on the slow instance.
const SLOW: Duration = Duration::from_millis(100);
/// No call of the first part is to run into it.
const DEADLINE: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let Some(size) = report::begin("balance") else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        latencies(size).await?;
        death::measure(size).await
    })
}

/// A way of balancing.
struct Way {
    name: &'static str,
    config: ClientConfig,
    /// The weight of the slow instance, of those of the others 20.
    weight: u32,
}

fn ways() -> [Way; 6] {
    let of = |policy| ClientConfig { policy, ..ClientConfig::default() };
    let hedge = Hedge { delay_ms: None, quantile: Some(0.9) };
    let hedged = |policy| ClientConfig { hedge: hedge.clone(), ..of(policy) };
    [
        Way { name: "p2c over peak EWMA (default)", config: of(Policy::P2c), weight: 20 },
        Way { name: "p2c, hedged at the 90th percentile", config: hedged(Policy::P2c), weight: 20 },
        Way { name: "least requests", config: of(Policy::LeastRequests), weight: 20 },
        Way { name: "weighted, told 20:20:20:1", config: of(Policy::Weighted), weight: 1 },
        Way { name: "round robin", config: of(Policy::RoundRobin), weight: 20 },
        Way { name: "round robin, hedged the same", config: hedged(Policy::RoundRobin), weight: 20 },
    ]
}

async fn latencies(size: Size) -> Result<()> {
    let length = Duration::from_secs(size.of(2, 20) as u64);
    let head = ["policy", "p50 ms", "p99 ms", "slow: p50 ms", "to", "p99 ms", "to", "calls to it"];
    let mut table = Table::new(head);
    for way in ways() {
        let (healthy, _) = four(&way, QUICK, length).await?;
        let (slow, share) = four(&way, SLOW, length).await?;
        let [p50, slow_p50, p99, slow_p99] = [(&healthy, 0.5), (&slow, 0.5), (&healthy, 0.99), (&slow, 0.99)]
            .map(|(outcome, share): (&Outcome, f64)| outcome.quantile(share).as_secs_f64() * 1e3);
        let millis = |value: f64| format!("{value:.1}");
        table.row([
            way.name.to_owned(),
            millis(p50),
            millis(p99),
            millis(slow_p50),
            ratio(slow_p50, p50),
            millis(slow_p99),
            ratio(slow_p99, p99),
            format!("{:.1} %", share * 100.0),
        ]);
    }
    table.print(&format!(
        "four instances of {QUICK:?} a call, {RATE} calls a second for {length:?}; then one of them takes {SLOW:?}"
    ));
    Ok(())
}

/// Calls over three quick instances and one that takes so long; and the share of the calls that it got.
async fn four(way: &Way, fourth: Duration, length: Duration) -> Result<(Outcome, f64)> {
    let mut servers = Vec::new();
    for delay in [QUICK, QUICK, QUICK, fourth] {
        servers.push(Instance::start(delay).await?);
    }
    let mut instances: Vec<_> = servers
        .iter()
        .map(|server| discovery::Instance { weight: 20, ..discovery::Instance::at(server.address.clone()) })
        .collect();
    instances[3].weight = way.weight;
    let (wire, log) = load::wire(&way.config, instances, &servers[3].address);
    let outcome = load::run(&wire, RATE, length, DEADLINE).await?;
    let to_fourth = log.lock().map_or(0, |log| log.len());
    let share = to_fourth as f64 / (outcome.latencies.len() + outcome.failed) as f64;
    Ok((outcome, share))
}
