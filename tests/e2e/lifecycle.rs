//! Starting, being killed, stopping.

use std::path::Path;

use anyhow::{Result, ensure};
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::in_both_wirings;

in_both_wirings!(
    a_signal_stops_every_process_cleanly,
    a_part_that_was_killed_is_used_again_and_has_lost_nothing
);

async fn a_signal_stops_every_process_cleanly(mesh: Mesh, _: &Path) -> Result<()> {
    mesh.tidemill(&["query", "add", "tides", "tide"])?;
    let wiring = mesh.wiring();
    let again = Mesh::on(mesh.stop()?, wiring).await?;
    ensure!(again.json(&["query", "list"])?.len() == 1, "the query is gone");
    Ok(())
}

async fn a_part_that_was_killed_is_used_again_and_has_lost_nothing(
    mut mesh: Mesh,
    home: &Path,
) -> Result<()> {
    mesh.tidemill(&["query", "add", "tides", "tide"])?;
    let parts: &[&str] = match mesh.wiring() {
        Wiring::OneProcess => &["up"],
        Wiring::ManyProcesses => &["storage", "scheduling", "ingestion", "analysis", "gateway"],
    };
    for (number, part) in (1..).zip(parts) {
        let path = home.join(format!("{part}.jsonl"));
        std::fs::write(&path, format!("{{\"body\":\"the tide turns before {part} is killed\"}}\n"))?;
        mesh.tidemill(&["push", &path.to_string_lossy()])?;
        mesh.kill_and_restart(part).await?;
        let counts = mesh.until_analysed().await?;
        ensure!(
            (counts.documents, counts.matches) == (number, number),
            "after {part} was killed: {counts:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn without_consul_and_postgresql_a_list_and_a_folder_do() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mesh = Mesh::on(Ground::bare_folder(home.path()), Wiring::ManyProcesses).await?;
    mesh.tidemill(&["query", "add", "tides", "tide"])?;
    let path = home.path().join("one.jsonl");
    std::fs::write(&path, "{\"body\":\"the tide turns\"}\n")?;
    mesh.tidemill(&["push", &path.to_string_lossy()])?;
    let counts = mesh.until_analysed().await?;
    ensure!((counts.documents, counts.matches) == (1, 1), "{counts:?}");
    mesh.stop()?;
    Ok(())
}
