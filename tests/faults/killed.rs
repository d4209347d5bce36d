//! Processes that are killed.

use anyhow::Result;

use crate::load::Load;
use crate::stage;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: kills nine processes in turn"]
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
