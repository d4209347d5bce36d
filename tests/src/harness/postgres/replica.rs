//! A streaming replica of a server on the same machine: made from a base backup, fed over a replication slot, so that it
//! catches up whatever happened to it meanwhile.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Server, folder, free_port, run};

/// A server whose processes are halted.
#[derive(Debug)]
pub struct Halted {
    processes: Vec<String>,
}

impl Halted {
    /// Whether every process was there to get it.
    fn signal(&self, signal: &str) -> bool {
        let one = |process: &String| run(Command::new("kill").args([signal, process])).is_ok();
        self.processes.iter().filter(|process| !one(process)).count() == 0
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

impl Server {
    /// A streaming replica of this server: a server of its own that answers reads. It is stopped and started again as
    /// any other.
    ///
    /// # Errors
    /// When it does not start, with what it said.
    pub fn replica(&self) -> Result<Self> {
        let folder = folder();
        Self::make_folder(&folder)?;
        let replica = Self::at(self.programs.clone(), folder, free_port()?)?;
        let mut backup = replica.owned("pg_basebackup");
        backup.args([
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-p",
            &self.port.to_string(),
            "-R",
            "-X",
            "stream",
        ]);
        backup.args(["-c", "fast", "-C", "-S", &format!("r{}", replica.port), "-D"]);
        run(backup.arg(replica.data())).context("the base backup")?;
        // It asks for changes at once after it lost its primary, so that tests need not wait.
        replica.configure(&format!("port = {}\nwal_retrieve_retry_interval = '100ms'\n", replica.port))?;
        replica.restart()?;
        replica.keep(&replica.folder.with_extension("lock"), 0)?;
        Ok(replica)
    }

    /// Stops applying what comes from the primary: it falls behind.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn pause_replay(&self) -> Result<()> {
        self.psql("SELECT pg_wal_replay_pause()").map(drop)
    }

    /// Applies commits no earlier than this time after they were made, such as `300ms`.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn delay_replay(&self, time: &str) -> Result<()> {
        self.psql(&format!("ALTER SYSTEM SET recovery_min_apply_delay = '{time}'"))?;
        self.psql("SELECT pg_reload_conf()").map(drop)
    }

    /// Applies again what comes from the primary, and what came meanwhile.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn resume_replay(&self) -> Result<()> {
        self.psql("SELECT pg_wal_replay_resume()").map(drop)
    }

    /// Halts all its processes as they stand, until the answer is dropped: connections stay open, nobody answers.
    ///
    /// # Errors
    /// When they cannot be told to.
    pub fn halt(&self) -> Result<Halted> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        let postmaster = file.lines().next().context("no process")?.to_owned();
        let mut halted = Halted { processes: vec![postmaster.clone()] };
        // From now on it starts no others.
        ensure!(halted.signal("-STOP"), "{postmaster} cannot be halted");
        let list = run(Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster]))?;
        let children = String::from_utf8_lossy(&list.stdout).into_owned();
        halted.processes.extend(children.split_whitespace().map(str::to_owned));
        // One that has ended meanwhile answers nobody either.
        halted.signal("-STOP");
        Ok(halted)
    }

    /// Makes a primary of a replica, and waits until it is one.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn promote(&self) -> Result<()> {
        self.psql("SELECT pg_promote()").map(drop)
    }
}
