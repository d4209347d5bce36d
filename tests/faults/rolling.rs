//! A rolling restart: every process in turn is asked to stop and started again.

use std::time::{Duration, Instant};

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
        let (name, begun) = (mesh.at(index).name, Instant::now());
        mesh.stop_one(index)?;
        let stopped = begun.elapsed();
        mesh.start_again(index)?;
        stage::tell(name, &format!("stopped in {stopped:.2?}, back after {:.2?}", begun.elapsed()));
        load.goes_on().await?;
        // A restart goes on with the next process when the one before is known to be healthy.
        poll::pass(Duration::from_secs(1)).await;
    }
    let seen = load.end(&mesh).await?;
    stage::tell("rolling restart of everything", &seen);
    stage::nothing_failed(&seen)
}
