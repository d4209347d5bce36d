//! Log lines where no terminal reads them: one JSON object each, with the trace where there is one.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};

use crate::stage::{self, Stage};

#[tokio::test]
async fn lines_are_json_and_tell_their_trace() -> Result<()> {
    let Some(stage) = Stage::new(Wiring::OneProcess, &[("TIDEMILL_LOG", "tidemill=debug")]).await? else {
        return Ok(());
    };
    let trace = stage.get("/v1/tasks/00000000000000000000000000").await?;
    let line = refusal(&stage.mesh.ground.log("up"))?;
    ensure!(line["trace_id"] == trace.as_str(), "{line} is not of {trace}");
    ensure!(line["span_id"].as_str().is_some_and(|span| span.len() == 16), "{line}");
    ensure!(
        line["level"] == "DEBUG" && line["path"].as_str().is_some_and(|path| path.ends_with("/GetTask")),
        "{line}"
    );
    Ok(())
}

#[tokio::test]
async fn without_a_collector_a_refusal_still_tells_the_trace_that_the_caller_was_told() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut ground = Ground::bare_folder(home.path());
    ground.environment = vec![("TIDEMILL_LOG".to_owned(), "tidemill=debug".to_owned())];
    let mesh = Mesh::on(ground, Wiring::OneProcess).await?;
    let trace =
        stage::get(&stage::client(), &format!("{}/v1/tasks/00000000000000000000000000", mesh.url())).await?;
    let line = refusal(&mesh.ground.log("up"))?;
    ensure!(line["trace_id"] == trace.as_str(), "{line} is not of {trace}");
    Ok(())
}

/// The line that says that a task was not found, of a log whose every line must be JSON.
fn refusal(log: &str) -> Result<Value> {
    let lines = log.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned()));
    let lines: Vec<Value> = lines.collect::<Result<_>>()?;
    let is_refusal = |line: &&Value| {
        let path = line["path"].as_str().unwrap_or_default();
        path.ends_with("SchedulingService/GetTask")
    };
    lines.iter().find(is_refusal).cloned().with_context(|| log.to_owned())
}
