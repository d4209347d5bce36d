//! A mesh of real processes in either wiring: all parts in one, or one process for each part. Everything is killed when
//! the mesh is dropped; what a process said stands in a file of its name in the home folder.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::poll;

/// How the parts are spread over processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// `tidemill up`.
    OneProcess,
    /// `tidemill serve PART` for each part.
    ManyProcesses,
}

/// The parts in an order in which each finds the address of those that it needs.
const PARTS: [&str; 5] = ["storage", "scheduling", "analysis", "ingestion", "gateway"];

/// How long a process may take until it serves.
const START: Duration = Duration::from_secs(30);

/// A mesh under test.
#[derive(Debug)]
pub struct Mesh {
    home: PathBuf,
    wiring: Wiring,
    processes: Vec<Process>,
}

/// One process of the mesh.
#[derive(Debug)]
struct Process {
    /// The part, or `up`.
    name: &'static str,
    /// `host:port`, kept when it is started again.
    address: String,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Mesh {
    /// Starts a mesh with its data below `home`, on free ports, and waits until it answers.
    ///
    /// # Errors
    /// When a process ends or does not serve in time; with what it said.
    pub async fn start(wiring: Wiring, home: &Path) -> Result<Self> {
        let mut mesh = Self { home: home.to_owned(), wiring, processes: Vec::new() };
        let names: &[&'static str] = match wiring {
            Wiring::OneProcess => &["up"],
            Wiring::ManyProcesses => &PARTS,
        };
        for name in names {
            let process = mesh.spawn(name, "127.0.0.1:0")?;
            mesh.processes.push(process);
        }
        mesh.until_ready().await?;
        Ok(mesh)
    }

    /// How it is wired.
    #[must_use]
    pub fn wiring(&self) -> Wiring {
        self.wiring
    }

    /// Where clients call it: `http://host:port`.
    #[must_use]
    pub fn url(&self) -> String {
        let gateway = self.processes.last().map(|process| process.address.as_str());
        format!("http://{}", gateway.unwrap_or_default())
    }

    /// The processes: name and `host:port`.
    pub fn processes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.processes.iter().map(|process| (process.name, process.address.as_str()))
    }

    /// Kills the process that runs this part (SIGKILL) and starts it again on its port and its data.
    ///
    /// # Errors
    /// When there is no such part or it does not come back.
    pub async fn kill_and_restart(&mut self, part: &str) -> Result<()> {
        let index = self.index(part)?;
        let killed = self.processes.remove(index);
        let address = killed.address.clone();
        let name = killed.name;
        drop(killed);
        let process = self.spawn(name, &address)?;
        self.processes.insert(index, process);
        self.until_ready().await
    }

    /// Asks every process to stop (SIGTERM), the last first; fails unless each ends well.
    ///
    /// # Errors
    /// When one did not end with exit code 0.
    pub fn stop(mut self) -> Result<()> {
        while let Some(mut process) = self.processes.pop() {
            let id = process.child.id().to_string();
            ensure!(Command::new("kill").args(["-TERM", &id]).status()?.success(), "no such process: {id}");
            let status = process.child.wait()?;
            ensure!(status.success(), "{} ended with {status}:\n{}", process.name, self.log(process.name));
        }
        Ok(())
    }

    /// The client's command line, for this mesh and with a state folder of its own.
    ///
    /// # Errors
    /// When the binary has not been built.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.bare(arguments)?;
        command.env("TIDEMILL_SERVER", self.url()).stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a client command that must succeed; its standard output.
    ///
    /// # Errors
    /// When it ends with another exit code than 0; with what it said.
    pub fn tidemill(&self, arguments: &[&str]) -> Result<String> {
        let Output { status, stdout, stderr } = self.command(arguments)?.output()?;
        ensure!(status.success(), "{arguments:?}: {status}: {}", String::from_utf8_lossy(&stderr));
        Ok(String::from_utf8(stdout)?)
    }

    /// Runs a client command with `--json`: one JSON value for each line.
    ///
    /// # Errors
    /// When it fails or prints something else than JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let text = self.tidemill(&[arguments, &["--json"]].concat())?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// What the tenant `default` has stored.
    ///
    /// # Errors
    /// When the mesh does not answer.
    pub fn counts(&self) -> Result<Counts> {
        let status = self.json(&["status"])?;
        let counts = status.first().and_then(|status| status["counts"].as_object());
        let counts = counts.with_context(|| format!("no counts in {status:?}"))?;
        // Zeros are left out of protobuf's JSON.
        let of = |name: &str| counts.get(name).and_then(number).unwrap_or_default();
        Ok(Counts { documents: of("documents"), matches: of("matches"), analyses: of("analyses") })
    }

