//! A collector that is away: nobody waits for it, nothing fails, and it is told again when it is back.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tidemill_tests::harness::collector;
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::tools;

use crate::stage::{self, Stage};

/// How long a mesh may take to stop that cannot tell its last spans: its last words are bounded by seconds.
const STOP: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_collector_that_dies_is_not_waited_for_and_is_told_again_when_it_is_back() -> Result<()> {
    let Some(mut stage) = Stage::new(Wiring::OneProcess, &[]).await? else { return Ok(()) };
    let first = stage.push(0).await?;
    stage.told("the first trace", |seen| (!seen.trace(&first).is_empty()).then_some(())).await?;
    stage.collector.stop();
    for number in 1..=30 {
        stage.push(number).await?;
    }
    stage.mesh.until_analysed().await?;
    stage.collector.restart().await?;
    // What was to be told in the meantime may be lost; what comes now is not for ever.
    let mut number = 100;
    loop {
        number += 1;
        let trace = stage.push(number).await?;
        let told = stage.told("a later trace", |seen| (!seen.trace(&trace).is_empty()).then_some(()));
        match tokio::time::timeout(Duration::from_secs(2), told).await {
            Ok(told) => return told,
            Err(_) if number < 115 => {}
            Err(late) => return Err(late.into()),
        }
    }
}

#[tokio::test]
async fn a_collector_that_never_was_there_costs_nobody_an_answer() -> Result<()> {
    let home = tempfile::tempdir()?;
    let [nobody] = tools::free_ports()?;
    let environment = collector::environment(&format!("http://127.0.0.1:{nobody}"));
    let mut ground = Ground::bare_folder(home.path());
    ground.environment = environment;
    let mesh = Mesh::on(ground, Wiring::OneProcess).await?;
    let client = stage::client();
    stage::post(&client, &format!("{}/v1/queries", mesh.url()), &json!({"name": "t", "expression": "tide"}))
        .await?;
    for number in 0..30 {
        let document = json!({"title": "t", "body": format!("tide number {number}")});
        stage::post(&client, &format!("{}/v1/documents", mesh.url()), &document).await?;
    }
    mesh.until_analysed().await?;
    tokio::time::timeout(STOP, tokio::task::spawn_blocking(move || mesh.stop())).await??.map(drop)
}
