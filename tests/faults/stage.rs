//! The mesh that something happens to.

use anyhow::{Result, ensure};
use tempfile::TempDir;
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::tools;

/// The parts that run twice.
const TWICE: [&str; 5] = ["storage", "scheduling", "analysis", "ingestion", "gateway"];

/// A mesh on PostgreSQL and Consul, with a standing query that selects every document of the load; `None` when a server
/// is missing, which has then been said.
pub(crate) async fn mesh() -> Result<Option<(Mesh, TempDir)>> {
    let home = tempfile::tempdir()?;
    let ground = Ground::of(Wiring::ManyProcesses, home.path()).await?;
    if ground.agent.is_none() || ground.database.is_none() {
        return Ok(None);
    }
    let mut mesh = Mesh::on(ground, Wiring::ManyProcesses).await?;
    for part in TWICE {
        mesh.add(part)?;
    }
    mesh.tidemill(&["query", "add", "tides", "tide"])?;
    Ok(Some((mesh, home)))
}

/// Says what was seen, where the test runner shows it.
pub(crate) fn tell(what: &str, seen: &impl std::fmt::Display) {
    tools::tell(&format!("{what}: {seen}"));
}

/// Fails if a client had to try again.
pub(crate) fn nothing_failed(seen: &super::load::Seen) -> Result<()> {
    ensure!(seen.failed.is_empty(), "{} requests failed: {:#?}", seen.failed.len(), seen.failed.first());
    Ok(())
}
