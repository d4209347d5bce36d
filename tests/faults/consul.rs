//! Consul away, and back with nothing in it.

use std::time::Duration;

use anyhow::{Context, Result};
use tidemill_tests::harness::poll;

use crate::load::Load;
use crate::stage;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: an outage of several seconds"]
async fn consul_may_be_away_and_come_back_empty() -> Result<()> {
    let Some((mut mesh, _home)) = stage::mesh().await? else { return Ok(()) };
    let load = Load::start(&mesh).await?;
    mesh.ground.agent.as_mut().context("no agent")?.stop();
    poll::pass(Duration::from_secs(3)).await;
    load.goes_on().await?;
    mesh.ground.agent.as_mut().context("no agent")?.restart().await?;
    poll::pass(Duration::from_secs(5)).await;
    load.goes_on().await?;
    // Who was not known before it is found now, and who goes is left.
    let index = mesh.index("storage")?;
    mesh.add("storage")?;
    mesh.stop_one(index)?;
    load.goes_on().await?;
    let seen = load.end(&mesh).await?;
    stage::tell("Consul stopped, restarted empty", &seen);
    stage::nothing_failed(&seen)
}
