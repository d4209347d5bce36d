//! Tenants do not see each other.

use std::path::Path;

use anyhow::{Result, ensure};
use tidemill_tests::harness::mesh::Mesh;
use tidemill_tests::in_both_wirings;

in_both_wirings!(tenants_share_nothing);

async fn tenants_share_nothing(mesh: Mesh, home: &Path) -> Result<()> {
    for name in ["acme", "globex"] {
        mesh.tidemill(&["tenant", "add", name])?;
        mesh.tidemill(&["--tenant", name, "query", "add", "tides", "tide"])?;
    }
    let path = home.join("one.jsonl");
    std::fs::write(&path, "{\"body\":\"the tide turns\"}\n")?;
    mesh.tidemill(&["--tenant", "acme", "push", &path.to_string_lossy()])?;
    for (name, count) in [("acme", 1), ("globex", 0)] {
        let results = mesh.json(&["--tenant", name, "results"])?;
        ensure!(results.len() == count, "{name} sees {results:?}");
    }
    ensure!(mesh.counts()?.documents == 0, "the default tenant sees another's document");
    let unknown = mesh.command(&["--tenant", "nobody", "query", "add", "tides", "tide"])?.output()?;
    let told = String::from_utf8_lossy(&unknown.stderr);
    ensure!(unknown.status.code() == Some(1) && told.contains("nobody"), "{told}");
    Ok(())
}
