//! How soon `tidemill up` answers, and what it holds in memory when nobody calls.
//!
//! From the start of the process to its first answer to `/readyz`, which asks every part: on an empty folder (schema made,
//! first tenant added) and on one that is there already. Beside it, in the same run, the same program when it only prints
//! its version: what starting any process of this size costs here.

#[path = "../report.rs"]
mod report;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use report::{Table, ratio};
use tempfile::TempDir;
use tidemill_tests::harness::poll;

/// Longer than any start takes.
const LIMIT: Duration = Duration::from_secs(30);
/// How long nobody calls before memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Some(size) = report::begin("start") else { return Ok(()) };
    build()?;
    let rounds = size.of(3, 20);
    let (mut bare, mut first, mut again) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let home = fresh()?;
        bare.push(version()?);
        first.push(Up::start(home.path())?.1);
        again.push(Up::start(home.path())?.1);
    }
    let mut table = Table::new(["from the start of the process to", "best ms", "median ms", "to bare"]);
    let limit = median(&bare);
    let rows = [
        ("the end of `tidemill --version`", bare),
        ("ready, new folder", first),
        ("ready, old folder", again),
    ];
    for (what, times) in rows {
        let best = times.iter().min().copied().unwrap_or_default();
        let middle = median(&times);
        table.row([
            what.to_owned(),
            millis(best),
            millis(middle),
            ratio(middle.as_secs_f64(), limit.as_secs_f64()),
        ]);
    }
    table.print(&format!("`tidemill up`, {rounds} starts"));
    memory().await
}

/// Prints what an idle process holds.
async fn memory() -> Result<()> {
    let home = fresh()?;
    let (up, _) = Up::start(home.path())?;
    poll::pass(IDLE).await;
    let mut table = Table::new(["resident after 5 idle seconds", "MiB"]);
    for (what, line) in [("all", "Rss:"), ("of it only this process'", "Private_Dirty:")] {
        table.row([what.to_owned(), format!("{:.1}", up.memory(line)? / 1024.0)]);
    }
    table.print("memory");
    Ok(())
}

/// Builds the binary as it is released.
fn build() -> Result<()> {
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

/// An empty folder on the disk where the binary is.
fn fresh() -> Result<TempDir> {
    Ok(tempfile::tempdir_in(binary()?.parent().context("no folder")?)?)
}

fn version() -> Result<Duration> {
    let begun = Instant::now();
    let status = Command::new(binary()?).arg("--version").stdout(Stdio::null()).status()?;
    ensure!(status.success(), "tidemill --version: {status}");
    Ok(begun.elapsed())
}

/// A mesh that serves; killed when it goes out of scope.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Up {
    /// Starts it and asks without a pause until every part is ready; how long that took.
    fn start(home: &Path) -> Result<(Self, Duration)> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(binary()?);
        command.args(["up", "--listen", &address.to_string(), "--data"]).arg(home.join("data"));
        let begun = Instant::now();
        let up = Self(command.stdout(Stdio::null()).spawn()?);
        while !is_ready(address) {
            if begun.elapsed() > LIMIT {
                bail!("it was not ready within {LIMIT:?}");
            }
            std::thread::yield_now();
        }
        Ok((up, begun.elapsed()))
    }

    /// A line of the process' summary of its mappings, in KiB (proc(5), `smaps_rollup`).
    fn memory(&self, name: &str) -> Result<f64> {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.0.id()))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).context("no such line")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }
}

fn is_ready(address: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn millis(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}
