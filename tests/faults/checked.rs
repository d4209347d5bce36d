//! Two schedulers and two storages over PostgreSQL, under faults drawn from a seed: schedulers and storages are killed, schedulers
//! stand still for longer than their shard leases, the database crashes, workers' streams are cut, tasks are submitted
//! twice. Clients and workers note what they see, and when all is drained the judge of histories
//! (`tidemill_scheduling::checker`, the simulation's own) finds nothing lost, counted twice, over a cap or out of order.
//!
//! The seed is printed; `TIDEMILL_SEED=n` runs that one. It settles who does what, and which faults come after each other; when
//! they strike is the machine's affair, so a seed is much the same run, not the very same.

mod client;
mod log;
mod reader;
mod tap;
mod verdict;
mod weather;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::discovery::Address;
use tidemill_chassis::remote::{self, RemoteConfig};
use tidemill_chassis::{Context, Wire};
use tidemill_proto::storage::v1::CreateTenantRequest;
use tidemill_proto::storage::v1::tenant_service_client::TenantServiceClient;
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::{poll, postgres::Server, tools};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use client::Client;
use log::Log;
use reader::Reader;
use weather::Weather;
use worker::Crew;

/// How long faults strike.
const STORMY: Duration = Duration::from_secs(30);
/// Whose tasks there are.
const TENANTS: [&str; 6] = ["t0", "t1", "t2", "t3", "t4", "t5"];
const CLIENTS: u64 = 8;
/// How many tasks of one tenant run at once.
const CAP: u32 = 4;
/// How long a part that was just started may take to answer.
const START: Duration = Duration::from_secs(30);
/// How many of the last lines of the schedulers are shown when something was wrong.
const LINES: usize = 60;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: half a minute of faults, then all is drained"]
async fn under_random_faults_nothing_is_lost_counted_twice_over_its_cap_or_out_of_order() -> Result<()> {
    let asked = std::env::var("TIDEMILL_SEED").ok().map(|seed| seed.parse()).transpose()?;
    let seed = asked.unwrap_or_else(|| u64::from(seeded_rng().random::<u32>()));
    tools::tell(&format!("TIDEMILL_SEED={seed}"));
    let home = tempfile::tempdir()?;
    // With the flushes to the disk that its defaults ask for: it will crash.
    let Some(server) = Server::start("")? else { return Ok(()) };
    let mut ground = Ground::with_servers(home.path(), Some(server)).await?;
    if ground.agent.is_none() {
        return Ok(());
    }
    let mut rng = StdRng::seed_from_u64(seed);
    let window = [5, 50, 4_096][rng.random_range(0..3)];
    for (name, value) in [("TENANT_CONCURRENCY", CAP), ("WINDOW", window)] {
        ground.environment.push((format!("TIDEMILL_SCHEDULING__{name}"), value.to_string()));
    }
    run(Mesh::empty(ground, Wiring::ManyProcesses), seed, rng).await.with_context(|| format!("seed {seed}"))
}

async fn run(mut mesh: Mesh, seed: u64, rng: StdRng) -> Result<()> {
    for part in ["storage", "storage", "scheduling", "scheduling"] {
        mesh.add(part)?;
    }
    let addresses: Vec<Address> =
        mesh.processes().map(|(_, address)| Ok(address.parse()?)).collect::<Result<_>>()?;
    make_tenants(wire("storage", &addresses[0])?).await?;

    let (log, stop) = (Arc::new(Log::begin()), CancellationToken::new());
    let crew = Crew::start(&addresses[2..], &log, seed, stop.child_token())?;
    let mut clients = JoinSet::new();
    let quiet = stop.child_token();
    for number in 0..CLIENTS {
        let client = Client::new(number, seed, &addresses[2..], Arc::clone(&log))?;
        clients.spawn(client.work(quiet.clone()));
    }
    let mut weather = Weather::new(rng, &log);
    weather.strike_for(STORMY, &mut mesh, &crew).await?;
    quiet.cancel();
    while let Some(client) = clients.join_next().await {
        client??;
    }
    let drained = Reader::new(&addresses[2..])?.until_drained(&log).await;
    stop.cancel();
    crew.ended().await;
    let judged = verdict::judge(&log.history(), &weather.told()).and(drained);
    let lines = mesh.ground.log("scheduling");
    let last: Vec<&str> = lines.lines().skip(lines.lines().count().saturating_sub(LINES)).collect();
    judged.with_context(|| format!("the schedulers said last:\n{}", last.join("\n")))
}

/// Makes the tenants, as soon as the storage serves.
async fn make_tenants(storage: Wire) -> Result<()> {
    let client = TenantServiceClient::new(storage);
    let context = Context { operator: true, ..Context::default() };
    for name in TENANTS {
        let make = || async {
            let request =
                context.request(CreateTenantRequest { name: name.to_owned(), ..Default::default() });
            client.clone().create_tenant(request).await.ok()
        };
        poll::until("a tenant is made", START, make).await?;
    }
    Ok(())
}

/// The wire to one process.
fn wire(part: &'static str, address: &Address) -> Result<Wire> {
    Ok(remote::wire(part, std::slice::from_ref(address), RemoteConfig::default())?)
}
