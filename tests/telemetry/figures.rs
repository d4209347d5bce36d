//! Figures reach the collector.

use std::collections::BTreeSet;

use anyhow::Result;
use tidemill_tests::harness::mesh::Wiring;

use crate::stage::Stage;

#[tokio::test]
async fn figures_reach_the_collector_from_every_process() -> Result<()> {
    let Some(stage) = Stage::new(Wiring::ManyProcesses, &[]).await? else { return Ok(()) };
    stage.push(1).await?;
    let services = ["gateway", "storage", "scheduling", "ingestion", "analysis"];
    let wanted: BTreeSet<_> = services
        .iter()
        .map(|name| (format!("tidemill-{name}"), "process.memory.usage"))
        .chain([("tidemill-storage".to_owned(), "rpc.server.duration")])
        .collect();
    let told = |service: &str, name: &str, seen: &tidemill_tests::harness::collector::Seen| {
        seen.figures.iter().any(|figure| figure.service == service && figure.name == name)
    };
    let all = |seen: &_| wanted.iter().all(|(service, name)| told(service, name, seen)).then_some(());
    stage.told("figures of every process", all).await
}
