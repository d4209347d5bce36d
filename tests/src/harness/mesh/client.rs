//! What a client does with a mesh: the command line against its gateway, and what it tells of a tenant.

use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Mesh;
use crate::harness::poll;

impl Mesh {
    /// The client's command line, for this mesh and with a state folder of its own.
    ///
    /// # Errors
    /// When the binary has not been built.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = self.ground.bare(arguments)?;
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

    /// Waits until every match has its analysis, for as long as there are more and more of them.
    ///
    /// # Errors
    /// When for a minute none was added.
    pub async fn until_analysed(&self) -> Result<Counts> {
        let mut before = None;
        loop {
            let now = || async { self.counts().ok().filter(|counts| Some(*counts) != before) };
            let counts = poll::until("another match is analysed", Duration::from_secs(60), now).await?;
            if counts.analyses == counts.matches {
                return Ok(counts);
            }
            before = Some(counts);
        }
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
