//! `tidemill doctor` on real servers: what is right, what is wrong, and how it ends.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidemill_tests::harness::consul::Agent;
use tidemill_tests::harness::mesh::binary;
use tidemill_tests::harness::poll;
use tidemill_tests::harness::postgres::Server;

/// What checks found: their names, levels and texts.
type Findings = Vec<(String, String, String)>;

/// What the doctor found, and whether it ended well.
fn doctor(home: &Path, arguments: &[&str]) -> Result<(Findings, bool)> {
    let mut command = Command::new(binary()?);
    command.current_dir(home).env("HOME", home).args(["doctor", "--json", "--listen", "127.0.0.1:0"]);
    let output = command.args(arguments).output()?;
    let text = String::from_utf8(output.stdout)?;
    let finding = |line: &str| -> Result<(String, String, String)> {
        let finding: Value = serde_json::from_str(line)?;
        let field = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        Ok((field("check"), field("level"), format!("{}; {}", field("says"), field("mend"))))
    };
    Ok((text.lines().map(finding).collect::<Result<_>>()?, output.status.success()))
}

fn level(findings: &[(String, String, String)], check: &str) -> Result<String> {
    let found = findings.iter().find(|finding| finding.0 == check);
    Ok(found.with_context(|| format!("no {check} in {findings:?}"))?.1.clone())
}

#[tokio::test]
async fn servers_as_they_should_be_are_right_and_each_fault_is_found() -> Result<()> {
    let home = tempfile::tempdir()?;
    let Some(primary) = Server::start("")? else { return Ok(()) };
    let replica = primary.replica()?;
    let url = primary.database()?;
    let name = url.rsplit('/').next().context("no name")?;
    let has_come = || async { replica.psql_in(name, "SELECT 1").ok() };
    poll::until("the database is on the replica", Duration::from_secs(30), has_come).await?;
    let settings = format!("[postgres]\nurl = \"{url}\"\nreplicas = [\"{}\"]\n", replica.url(name));
    std::fs::write(home.path().join("tidemill.toml"), &settings)?;
    let (findings, well) = doctor(home.path(), &[])?;
    ensure!(well && findings.iter().all(|finding| finding.1 == "ok"), "{findings:?}");
    for check in ["configuration", "postgres", "schema", "connections", "clock", "replica", "port"] {
        level(&findings, check)?;
    }

    replica.pause_replay()?;
    primary.psql_in(name, "CREATE TABLE later (number integer)")?;
    primary.psql(&format!("ALTER DATABASE {name} SET synchronous_commit = off"))?;
    std::fs::write(home.path().join("tidemill.toml"), format!("{settings}migrate = false\n"))?;
    let (findings, well) = doctor(home.path(), &[])?;
    ensure!(!well, "{findings:?}");
    let levels = (level(&findings, "replica")?, level(&findings, "commits")?, level(&findings, "schema")?);
    ensure!(levels == ("warn".to_owned(), "warn".to_owned(), "fail".to_owned()), "{findings:?}");

    primary.stop()?;
    let (findings, well) = doctor(home.path(), &[])?;
    ensure!(!well && level(&findings, "postgres")? == "fail", "{findings:?}");

    std::fs::write(home.path().join("tidemill.toml"), "[postgres]\nulr = \"x\"\n")?;
    let (findings, well) = doctor(home.path(), &[])?;
    ensure!(!well && level(&findings, "configuration")? == "fail", "{findings:?}");
    Ok(())
}

#[tokio::test]
async fn consul_and_a_data_folder_are_looked_at_too() -> Result<()> {
    let home = tempfile::tempdir()?;
    let (findings, well) = doctor(home.path(), &["--data", "data"])?;
    ensure!(well && level(&findings, "data folder")? == "ok", "{findings:?}");
    ensure!(!home.path().join("data").exists(), "looking makes nothing");
    let (findings, well) = doctor(home.path(), &["--data", "a/b/c"])?;
    ensure!(!well && level(&findings, "data folder")? == "fail", "{findings:?}");
    let (findings, well) = doctor(home.path(), &["--data", "data", "--consul", "http://127.0.0.1:1"])?;
    ensure!(!well && level(&findings, "consul")? == "fail", "{findings:?}");
    let Some(agent) = Agent::start(home.path()).await? else { return Ok(()) };
    let (findings, well) = doctor(home.path(), &["--data", "data", "--consul", &agent.url()])?;
    ensure!(well && level(&findings, "consul rights")? == "ok", "{findings:?}");
    Ok(())
}
