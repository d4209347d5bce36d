//! Tasks of any kind by HTTP and by the command line.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tidemill_tests::harness::mesh::Mesh;
use tidemill_tests::in_both_wirings;

use crate::client;

in_both_wirings!(a_task_is_submitted_once_by_its_key_cancelled_and_retried);

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
