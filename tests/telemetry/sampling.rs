//! Which traces are kept: a share, what a caller keeps, and besides them what failed.

use anyhow::{Result, ensure};
use serde_json::json;
use tidemill_tests::harness::mesh::Wiring;

use crate::stage::Stage;

#[tokio::test]
async fn of_traces_that_are_not_sampled_only_what_failed_is_kept() -> Result<()> {
    let none = [("TIDEMILL_TELEMETRY__SAMPLE_RATIO", "0")];
    let Some(stage) = Stage::new(Wiring::OneProcess, &none).await? else { return Ok(()) };
    let good = stage.push(1).await?;
    // A task that nobody can run well: its payload is none of an analysis.
    let task = json!({"tasks": [{"kind": "analyze", "payload": "x", "maxAttempts": 1}]});
    let bad = stage.post("/v1/tasks", &task).await?;
    let failed = |seen: &tidemill_tests::harness::collector::Seen| {
        seen.spans.iter().find(|span| span.trace == bad).cloned()
    };
    let span = stage.told("the failed attempt", failed).await?;
    ensure!(span.name == "process analyze" && span.status == "ERROR", "{span:#?}");
    let seen = stage.collector.seen();
    ensure!(seen.trace(&good).is_empty(), "{:#?}", seen.trace(&good));
    ensure!(seen.spans.iter().all(|span| span.status == "ERROR"), "{:#?}", seen.spans);
    Ok(())
}

#[tokio::test]
async fn slow_spans_are_kept_if_that_is_wished() -> Result<()> {
    let slow = [("TIDEMILL_TELEMETRY__SAMPLE_RATIO", "0"), ("TIDEMILL_TELEMETRY__KEEP_SLOWER_THAN_MS", "0")];
    let Some(stage) = Stage::new(Wiring::OneProcess, &slow).await? else { return Ok(()) };
    let trace = stage.push(1).await?;
    let root = |seen: &tidemill_tests::harness::collector::Seen| {
        seen.spans.iter().any(|span| span.trace == trace && span.name == "POST /v1/documents").then_some(())
    };
    stage.told("a span that took longer than nothing", root).await
}
