//! A mesh of real processes in either wiring: all parts in one on a folder, or one process for each part on PostgreSQL,
//! found by Consul. Everything is killed when the mesh is dropped; what a process said stands in a file of its name in
//! the home folder.

mod client;
mod ground;
mod process;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use client::{Counts, number};
pub use ground::Ground;
pub use process::{Process, binary};

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
pub const PARTS: [&str; 5] = ["storage", "scheduling", "analysis", "ingestion", "gateway"];

/// How long a process may take until it serves.
const START: Duration = Duration::from_secs(30);

/// A mesh under test.
#[derive(Debug)]
pub struct Mesh {
    wiring: Wiring,
    processes: Vec<Process>,
    /// What it stands on; goes after the processes.
    pub ground: Ground,
}

impl Mesh {
    /// Starts a mesh with its folder at `home`, on free ports, and waits until it answers.
    ///
    /// # Errors
    /// When a process ends or does not serve in time; with what it said.
    pub async fn start(wiring: Wiring, home: &Path) -> Result<Self> {
        Self::on(Ground::of(wiring, home).await?, wiring).await
    }

    /// Starts a mesh on what is there already.
    ///
    /// # Errors
    /// As for [`Mesh::start`].
    pub async fn on(ground: Ground, wiring: Wiring) -> Result<Self> {
        let mut mesh = Self::empty(ground, wiring);
        let names: &[&'static str] = match wiring {
            Wiring::OneProcess => &["up"],
            Wiring::ManyProcesses => &PARTS,
        };
        for name in names {
            mesh.add(name)?;
        }
        mesh.until_ready().await?;
        Ok(mesh)
    }

    /// A mesh without processes yet, for [`Mesh::add`].
    #[must_use]
    pub fn empty(ground: Ground, wiring: Wiring) -> Self {
        Self { wiring, processes: Vec::new(), ground }
    }

    /// How it is wired.
    #[must_use]
    pub fn wiring(&self) -> Wiring {
        self.wiring
    }

    /// Where clients call it: `http://host:port` of its first gateway.
    #[must_use]
    pub fn url(&self) -> String {
        self.urls().into_iter().next().unwrap_or_default()
    }

    /// Where clients call it: all of its gateways.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let gateways = self.processes.iter().filter(|process| matches!(process.name, "gateway" | "up"));
        let scheme = |gateway: &Process| if gateway.is_tls { "https" } else { "http" };
        gateways.map(|gateway| format!("{}://{}", scheme(gateway), gateway.address)).collect()
    }

    /// The processes: name and `host:port`.
    pub fn processes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.processes.iter().map(|process| (process.name, process.address.as_str()))
    }

    /// The first process that runs this part.
    ///
    /// # Errors
    /// When there is none.
    pub fn process(&self, part: &str) -> Result<&Process> {
        Ok(&self.processes[self.index(part)?])
    }

    /// The process at this place, in the order in which they were added.
    #[must_use]
    pub fn at(&self, index: usize) -> &Process {
        &self.processes[index]
    }

    /// Starts one more process of this part, on a free port.
    ///
    /// # Errors
    /// When it ends before it serves; with what it said.
    pub fn add(&mut self, part: &'static str) -> Result<()> {
        self.add_with(part, &[])
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// As for [`Mesh::add`].
    pub fn add_with(&mut self, part: &'static str, arguments: &[&str]) -> Result<()> {
        let process = self.ground.spawn(part, "127.0.0.1:0", &self.processes, arguments)?;
        self.processes.push(process);
        Ok(())
    }

    /// Kills the first process that runs this part (SIGKILL), for [`Mesh::start_again`].
    ///
    /// # Errors
    /// When there is no such part.
    pub fn kill(&mut self, part: &str) -> Result<usize> {
        let index = self.index(part)?;
        self.kill_at(index)?;
        Ok(index)
    }

    /// Kills the process at this place (SIGKILL), for [`Mesh::start_again`].
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn kill_at(&mut self, index: usize) -> Result<()> {
        self.processes[index].signal("KILL")?;
        self.processes[index].wait()?;
        Ok(())
    }

    /// Kills the first process that runs this part (SIGKILL) and starts it again on its port and its data.
    ///
    /// # Errors
    /// When there is no such part or it does not come back.
    pub async fn kill_and_restart(&mut self, part: &str) -> Result<()> {
        let index = self.kill(part)?;
        self.start_again(index)?;
        self.until_ready().await
    }

    /// Asks every process to stop (SIGTERM), the last first; fails unless each ends well. What it stood on stays.
    ///
    /// # Errors
    /// When one did not end with exit code 0.
    pub fn stop(mut self) -> Result<Ground> {
        for index in (0..self.processes.len()).rev() {
            self.stop_one(index)?;
        }
        Ok(self.ground)
    }

    /// Waits until a call passes through every part.
    ///
    /// # Errors
    /// When that takes too long, with what the processes said.
    pub async fn until_ready(&self) -> Result<()> {
        let ready = || async { self.tidemill(&["status"]).ok() };
        let answer = poll::until("the mesh answers", START, ready).await;
        let said = || self.processes().map(|(name, _)| self.ground.log(name)).collect::<String>();
        answer.map(drop).with_context(said)
    }

    /// Stops a process (SIGTERM) and waits for its end.
    ///
    /// # Errors
    /// When it does not end with exit code 0; with what it said.
    pub fn stop_one(&mut self, index: usize) -> Result<()> {
        let process = &mut self.processes[index];
        process.signal("TERM")?;
        let status = process.wait()?;
        ensure!(status.success(), "{} ended with {status}:\n{}", process.name, self.ground.log(process.name));
        Ok(())
    }

    /// Starts a process that has ended again, on its port.
    ///
    /// # Errors
    /// When it ends before it serves; with what it said.
    pub fn start_again(&mut self, index: usize) -> Result<()> {
        let Process { name, ref address, .. } = self.processes[index];
        let address = address.clone();
        drop(self.processes.remove(index));
        let process = self.ground.spawn(name, &address, &self.processes, &[])?;
        self.processes.insert(index, process);
        Ok(())
    }

    /// The place of the first process that runs this part.
    ///
    /// # Errors
    /// When there is none.
    pub fn index(&self, part: &str) -> Result<usize> {
        let is_it = |process: &Process| process.name == part || process.name == "up";
        self.processes.iter().position(is_it).with_context(|| format!("no process runs {part}"))
    }
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
