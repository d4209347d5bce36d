//! The network between two services fails: nothing arrives any more, and no connection is closed.

use std::time::Duration;

use anyhow::{Context, Result};
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::poll;
use tidemill_tests::harness::postgres::Server;
use tidemill_tests::harness::proxy::Proxy;

use crate::load::Load;
use crate::stage;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: a partition of ten seconds"]
async fn a_partition_between_ingestion_and_one_storage_heals() -> Result<()> {
    let home = tempfile::tempdir()?;
    let Some(server) = Server::shared()? else { return Ok(()) };
    let url = server.database()?;
    let mut ground = Ground::bare_folder(home.path());
    ground.database = Some((server, url));
    let mut mesh = Mesh::empty(ground, Wiring::ManyProcesses);
    mesh.add("storage")?;
    mesh.add("storage")?;
    for part in ["scheduling", "analysis"] {
        mesh.add(part)?;
    }
    let (_, behind) = mesh.processes().next().context("no storage")?;
    let proxy = Proxy::before(behind).await?;
    let (_, beside) = mesh.processes().nth(1).context("no second storage")?;
    let both = format!("storage={},{beside}", proxy.address());
    mesh.add_with("ingestion", &["--peer", &both])?;
    mesh.add("gateway")?;
    mesh.until_ready().await?;
    mesh.tidemill(&["query", "add", "tides", "tide"])?;

    let load = Load::start(&mesh).await?;
    proxy.cut();
    poll::pass(Duration::from_secs(10)).await;
    load.goes_on().await?;
    proxy.heal();
    load.goes_on().await?;
    let seen = load.end(&mesh).await?;
    stage::tell("a partition of 10 s between ingestion and one of two storages", &seen);
    Ok(())
}
