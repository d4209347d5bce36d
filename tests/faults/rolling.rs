//! A rolling restart: every process in turn is asked to stop and started again.

use anyhow::Result;
use tidemill_tests::harness::poll;

use crate::load::Load;
use crate::stage;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "slow: restarts nine processes in turn"]
async fn a_rolling_restart_of_everything_fails_no_request() -> Result<()> {
    let Some((mut mesh, _home)) = stage::mesh().await? else { return Ok(()) };
    let load = Load::start(&mesh).await?;
    for index in 0..mesh.processes().count() {
        mesh.stop_one(index)?;
        mesh.start_again(index)?;
        load.goes_on().await?;
        // A restart goes on with the next process when the one before is known to be healthy.
        poll::pass(std::time::Duration::from_secs(1)).await;
    }
    let seen = load.end(&mesh).await?;
    stage::tell("rolling restart of everything", &seen);
    stage::nothing_failed(&seen)
}
