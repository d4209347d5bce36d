//! One process of a mesh: started, told where it serves, paused, killed.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result, ensure};

/// A process that serves; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    /// The part, or `up`.
    pub name: &'static str,
    /// `host:port`, kept when it is started again.
    pub address: String,
    /// Whether its gateway speaks TLS.
    pub is_tls: bool,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Runs the command, which serves `name`, and reads from its standard output where. What it says otherwise is
    /// appended to `log`.
    ///
    /// # Errors
    /// When it ends before it serves; with what it said.
    pub fn spawn(name: &'static str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let mut child = command.stdout(Stdio::piped()).stderr(file).stdin(Stdio::null()).spawn()?;
        let output = child.stdout.take().context("no standard output")?;
        let mut process = Self { name, address: String::new(), is_tls: false, child };
        for line in BufReader::new(output).lines() {
            let line = line?;
            if !line.contains(" serves ") {
                continue;
            }
            let mut words = line.split_whitespace();
            let url = words.find(|word| word.contains("127.0.0.1:"));
            process.is_tls = url.is_some_and(|url| url.starts_with("https"));
            let address = url.map(|url| url.rsplit('/').next().unwrap_or(url));
            process.address = address.with_context(|| format!("no address in `{line}`"))?.to_owned();
            return Ok(process);
        }
        anyhow::bail!("{name} ended before it served:\n{}", std::fs::read_to_string(log).unwrap_or_default())
    }

    /// Sends a signal by its name, for example `TERM`.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, name: &str) -> Result<()> {
        let id = self.child.id().to_string();
        ensure!(Command::new("kill").args([&format!("-{name}"), &id]).status()?.success(), "no process {id}");
        Ok(())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When that cannot be waited for.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
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
