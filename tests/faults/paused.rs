//! Processes that stand still for a while (SIGSTOP): their sockets are open, and nobody answers.

use std::time::Duration;

use anyhow::Result;
use tidemill_tests::harness::poll;

use crate::load::Load;
use crate::stage;

/// How long a process stands still.
const PAUSE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: four processes stand still for ten seconds each"]
async fn every_part_may_stand_still_under_load() -> Result<()> {
    let Some((mesh, _home)) = stage::mesh().await? else { return Ok(()) };
    for part in ["storage", "ingestion", "scheduling", "analysis"] {
        let load = Load::start(&mesh).await?;
        mesh.process(part)?.signal("STOP")?;
        poll::pass(PAUSE).await;
        mesh.process(part)?.signal("CONT")?;
        load.goes_on().await?;
        let seen = load.end(&mesh).await?;
        stage::tell(&format!("{part} stood still for {PAUSE:?}"), &seen);
    }
    Ok(())
}
