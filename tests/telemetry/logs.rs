//! Log records reach the collector with their traces, and what sends them does not log itself round in circles.

use anyhow::{Context, Result, ensure};
use tidemill_tests::harness::mesh::Wiring;

use crate::stage::Stage;

/// Crates that a record passes through on its way to the collector.
const WAY: [&str; 5] = ["h2::", "hyper", "tonic::", "opentelemetry", "tower::"];

#[tokio::test]
async fn records_arrive_with_the_trace_of_their_request() -> Result<()> {
    let everything = [("TIDEMILL_LOG", "trace")];
    let Some(stage) = Stage::new(Wiring::OneProcess, &everything).await? else { return Ok(()) };
    // A call that is refused says so at debug level.
    let trace = stage.get("/v1/tasks/00000000000000000000000000").await?;
    let of_trace = |seen: &tidemill_tests::harness::collector::Seen| {
        seen.records.iter().find(|record| record.trace == trace).cloned()
    };
    let record = stage.told("a record of the trace", of_trace).await?;
    ensure!(record.severity == "DEBUG" && record.scope == "tidemill_chassis::layers::trace", "{record:?}");
    let span = |seen: &tidemill_tests::harness::collector::Seen| {
        seen.spans.iter().find(|span| span.id == record.span).cloned()
    };
    let span = stage.told("the record's span", span).await?;
    ensure!(span.trace == trace && span.name.ends_with("/GetTask"), "{span:#?}");

    let records = stage.collector.seen().records;
    let of_way = records.iter().find(|record| WAY.iter().any(|name| record.scope.starts_with(name)));
    ensure!(of_way.is_none(), "{of_way:?} is told of the way itself");
    // Besides the calls of this test only the scheduler's clock says anything.
    ensure!(records.len() < 5_000, "{} records of two calls", records.len());
    let log = std::fs::read_to_string(stage.mesh.ground.home.join("up"))?;
    log.lines().find(|line| line.contains("h2::")).context("the log itself leaves nothing out")?;
    Ok(())
}
