//! A real OpenTelemetry collector (rotel) on free ports of loopback, killed when it is dropped. It writes what it is sent
//! to its log, which is read back here.

mod log;

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpStream;

pub use log::{Attributes, Figure, Record, Seen, Span};

use super::{poll, tools};

/// How long it may take until it listens; 0.1 s is usual.
const START: Duration = Duration::from_secs(20);

/// A running collector, or one that was stopped and can be started again.
#[derive(Debug)]
pub struct Collector {
    binary: PathBuf,
    home: PathBuf,
    grpc: u16,
    http: u16,
    /// Whether it writes down what it is sent.
    tells: bool,
    child: Option<Child>,
}

impl Collector {
    /// Starts a collector that logs to `home`; `None` when rotel is missing, which has then been said.
    ///
    /// # Errors
    /// When it does not listen in time, with what it said.
    pub async fn start(home: &Path) -> Result<Option<Self>> {
        Self::launch(home, true).await
    }

    /// The same without writing down what it is sent, which costs time.
    ///
    /// # Errors
    /// As for [`Collector::start`].
    pub async fn start_quiet(home: &Path) -> Result<Option<Self>> {
        Self::launch(home, false).await
    }

    async fn launch(home: &Path, tells: bool) -> Result<Option<Self>> {
        let Some(binary) = tools::tool("rotel")? else { return Ok(None) };
        let [grpc, http] = tools::free_ports()?;
        let mut collector = Self { binary, home: home.to_owned(), grpc, http, tells, child: None };
        collector.restart().await?;
        Ok(Some(collector))
    }

    /// Where it takes OTLP over gRPC: `http://host:port`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The same as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.grpc)
    }

    /// The settings of a process that tells it everything, and soon.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.endpoint())
    }

    /// Kills it (SIGKILL). What it was told before can still be read.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it on the same ports, after stopping it if it runs.
    ///
    /// # Errors
    /// When it does not listen in time, with what it said.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop();
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(&self.binary);
        command.args(["start", "--exporter", "blackhole", "--batch-timeout", "50ms"]);
        if self.tells {
            command.args(["--debug-log", "traces", "--debug-log", "metrics", "--debug-log", "logs"]);
            command.args(["--debug-log-verbosity", "detailed"]);
        }
        command.arg("--otlp-grpc-endpoint").arg(self.address());
        command.arg("--otlp-http-endpoint").arg(format!("127.0.0.1:{}", self.http));
        command.arg("--pid-file").arg(self.home.join("collector.pid"));
        command.arg("--log-file").arg(self.home.join("collector.own"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().with_context(|| self.binary.display().to_string())?);
        let port = self.grpc;
        let listens = || async move { TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok() };
        let listening = poll::until("the collector listens", START, listens).await;
        listening.map(drop).with_context(|| std::fs::read_to_string(self.log()).unwrap_or_default())
    }

    /// What it was told so far.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen::read(&std::fs::read_to_string(self.log()).unwrap_or_default())
    }

    fn log(&self) -> PathBuf {
        self.home.join("collector.log")
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The settings of a process that tells a collector at `endpoint` everything, and soon.
#[must_use]
pub fn environment(endpoint: &str) -> Vec<(String, String)> {
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "100"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}
