//! Tasks of any kind by HTTP and by the command line.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tidemill_tests::harness::mesh::Mesh;
use tidemill_tests::in_both_wirings;

use crate::client;

in_both_wirings!(
    a_task_is_submitted_once_by_its_key_cancelled_and_retried,
    tasks_of_a_file_are_streamed_once_and_steered_together,
);

async fn a_task_is_submitted_once_by_its_key_cancelled_and_retried(mesh: Mesh, _: &Path) -> Result<()> {
    let client = client::http();
    let task = json!({"tasks": [{"kind": "nobody-does-this", "key": "once", "payload": "eyJuIjogMX0="}]});
    for _ in 0..2 {
        let answer = client.post(format!("{}/v1/tasks", mesh.url())).json(&task).send().await?;
        ensure!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await?);
    }
    let tasks = mesh.json(&["task", "list", "--state", "waiting"])?;
    ensure!(tasks.len() == 1, "{tasks:?}");
    let id = tasks[0]["id"].as_str().context("no id")?.to_owned();
    mesh.tidemill(&["task", "cancel", &id])?;
    let shown = mesh.json(&["task", "show", &id])?;
    ensure!(shown[0].to_string().contains("CANCELLED"), "{shown:?}");
    mesh.tidemill(&["task", "retry", &id])?;
    let waiting = mesh.json(&["task", "list", "--state", "waiting"])?;
    ensure!(waiting.len() == 1 && waiting[0]["id"] == id.as_str(), "{waiting:?}");

    let unknown = mesh.command(&["task", "show", "00000000000000000000000000"])?.output()?;
    ensure!(unknown.status.code() == Some(1) || unknown.status.code() == Some(2), "{unknown:?}");
    Ok(())
}

async fn tasks_of_a_file_are_streamed_once_and_steered_together(mesh: Mesh, folder: &Path) -> Result<()> {
    let file = folder.join("tasks.jsonl");
    let mut lines: Vec<String> = (0..300)
        .map(|number| json!({"kind": "nobody-does-this", "payload": {"n": number}}).to_string())
        .collect();
    lines.push(r#"{"kind": "no kind"}"#.to_owned());
    std::fs::write(&file, lines.join("\n"))?;
    let path = file.to_str().context("the path is no text")?;
    for (stored, duplicates) in [(300, 0), (0, 300)] {
        let output = mesh.command(&["task", "submit", "--file", path, "--json"])?.output()?;
        ensure!(output.status.code() == Some(2), "one line is refused: {output:?}");
        ensure!(String::from_utf8_lossy(&output.stderr).contains(":301:"), "{output:?}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        ensure!(
            told["stored"] == stored && told["duplicates"] == duplicates && told["refused"] == 1,
            "{told}"
        );
    }
    let upload = client::http().post(format!("{}/v1/tasks:stream", mesh.url()));
    let upload = upload.header("content-type", "application/x-ndjson");
    let body = r#"{"kind": "nobody-does-this", "key": "by-http"}"#;
    let answer = upload.body(format!("{body}\n{body}\n")).send().await?.text().await?;
    ensure!(answer.contains("acknowledged"), "{answer}");

    let newest = mesh.json(&["task", "list", "--kind", "nobody-does-this", "--limit", "1"])?;
    let id = newest[0]["id"].as_str().context("no id")?.to_owned();
    let moved = mesh.json(&["task", "prioritise", &id, "interactive"])?;
    ensure!(moved[0].to_string().contains("PRIORITY_INTERACTIVE"), "{moved:?}");
    let count = |arguments: &[&str]| -> Result<i64> {
        let told = mesh.json(arguments)?;
        told[0]["count"].as_i64().with_context(|| format!("no count: {told:?}"))
    };
    let kind = ["--kind", "nobody-does-this"];
    let cancel = ["task", "cancel", kind[0], kind[1]];
    ensure!(count(&[&cancel[..], &["--dry-run"]].concat())? == 301, "all of them would be");
    ensure!(count(&cancel)? == 301, "all of them are");
    ensure!(count(&cancel)? == 0, "none is left");
    let retry = ["task", "retry", "--state", "cancelled", "--from", "2020-01-01T00:00:00Z"];
    ensure!(count(&retry)? == 301, "all are put back");
    let waiting = mesh.json(&["task", "list", "--state", "waiting", "--limit", "1000"])?;
    ensure!(waiting.len() == 301, "{}", waiting.len());
    Ok(())
}
