//! The mesh under test: the release binary in processes of its own, in a fresh folder, watched from outside.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tidemill_proto::scheduling::v1::GetQueueRequest;
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::storage::v1::GetCountsRequest;
use tidemill_proto::storage::v1::result_service_client::ResultServiceClient;
use tidemill_tests::harness::poll;
use tonic::transport::{Channel, Endpoint};

use crate::{folder, report};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(900);

/// Builds the binary as it is released.
pub(crate) fn build() -> Result<()> {
    report::say("building the release binary (cargo build --release -p tidemill)");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "--quiet", "-p", "tidemill"]).status()?;
    ensure!(built.success(), "the binary could not be built: {built}");
    Ok(())
}

/// Cargo puts binaries beside the folder of its benchmarks.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).context("the benchmark stands in no target folder")?;
    Ok(folder.join("tidemill"))
}

/// A mesh that serves; killed when it goes out of scope.
pub(crate) struct Mesh {
    process: Child,
    url: String,
    channel: Channel,
    home: TempDir,
}

/// What a push was like.
pub(crate) struct Pushed {
    pub(crate) documents: usize,
    pub(crate) matches: u64,
    /// From the start of `tidemill push` to its end: every document acknowledged.
    pub(crate) stored: Duration,
    /// Until every match had its analysis.
    pub(crate) analysed: Duration,
    /// Resident memory of the server before, in KiB.
    pub(crate) before: u64,
    /// The same from the first document to the last analysis, every 10 ms.
    pub(crate) resident: Vec<u64>,
    /// The most it ever was, as the system knows it.
    high_water: u64,
}

impl Pushed {
    pub(crate) fn rate(&self) -> f64 {
        crate::rate(self.documents, self.stored)
    }

    pub(crate) fn rate_analysed(&self) -> f64 {
        crate::rate(self.documents, self.analysed)
    }

    /// The highest resident memory, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        self.resident.iter().copied().max().unwrap_or(0).max(self.high_water)
    }
}

impl Mesh {
    /// Starts it on a free port and waits until it answers.
    pub(crate) async fn start() -> Result<Self> {
        let home = folder::fresh()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let (listen, url) = (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"));
        let mut command = Command::new(binary()?);
        command.args(["up", "--listen", &listen, "--data"]).arg(home.path().join("data"));
        let process = command.stdout(Stdio::null()).spawn()?;
        let channel = Endpoint::from_shared(url.clone())?.tcp_nodelay(true).connect_lazy();
        let mesh = Self { process, url, channel, home };
        let ready = || async { mesh.waiting().await.ok() };
        poll::until("the mesh answers", Duration::from_secs(30), ready).await?;
        Ok(mesh)
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.env("TIDEMILL_SERVER", &self.url).env("XDG_STATE_HOME", self.home.path().join("state"));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command)
    }

    /// Runs a command against it.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        let status = self.command(arguments)?.status()?;
        ensure!(status.success(), "tidemill {}: {status}", arguments.join(" "));
        Ok(())
    }

    /// Pushes a file, waits for its analyses.
    pub(crate) async fn push(self, file: &Path, documents: usize) -> Result<Pushed> {
        let before = self.memory("VmRSS:")?;
        let mut resident = Vec::new();
        let begun = Instant::now();
        let mut push = self.command(&["push"])?.arg(file).spawn()?;
        let ended = poll::until("the push ends", LIMIT, || {
            resident.extend(self.memory("VmRSS:"));
            let ended = push.try_wait().transpose();
            async { ended }
        });
        let ended = ended.await??;
        let stored = begun.elapsed();
        ensure!(ended.success(), "tidemill push: {ended}");
        poll::until("every match is analysed", LIMIT, || {
            resident.extend(self.memory("VmRSS:"));
            async { (self.waiting().await.ok()? == 0).then_some(()) }
        })
        .await?;
        let analysed = begun.elapsed();
        let counts = ResultServiceClient::new(self.channel.clone()).get_counts(GetCountsRequest {}).await?;
        let counts = counts.into_inner();
        ensure!(usize::try_from(counts.documents)? == documents, "{} documents are stored", counts.documents);
        ensure!(counts.analyses == counts.matches, "{counts:?}");
        let matches = u64::try_from(counts.matches)?;
        let high_water = self.memory("VmHWM:")?;
        Ok(Pushed { documents, matches, stored, analysed, before, resident, high_water })
    }

    /// How many tasks are not done.
    async fn waiting(&self) -> Result<i64> {
        let queue = SchedulingServiceClient::new(self.channel.clone()).get_queue(GetQueueRequest {}).await?;
        let priorities = queue.into_inner().queue.context("no queue")?.priorities;
        Ok(priorities.iter().map(|row| row.waiting + row.running).sum())
    }

    /// A line of the process' status, in KiB.
    fn memory(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
