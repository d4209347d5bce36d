//! The page of figures: what the documentation lists stands on it, in a form that Prometheus' own tool finds no fault with.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::tools;

use crate::stage;

/// Figures that this mesh has no occasion for: it has one process without much to do, and no language model.
const ABSENT: [&str; 7] = [
    "rpc_client_duration_seconds",
    "tidemill_client_endpoints",
    "tidemill_client_retries_total",
    "tidemill_client_hedges_total",
    "tidemill_server_shed_total",
    "gen_ai_client_operation_duration_seconds",
    "gen_ai_client_token_usage",
];

/// A mesh that has done a bit of everything, and its page.
async fn worked() -> Result<String> {
    let home = tempfile::tempdir()?;
    let mesh = Mesh::on(Ground::bare_folder(home.path()), Wiring::OneProcess).await?;
    let (client, url) = (stage::client(), mesh.url());
    stage::post(&client, &format!("{url}/v1/queries"), &json!({"name": "t", "expression": "tide"})).await?;
    for number in [0, 1, 1] {
        let document = json!({"title": "t", "body": format!("tide number {number}")});
        stage::post(&client, &format!("{url}/v1/documents"), &document).await?;
    }
    let tasks = json!({"tasks": [{"kind": "nobody-does-this"}]});
    stage::post(&client, &format!("{url}/v1/tasks"), &tasks).await?;
    stage::get(&client, &format!("{url}/no-such-path/{}", "x".repeat(50))).await?;
    mesh.until_analysed().await?;
    // A key that nobody has is looked up.
    let _refused = mesh.command(&["status", "--key", "nobody"])?.output()?;
    let told = || async {
        let page = client.get(format!("{url}/metrics")).send().await.ok()?.text().await.ok()?;
        // The queue is told once a second.
        let waits = "tidemill_queue_tasks{priority=\"normal\",state=\"ready\"} 1";
        page.lines().any(|line| line == waits).then_some(page)
    };
    tidemill_tests::harness::poll::until("the waiting task is told", std::time::Duration::from_secs(30), told)
        .await
}

#[tokio::test]
async fn every_figure_of_the_documentation_is_on_the_page_with_its_labels_and_no_other() -> Result<()> {
    let page = worked().await?;
    let written = std::fs::read_to_string(tools::workspace().join("services/chassis/TELEMETRY.md"))?;
    let (figures, _) = written.split_once("\n## Traces").context("the figures come first")?;
    let mut listed = BTreeSet::new();
    for row in figures.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, name, _, kind, labels, ..] = cells[..] else { anyhow::bail!("{row}") };
        let name = name.trim_matches('`');
        listed.insert(name);
        if ABSENT.contains(&name) {
            continue;
        }
        ensure!(page.contains(&format!("# TYPE {name} {kind}\n")), "{name} is no {kind}:\n{page}");
        let allowed: Vec<&str> = labels.split('`').skip(1).step_by(2).collect();
        for label in labels_of(&page, name) {
            ensure!(allowed.contains(&label), "{name} has a label {label}, which is not listed");
        }
    }
    let told = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let unlisted: Vec<&str> = told.filter(|name| !listed.contains(name)).collect();
    ensure!(unlisted.is_empty(), "{unlisted:?} are not in TELEMETRY.md");
    ensure!(
        !page.contains("xxxxx") && !page.contains("nobody-does-this"),
        "a caller's words are labels:\n{page}"
    );
    Ok(())
}

/// The labels that the samples of a figure have, but for those of its buckets.
fn labels_of<'a>(page: &'a str, name: &str) -> BTreeSet<&'a str> {
    let of_figure = |line: &&str| {
        line.strip_prefix(name).is_some_and(|rest| {
            ["{", "_bucket{", "_sum{", "_count{"].iter().any(|begin| rest.starts_with(begin))
        })
    };
    let labels = page.lines().filter(of_figure).filter_map(|line| line.split_once('{')?.1.rsplit_once('}'));
    let names =
        labels.flat_map(|(labels, _)| labels.split(',')).filter_map(|label| Some(label.split_once('=')?.0));
    names.filter(|name| *name != "le").collect()
}

#[tokio::test]
async fn promtool_finds_no_fault_with_the_page() -> Result<()> {
    let Some(promtool) = tools::tool("promtool")? else { return Ok(()) };
    let page = worked().await?;
    let mut command = Command::new(promtool);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().context("no input")?.write_all(page.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && said.trim().is_empty(), "{said}\n{page}");
    Ok(())
}
