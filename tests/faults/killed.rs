//! Processes that are killed.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::load::Load;
use crate::stage;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: kills five processes in turn"]
async fn every_part_may_be_killed_under_load() -> Result<()> {
    let Some((mut mesh, _home)) = stage::mesh().await? else { return Ok(()) };
    for part in ["storage", "ingestion", "gateway", "analysis", "scheduling"] {
        let load = Load::start(&mesh).await?;
        let index = mesh.kill(part)?;
        load.goes_on().await?;
        mesh.start_again(index)?;
        load.goes_on().await?;
        let seen = load.end(&mesh).await?;
        stage::tell(&format!("{part} killed and started again"), &seen);
        mesh.tidemill(&["tenant", "list"])?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: kills both schedulers in turn"]
async fn what_a_killed_scheduler_ran_goes_on_with_the_other() -> Result<()> {
    let Some((mut mesh, home)) = stage::mesh().await? else { return Ok(()) };
    let named = mesh.processes().enumerate().filter(|(_, (name, _))| *name == "scheduling");
    let schedulers: Vec<usize> = named.map(|(index, _)| index).collect();
    // One of the two runs the tenant's shard, so that one of the two rounds is a takeover.
    for (round, index) in schedulers.into_iter().enumerate() {
        mesh.until_analysed().await?;
        mesh.kill_at(index)?;
        let killed = Instant::now();
        let file = home.path().join(format!("{round}.txt"));
        std::fs::write(&file, format!("the tide of round {round}"))?;
        mesh.tidemill(&["push", &file.to_string_lossy()])?;
        let counts = mesh.until_analysed().await?;
        ensure!(counts.analyses == u64::try_from(round)? + 1, "{counts:?}");
        stage::tell(
            "a scheduler killed, a document pushed then and analysed after",
            &format!("{:.2?}", killed.elapsed()),
        );
        mesh.start_again(index)?;
        mesh.until_ready().await?;
    }
    Ok(())
}
