//! One of four instances dies under load: how long it goes on getting calls, and how many calls that costs.

use std::time::{Duration, Instant};

use anyhow::Result;
use tidemill_chassis::balance::endpoints::Policy;
use tidemill_chassis::client::Retry;
use tidemill_chassis::{ClientConfig, discovery, sleep};

use super::instance::{Death, Instance};
use super::load;
use super::report::{self, Size, Table};
use super::{QUICK, RATE};

/// What a call may take.
const DEADLINE: Duration = Duration::from_millis(250);
/// Calls closer than this are traffic; probes of a breaker are further apart.
const APART: Duration = Duration::from_millis(200);

/// One death.
struct Case {
    policy: Policy,
    how: Death,
    retries: bool,
}

/// Measures every policy and death, and prints them.
pub(crate) async fn measure(size: Size) -> Result<()> {
    let after = Duration::from_secs(size.of(3, 25) as u64);
    let mut table =
        Table::new(["what dies, how", "traffic ends after ms", "calls to it by then", "later", "failed"]);
    for how in [Death::Refused, Death::Silent] {
        for (policy, retries) in [
            (Policy::P2c, true),
            (Policy::P2c, false),
            (Policy::LeastRequests, false),
            (Policy::RoundRobin, false),
        ] {
            let retried = if retries { ", retried" } else { "" };
            let name = format!("{how:?}, {policy:?}{retried}");
            let row = one(Case { policy, how, retries }, after).await?;
            let ends = format!("{:.0}", row.ends.as_secs_f64() * 1e3);
            table.row([name, ends, row.by_then.to_string(), row.later.to_string(), row.failed.to_string()]);
        }
    }
    table.print(&format!(
        "one of four dies under {RATE} calls a second with {DEADLINE:?} each, watched for {after:?}"
    ));
    report::say(
        "  later: probes, by which it would be found again; failed: of all calls, seen by the caller",
    );
    Ok(())
}

struct Row {
    ends: Duration,
    by_then: usize,
    later: usize,
    failed: usize,
}

async fn one(case: Case, after: Duration) -> Result<Row> {
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(Instance::start(QUICK).await?);
    }
    let attempts = if case.retries { Retry::default().attempts } else { 1 };
    let retry = Retry { attempts, ..Retry::default() };
    let config = ClientConfig { policy: case.policy, retry, ..ClientConfig::default() };
    let instances = servers.iter().map(|server| discovery::Instance::at(server.address.clone())).collect();
    let (wire, log) = load::wire(&config, instances, &servers[3].address);
    let before = Duration::from_secs(2);
    let load = tokio::spawn(async move { load::run(&wire, RATE, before + after, DEADLINE).await });
    sleep(before).await;
    let died = Instant::now();
    servers[3].die(case.how)?;
    let failed = load.await??.failed;
    let calls: Vec<Duration> = log.lock().map_or_else(
        |_| Vec::new(),
        |log| log.iter().filter_map(|sent| sent.checked_duration_since(died)).collect(),
    );
    let traffic = calls.windows(2).rposition(|pair| pair[1] - pair[0] < APART).map_or(0, |last| last + 2);
    let ends = traffic.checked_sub(1).map_or(Duration::ZERO, |last| calls[last]);
    Ok(Row { ends, by_then: traffic, later: calls.len() - traffic, failed })
}
