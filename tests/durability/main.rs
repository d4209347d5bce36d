//! Nothing acknowledged is lost and nothing is done twice when the mesh is killed in the middle of a push: real
//! processes, `kill -9`, a restart on the same folder, the same push again.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tidemill_tests::harness::{poll, tools};

/// A mesh in a process of its own, killed when it goes out of scope.
struct Mesh {
    process: Child,
    url: String,
    home: PathBuf,
}

impl Mesh {
    /// Starts the binary on a data folder and waits until it answers.
    async fn start(home: &Path) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let process = Command::new(binary()?)
            .args(["up", "--listen", &address, "--data"])
            .arg(home.join("data"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let mesh = Self { process, url: format!("http://{address}"), home: home.to_owned() };
        let ready = || async { mesh.tidemill(&["status", "--json"]).ok() };
        poll::until("the mesh answers", Duration::from_secs(30), ready).await?;
        Ok(mesh)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.env("TIDEMILL_SERVER", &self.url).env("XDG_STATE_HOME", self.home.join("state"));
        command.env("HOME", &self.home).args(arguments).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a command against the mesh; its standard output.
    fn tidemill(&self, arguments: &[&str]) -> Result<String> {
        let Output { status, stdout, stderr } = self.command(arguments)?.output()?;
        ensure!(status.success(), "{arguments:?}: {status}: {}", String::from_utf8_lossy(&stderr));
        Ok(String::from_utf8(stdout)?)
    }

    fn counts(&self) -> Result<Counts> {
        let status: Value = serde_json::from_str(&self.tidemill(&["status", "--json"])?)?;
        let of = |name: &str| find(&status, name).with_context(|| format!("no `{name}` in {status}"));
        Ok(Counts { documents: of("documents")?, matches: of("matches")?, analyses: of("analyses")? })
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    documents: u64,
    matches: u64,
    analyses: u64,
}

/// The number under this key, wherever it stands; 64-bit numbers may be text in JSON.
fn find(value: &Value, name: &str) -> Option<u64> {
    match value {
        Value::Object(fields) => {
            fields.get(name).and_then(number).or_else(|| fields.values().find_map(|v| find(v, name)))
        }
        _ => None,
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test stands in no target folder")?;
    let binary = folder.join("tidemill");
    ensure!(binary.exists(), "{} is not there: run tests/run, or cargo build first", binary.display());
    Ok(binary)
}

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

#[tokio::test]
#[ignore = "slow: pushes 14,000 documents through killed processes"]
async fn a_mesh_killed_in_a_push_has_every_document_once_and_every_match_analysed_once() -> Result<()> {
    let home = tempfile::tempdir()?;
    let file = documents(home.path())?;
    let file = file.to_str().context("a path that is no text")?;

    let mesh = Mesh::start(home.path()).await?;
    for query in QUERIES {
        mesh.tidemill(&["query", "add", query.trim_end_matches('*'), query])?;
    }
    let mut push = mesh.command(&["push", file])?.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let begun = || async { mesh.counts().ok().filter(|counts| counts.documents > 1_000) };
    poll::until("the push is under way", Duration::from_secs(60), begun).await?;
    drop(mesh);
    if push.wait()?.success() {
        bail!("the push was over before the mesh was killed");
    }

    let mesh = Mesh::start(home.path()).await?;
    let before = mesh.counts()?;
    ensure!(before.documents > 1_000, "acknowledged documents are gone: {before:?}");
    mesh.tidemill(&["push", file, "--restart"])?;
    let done = || async { mesh.counts().ok().filter(|counts| counts.analyses == counts.matches) };
    let after = poll::until("every match is analysed", Duration::from_secs(120), done).await?;
    ensure!(after.documents == 14_000 && after.matches > before.matches, "{before:?} then {after:?}");

    mesh.tidemill(&["push", file, "--restart"])?;
    let again = poll::until("every match is analysed", Duration::from_secs(120), done).await?;
    ensure!(again == after, "the same push changed something: {after:?} then {again:?}");
    Ok(())
}
