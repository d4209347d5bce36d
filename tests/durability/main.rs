//! Nothing acknowledged is lost and nothing is done twice when the mesh is killed in the middle of a push: real
//! processes, `kill -9`, a restart on the same folder, the same push again.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tidemill_tests::harness::mesh::{Mesh, Wiring};
use tidemill_tests::harness::{poll, tools};
use tidemill_tests::in_both_wirings;

in_both_wirings!(
    #[ignore = "slow: pushes 14,000 documents through killed processes"]
    a_mesh_killed_in_a_push_has_every_document_once_and_every_match_analysed_once
);

/// 14,000 real abstracts where they are at hand, else as many made-up documents.
fn documents(home: &Path) -> Result<PathBuf> {
    if let Some(shared) = tools::shared("data/dbpedia-abstracts.jsonl") {
        return Ok(shared);
    }
    let words = ["album", "river", "village", "school", "singer", "church", "bridge", "museum"];
    let line = |number: usize| {
        let (one, two) = (words[number % 8], words[number / 8 % 8]);
        format!(
            "{{\"id\":\"{number}\",\"title\":\"Number {number}\",\"body\":\"A {one} near the {two} of {number}.\"}}\n"
        )
    };
    let path = home.join("made-up.jsonl");
    std::fs::write(&path, (0..14_000).map(line).collect::<String>())?;
    Ok(path)
}

const QUERIES: [&str; 30] = [
    "album",
    "river",
    "village",
    "school",
    "singer",
    "church",
    "bridge",
    "museum",
    "company",
    "species",
    "film",
    "novel",
    "politician",
    "aircraft",
    "mountain",
    "newspaper",
    "railway",
    "actor",
    "band",
    "moth",
    "plant",
    "beetle",
    "lake",
    "university",
    "ship",
    "hospital",
    "painter",
    "magazine",
    "snail",
    "football*",
];

async fn a_mesh_killed_in_a_push_has_every_document_once_and_every_match_analysed_once(
    mut mesh: Mesh,
    home: &Path,
) -> Result<()> {
    let file = documents(home)?;
    let file = file.to_str().context("a path that is no text")?;
    for query in QUERIES {
        mesh.tidemill(&["query", "add", query.trim_end_matches('*'), query])?;
    }
    // Each kill meets a push of the whole file from its begin: what is stored already is sent again.
    let parts: &[&str] = match mesh.wiring() {
        Wiring::OneProcess => &["up"],
        Wiring::ManyProcesses => &["storage", "ingestion", "scheduling"],
    };
    let mut before = mesh.counts()?;
    for part in parts {
        let mut push = mesh.command(&["push", file, "--restart"])?;
        let mut push = push.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let begun =
            || async { mesh.counts().ok().filter(|counts| counts.documents > before.documents + 1_000) };
        before = poll::until("the push is under way", Duration::from_secs(60), begun).await?;
        ensure!(push.try_wait()?.is_none(), "the push was over before {part} was killed");
        mesh.kill_and_restart(part).await?;
        // It may live on: it does not pass through the scheduler, and calls to a part that is soon back are tried again.
        push.wait()?;
        let after = mesh.counts()?;
        ensure!(
            after.documents >= before.documents,
            "acknowledged documents are gone: {before:?} then {after:?}"
        );
        before = after;
    }
    if mesh.wiring() == Wiring::ManyProcesses {
        mesh.kill_and_restart("analysis").await?;
    }
    mesh.tidemill(&["push", file, "--restart"])?;
    let after = mesh.until_analysed().await?;
    ensure!(after.documents == 14_000 && after.matches > 0, "{after:?}");

    mesh.tidemill(&["push", file, "--restart"])?;
    let again = mesh.until_analysed().await?;
    ensure!(again == after, "the same push changed something: {after:?} then {again:?}");
    Ok(())
}
