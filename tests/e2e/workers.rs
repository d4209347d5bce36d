//! A worker that is none of ours: written in Python from the contracts alone (`worker.py`), it runs tasks of a kind of its own.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidemill_tests::harness::mesh::{Mesh, Wiring};
use tidemill_tests::harness::poll;
use tidemill_tests::harness::tools::{missing, tool, workspace};
use tidemill_tests::in_both_wirings;

use crate::client;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

in_both_wirings!(
    a_worker_in_python_runs_what_it_is_asked_tries_again_and_drains,
    the_scheduler_says_how_many_workers_there_should_be
);

async fn a_worker_in_python_runs_what_it_is_asked_tries_again_and_drains(
    mesh: Mesh,
    home: &Path,
) -> Result<()> {
    let Some(mut worker) = Worker::start(&mesh, home)? else { return Ok(()) };
    worker.until("welcome").await?;
    let ids = submit(
        &mesh,
        &[json!({"text": "tide"}), json!({"text": "mill", "fail": 1}), json!({"text": "ebb", "seconds": 2})],
    )
    .await?;
    for (id, text, attempt) in [(&ids[0], "edit", 1), (&ids[1], "llim", 2)] {
        let task = until_succeeded(&mesh, id).await?;
        let result: Value = serde_json::from_str(task["result"].as_str().context("no result")?)?;
        ensure!(result["text"] == text && result["attempt"] == attempt, "{task}");
        ensure!(task["worker"] == "python-1", "{task}");
    }
    // It drains: what runs is finished and counts.
    worker.until(&format!("attempt {} 1", ids[2])).await?;
    worker.terminate()?;
    worker.until("draining").await?;
    let status = worker.ended().await?;
    ensure!(status == Some(0), "it ended with {status:?}: {}", worker.said());
    let task = until_succeeded(&mesh, &ids[2]).await?;
    ensure!(task["attempt"] == 1, "{task}");
    Ok(())
}

async fn the_scheduler_says_how_many_workers_there_should_be(mesh: Mesh, _: &Path) -> Result<()> {
    submit(&mesh, &[json!({"text": "nobody runs this"})]).await?;
    let advice = |name: &'static str| {
        let mesh = &mesh;
        move || async move {
            let told = mesh.json(&["scale"]).ok()?.pop()?;
            told["components"].as_array()?.iter().find(|component| component["name"] == name).cloned()
        }
    };
    poll::until("the analysers are there", PATIENCE, || async {
        advice("analysers")().await.filter(|advice| advice["workers"] == 1 && advice["slots"] == 64)
    })
    .await?;
    poll::until("the task without a worker is seen", PATIENCE, || async {
        advice("processors")().await.filter(|advice| advice["waiting"] == "1" && advice["wantedWorkers"] == 1)
    })
    .await?;
    let page = mesh.tidemill(&["scale"])?;
    ensure!(page.contains("processors") && page.contains("what waits"), "{page}");
    let answer = client::http().get(format!("{}/v1/scaling", mesh.url())).send().await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    ensure!(answer["components"].as_array().is_some_and(|components| components.len() == 3), "{answer}");

    // As KEDA asks.
    let Some(grpcurl) = tool("grpcurl")? else { return Ok(()) };
    let of = r#"{"scaledObjectRef": {"scalerMetadata": {"component": "processors"}}}"#;
    let address = mesh.url().replace("http://", "");
    let call = ["-plaintext", "-d", of, &address, "externalscaler.ExternalScaler/GetMetrics"];
    let output = Command::new(grpcurl).args(call).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(told["metricValues"][0]["metricValue"] == "1", "{told}");
    Ok(())
}

async fn submit(mesh: &Mesh, payloads: &[Value]) -> Result<Vec<String>> {
    let task = |payload: &Value| json!({"kind": "reverse", "payload": payload.to_string()});
    let tasks = json!({"tasks": payloads.iter().map(task).collect::<Vec<_>>()});
    let answer = client::http().post(format!("{}/v1/tasks", mesh.url())).json(&tasks).send().await?;
    let answer: Value = answer.error_for_status()?.json().await?;
    let tasks = answer["tasks"].as_array().context("no tasks")?;
    tasks.iter().map(|task| Ok(task["id"].as_str().context("no id")?.to_owned())).collect()
}

async fn until_succeeded(mesh: &Mesh, id: &str) -> Result<Value> {
    poll::until("the task succeeded", PATIENCE, || async {
        let task = mesh.json(&["task", "show", id]).ok()?.pop()?;
        task.to_string().contains("SUCCEEDED").then_some(task)
    })
    .await
}

/// The worker's process; killed when it is dropped.
struct Worker {
    process: Child,
    log: PathBuf,
}

impl Worker {
    /// Starts it. `None` where Python lacks what it needs, which has then been said.
    fn start(mesh: &Mesh, home: &Path) -> Result<Option<Self>> {
        let folder = env::var_os("TIDEMILL_TOOLS").map_or_else(|| workspace().join(".tools"), PathBuf::from);
        let python = folder.join("venv/bin/python");
        let has_grpc = python.is_file()
            && Command::new(&python)
                .args(["-c", "import grpc_tools"])
                .stderr(Stdio::null())
                .status()?
                .success();
        if !has_grpc {
            missing("python-worker")?;
            return Ok(None);
        }
        // A worker may come in by the gateway, as an operator, or go to the scheduler itself.
        let address = match mesh.wiring() {
            Wiring::OneProcess => mesh.url().replace("http://", ""),
            Wiring::ManyProcesses => mesh.process("scheduling")?.address.clone(),
        };
        let log = home.join("python-worker.log");
        let process = Command::new(python)
            .arg(workspace().join("tests/e2e/worker.py"))
            .args([&address, "python-1", "reverse"])
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .spawn()?;
        Ok(Some(Self { process, log }))
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said this.
    async fn until(&self, words: &str) -> Result<()> {
        let said = || async { self.said().lines().any(|line| line.starts_with(words)).then_some(()) };
        poll::until(words, PATIENCE, said).await.with_context(|| self.said())
    }

    fn terminate(&self) -> Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        ensure!(status.success(), "it could not be told to stop");
        Ok(())
    }

    /// Waits for its end; its exit code.
    async fn ended(&mut self) -> Result<Option<i32>> {
        let process = std::sync::Mutex::new(&mut self.process);
        let ended = || async { process.lock().ok()?.try_wait().ok()? };
        Ok(poll::until("the worker ended", PATIENCE, ended).await?.code())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
