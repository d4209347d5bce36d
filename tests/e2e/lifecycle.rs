//! Starting, being killed, stopping.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::poll;
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

#[tokio::test]
async fn a_gateway_that_stops_alone_does_not_wait_for_a_push_that_waits() -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut mesh = Mesh::start(Wiring::ManyProcesses, home.path()).await?;
    let mut push = mesh.command(&["push", "--json", "-"])?;
    let mut push = push.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut input = push.stdin.take().context("no input")?;
    (0..300).try_for_each(|number| writeln!(input, "{{\"body\":\"mill number {number}\"}}"))?;
    let stored = || async { mesh.counts().ok().filter(|counts| counts.documents == 300) };
    poll::until("the documents are stored", Duration::from_secs(30), stored).await?;
    // A gateway that waited would end the connection without a word when its grace is over.
    mesh.stop_one(mesh.index("gateway")?)?;
    drop(input);
    let told = push.wait_with_output()?;
    let said = String::from_utf8_lossy(&told.stderr);
    ensure!(told.status.code() == Some(3) && said.contains("this gateway is stopping"), "{said}");
    Ok(())
}
