//! What a mesh stands on: its folder, its database, and the servers by which its processes find each other.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Process, Wiring, process};
use crate::harness::consul::Agent;
use crate::harness::postgres::Server;

/// The folder and the servers of a mesh. They outlive its processes.
#[derive(Debug)]
pub struct Ground {
    /// The folder of data, state and logs.
    pub home: PathBuf,
    /// The agent by which processes find each other; without one each is told the addresses of those before it.
    pub agent: Option<Agent>,
    /// The server and the database's URL; without them the data is in the folder.
    pub database: Option<(Server, String)>,
    /// Variables that every process is given.
    pub environment: Vec<(String, String)>,
}

impl Ground {
    /// What a mesh of this wiring stands on: a folder for one process; PostgreSQL and Consul for many, or a folder and
    /// lists of addresses where those servers are missing, which has then been said.
    ///
    /// # Errors
    /// When a server does not start.
    pub async fn of(wiring: Wiring, home: &Path) -> Result<Self> {
        match wiring {
            Wiring::OneProcess => Ok(Self::bare_folder(home)),
            Wiring::ManyProcesses => Self::with_servers(home, Server::shared()?).await,
        }
    }

    /// A folder, and nothing else.
    #[must_use]
    pub fn bare_folder(home: &Path) -> Self {
        Self { home: home.to_owned(), agent: None, database: None, environment: Vec::new() }
    }

    /// Consul, and an empty database on this server.
    ///
    /// # Errors
    /// When Consul does not start or the server refuses.
    pub async fn with_servers(home: &Path, server: Option<Server>) -> Result<Self> {
        let agent = Agent::start(home).await?;
        let database = server.map(|server| server.database().map(|url| (server, url))).transpose()?;
        Ok(Self { home: home.to_owned(), agent, database, environment: Vec::new() })
    }

    /// Starts a process of a part (or `up`) that listens there.
    pub(super) fn spawn(
        &self,
        name: &'static str,
        listen: &str,
        others: &[Process],
        arguments: &[&str],
    ) -> Result<Process> {
        let mut command = if name == "up" { self.bare(&["up"])? } else { self.bare(&["serve", name])? };
        command.args(["--listen", listen]);
        match &self.database {
            Some((_, url)) => command.args(["--postgres", url]),
            None => command.arg("--data").arg(self.home.join("data")),
        };
        match &self.agent {
            Some(agent) => {
                command.args(["--consul", &agent.url()]);
            }
            None => {
                for other in others.iter().filter(|other| other.name != name && other.name != "gateway") {
                    command.args(["--peer", &format!("{}={}", other.name, other.address)]);
                }
            }
        }
        command.args(arguments);
        Process::spawn(name, &mut command, &self.home.join(name))
    }

    /// The binary, with nothing of the caller's own settings.
    pub(super) fn bare(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(process::binary()?);
        for name in ["TIDEMILL_SERVER", "TIDEMILL_KEY", "TIDEMILL_TENANT"] {
            command.env_remove(name);
        }
        command
            .current_dir(&self.home)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("HOME", &self.home)
            .env("XDG_STATE_HOME", self.home.join("state"));
        command.args(arguments);
        Ok(command)
    }

    /// What the processes of this name have said.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.home.join(name)).unwrap_or_default()
    }
}