    /// Waits until every match has its analysis.
    ///
    /// # Errors
    /// When that takes longer than two minutes.
    pub async fn until_analysed(&self) -> Result<Counts> {
        let done = || async { self.counts().ok().filter(|counts| counts.analyses == counts.matches) };
        poll::until("every match is analysed", Duration::from_secs(120), done).await
    }

    fn index(&self, part: &str) -> Result<usize> {
        let is_it = |process: &Process| process.name == part || process.name == "up";
        self.processes.iter().position(is_it).with_context(|| format!("no process runs {part}"))
    }

    async fn until_ready(&self) -> Result<()> {
        let ready = || async { self.tidemill(&["status"]).ok() };
        let answer = poll::until("the mesh answers", START, ready).await;
        answer.map(drop).with_context(|| self.processes().map(|(name, _)| self.log(name)).collect::<String>())
    }

    /// Starts a process and reads from its standard output where it serves.
    fn spawn(&self, name: &'static str, listen: &str) -> Result<Process> {
        let peers: Vec<String> =
            self.processes().map(|(name, address)| format!("{name}={address}")).collect();
        let mut command = if name == "up" { self.bare(&["up"])? } else { self.bare(&["serve", name])? };
        command.args(["--listen", listen, "--data"]).arg(self.home.join("data"));
        for peer in peers.iter().filter(|peer| !peer.starts_with(name) && !peer.starts_with("gateway")) {
            command.args(["--peer", peer]);
        }
        let log = File::options().create(true).append(true).open(self.home.join(name))?;
        let mut child = command.stdout(Stdio::piped()).stderr(log).stdin(Stdio::null()).spawn()?;
        let output = child.stdout.take().context("no standard output")?;
        let mut process = Process { name, address: String::new(), child };
        for line in BufReader::new(output).lines() {
            let line = line?;
            if !line.contains(" serves ") {
                continue;
            }
            let mut words = line.split_whitespace().map(|word| word.trim_start_matches("http://"));
            let address = words.find(|word| word.starts_with("127.0.0.1:"));
            process.address = address.with_context(|| format!("no address in `{line}`"))?.to_owned();
            return Ok(process);
        }
        anyhow::bail!("{name} ended before it served:\n{}", self.log(name))
    }

    /// The binary, with nothing of the caller's own settings.
    fn bare(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        for name in ["TIDEMILL_SERVER", "TIDEMILL_KEY", "TIDEMILL_TENANT"] {
            command.env_remove(name);
        }
        command
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("XDG_STATE_HOME", self.home.join("state"));
        command.args(arguments);
        Ok(command)
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.join(name)).unwrap_or_default()
    }
}

/// Numbers of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Documents stored.
    pub documents: u64,
    /// Documents that a query selected.
    pub matches: u64,
    /// Matches with their analysis.
    pub analyses: u64,
}

/// A number of JSON; 64-bit ones are text in protobuf's mapping.
#[must_use]
pub fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// The binary under test, built in the same profile as the test.
///
/// # Errors
/// When it has not been built.
pub fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(Path::parent).context("the test stands in no target folder")?;
    let binary = folder.join("tidemill");
    ensure!(
        binary.exists(),
        "{} is not there: run tests/run, or `cargo build -p tidemill`",
        binary.display()
    );
    Ok(binary)
}

/// Makes two tests of a scenario (`async fn(Mesh) -> Result<()>`), one for each wiring.
#[macro_export]
macro_rules! in_both_wirings {
    ($($(#[$meta:meta])* $scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            use $crate::harness::mesh::{Mesh, Wiring};

            async fn run(wiring: Wiring) -> anyhow::Result<()> {
                let home = tempfile::tempdir()?;
                super::$scenario(Mesh::start(wiring, home.path()).await?, home.path()).await
            }

            #[tokio::test]
            $(#[$meta])*
            async fn in_one_process() -> anyhow::Result<()> {
                run(Wiring::OneProcess).await
            }

            #[tokio::test]
            $(#[$meta])*
            async fn in_many_processes() -> anyhow::Result<()> {
                run(Wiring::ManyProcesses).await
            }
        }
    )+};
}
