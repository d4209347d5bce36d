//! A real Consul agent in development mode: a cluster of one that keeps everything in memory, on free ports of loopback,
//! killed when it is dropped.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{poll, tools};

/// How long it may take until it has a leader; 0.1 s is usual.
const START: Duration = Duration::from_secs(20);

/// A running agent, or one that was stopped and can be started again.
#[derive(Debug)]
pub struct Agent {
    binary: PathBuf,
    log: PathBuf,
    extra: Vec<String>,
    /// HTTP, RPC, gossip and, if it was asked for, HTTPS.
    ports: Vec<u16>,
    child: Option<Child>,
}

impl Agent {
    /// Starts an agent that logs to `home`; `None` when Consul is missing, which has then been said.
    ///
    /// # Errors
    /// When it does not get ready, with what it said.
    pub async fn start(home: &Path) -> Result<Option<Self>> {
        Self::launch(home, &[], 3).await
    }

    /// The same with more arguments, for example `["-hcl", "acl { ... }"]`.
    ///
    /// # Errors
    /// As for [`Agent::start`].
    pub async fn start_with(home: &Path, extra: &[&str]) -> Result<Option<Self>> {
        Self::launch(home, extra, 3).await
    }

    /// The same with HTTPS beside HTTP; the arguments name the certificates.
    ///
    /// # Errors
    /// As for [`Agent::start`].
    pub async fn start_tls(home: &Path, extra: &[&str]) -> Result<Option<Self>> {
        Self::launch(home, extra, 4).await
    }

    async fn launch(home: &Path, extra: &[&str], ports: usize) -> Result<Option<Self>> {
        let on_path = std::env::var_os("PATH").and_then(|path| {
            std::env::split_paths(&path).map(|folder| folder.join("consul")).find(|file| file.is_file())
        });
        let found = if on_path.is_some() { on_path } else { tools::tool("consul")? };
        let Some(binary) = found else { return Ok(None) };
        let extra = extra.iter().map(ToString::to_string).collect();
        let ports = free_ports(ports)?;
        let mut agent = Self { binary, log: home.join("consul.log"), extra, ports, child: None };
        agent.restart().await?;
        Ok(Some(agent))
    }

    /// Where its HTTP API is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Where its HTTPS API is, if it has one.
    #[must_use]
    pub fn https_url(&self) -> Option<String> {
        Some(format!("https://127.0.0.1:{}", self.ports.get(3)?))
    }

    /// Kills it: it forgets everything.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it, empty, on the same ports, after stopping it if it runs.
    ///
    /// # Errors
    /// When it does not get ready, with what it said.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop();
        let log = File::create(&self.log)?;
        let mut command = Command::new(&self.binary);
        command.args(["agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-node=test"]);
        command.args(["-log-level=warn", "-dns-port=-1", "-grpc-port=-1", "-serf-wan-port=-1"]);
        let names = ["http", "server", "serf-lan", "https"];
        for (name, port) in names.iter().zip(&self.ports) {
            command.arg(format!("-{name}-port={port}"));
        }
        command.args(&self.extra).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.child = Some(command.spawn().with_context(|| self.binary.display().to_string())?);
        let ready = poll::until("Consul is ready", START, || self.is_ready()).await;
        ensure!(ready.with_context(|| self.said())?, "Consul ended: {}", self.said());
        Ok(())
    }

    /// Whether it is ready; false once it has ended; `None` while that is open.
    async fn is_ready(&self) -> Option<bool> {
        if self.child.is_none() || self.said().contains("Error starting agent") {
            return Some(false);
        }
        let leader = self.get("/v1/status/leader").await?;
        let has_leader = leader.trim_end().ends_with(&format!("127.0.0.1:{}\"", self.ports[1]));
        // Sessions need the node in the catalog, a moment after. Under a policy strangers do not see it.
        let is_under_policy = self.extra.iter().any(|argument| argument.contains("acl"));
        let is_whole = is_under_policy || self.get("/v1/catalog/nodes").await?.contains("\"test\"");
        (has_leader && is_whole).then_some(true)
    }

    /// The answer to a request, with its head.
    async fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports[0])).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ports that were free a moment ago, all different.
fn free_ports(count: usize) -> Result<Vec<u16>> {
    let held: Vec<_> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<Result<_, _>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
