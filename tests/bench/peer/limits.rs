//! What limits and fairness cost: the same backlog is worked off as one tenant's, as that of a hundred of whom one has nearly
//! all of it, then with limits on every task that are never reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use tidemill_chassis::sleep;
use tidemill_proto::scheduling::v1::steering_service_client::SteeringServiceClient;
use tidemill_proto::scheduling::v1::{Limit, PutLimitRequest, RemoveLimitRequest, Scope};
use tidemill_worker::{Attempt, Done, Failed, Handler};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::{self, Client, KIND, connect_as};
use crate::work;

/// How many tasks the large tenant has, unless the command says otherwise.
pub(crate) const TASKS: u64 = 100_000;
/// How many each of the others has.
const FEW: u64 = 100;
const TENANTS: usize = 100;
/// How often each case is measured; the best counts.
const ROUNDS: usize = 3;
/// The limit key of every task, where there is one.
const KEY: &str = "model:small";
/// How many tasks are submitted in one call.
const BATCH: u64 = 1_000;

/// A case and the limits of its tasks.
struct Case {
    name: &'static str,
    tenants: usize,
    scopes: Vec<Scope>,
    key: Option<&'static str>,
}

/// Counts.
struct Counting {
    left: AtomicU64,
    done: CancellationToken,
}

#[async_trait]
impl Handler for Counting {
    async fn run(&self, _: Attempt) -> Result<Done, Failed> {
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.cancel();
        }
        Ok(Done::default())
    }
}

/// Measures, and prints the ratios.
pub(crate) async fn cost(tasks: u64) -> Result<()> {
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        let client = connect_as(&format!("tenant-{number}")).await?;
        ensure!(client.left().await? == 0, "the queue is not empty: use fresh data");
        tenants.push(client);
    }
    let kind = Scope { kind: KIND.to_owned(), ..Scope::default() };
    let key = Scope { key: KEY.to_owned(), ..Scope::default() };
    let both = vec![Scope::default(), kind];
    let all = [&both[..], &[key]].concat();
    let cases = [
        Case { name: "one tenant", tenants: 1, scopes: Vec::new(), key: None },
        Case { name: "100 tenants", tenants: TENANTS, scopes: Vec::new(), key: None },
        Case { name: "100 tenants, limits of tenant and kind", tenants: TENANTS, scopes: both, key: None },
        Case { name: "the same and one of a key", tenants: TENANTS, scopes: all, key: Some(KEY) },
    ];
    let mut best = [Duration::MAX; 4];
    for _ in 0..ROUNDS {
        for (case, best) in cases.iter().zip(&mut best) {
            *best = (*best).min(drain(case, tasks, &tenants).await?);
        }
    }
    let total = tasks + FEW * (TENANTS as u64 - 1);
    for (case, time) in cases.iter().zip(best) {
        let seconds = time.as_secs_f64();
        println!(
            "{{\"case\":\"{}\",\"n\":{total},\"s\":{seconds:.3},\"per_s\":{:.0},\"to_one_tenant\":{:.2},\"to_no_limits\":{:.2}}}",
            case.name,
            total as f64 / seconds,
            seconds / best[0].as_secs_f64(),
            seconds / best[1].as_secs_f64(),
        );
    }
    Ok(())
}

/// How long a worker takes for the backlog of a case, from when it comes until its last result is committed.
async fn drain(case: &Case, tasks: u64, tenants: &[Client]) -> Result<Duration> {
    let tenants = &tenants[..case.tenants];
    for client in tenants {
        put(client, &case.scopes, true).await?;
    }
    let rest = FEW * (TENANTS as u64 - 1);
    for (number, client) in tenants.iter().enumerate() {
        let count = match number {
            0 if case.tenants == 1 => tasks + rest,
            0 => tasks,
            _ => FEW,
        };
        let mut client = client.clone().with_key(case.key);
        for first in (0..count).step_by(usize::try_from(BATCH)?) {
            client.submit_batch(first..(first + BATCH).min(count)).await?;
        }
    }
    let counting = Arc::new(Counting { left: AtomicU64::new(tasks + rest), done: CancellationToken::new() });
    let begun = Instant::now();
    let (stop, working) = work::start(counting.clone(), work::slots())?;
    counting.done.cancelled().await;
    // It ends when its results have their outcomes.
    stop.cancel();
    working.await?;
    let took = begun.elapsed();
    for client in tenants {
        while client.left().await? > 0 {
            sleep(Duration::from_millis(5)).await;
        }
        put(client, &case.scopes, false).await?;
    }
    Ok(took)
}

/// Sets limits that are never reached, or removes them.
async fn put(client: &Client, scopes: &[Scope], is_set: bool) -> Result<()> {
    let mut steering = SteeringServiceClient::new(client::channel()?);
    for scope in scopes {
        let scope = Some(scope.clone());
        if is_set {
            let limit = Limit { scope, concurrency: Some(1_000_000), ..Limit::default() };
            steering.put_limit(client.request(PutLimitRequest { limit: Some(limit) })).await?;
        } else {
            steering.remove_limit(client.request(RemoveLimitRequest { scope })).await?;
        }
    }
    Ok(())
}
