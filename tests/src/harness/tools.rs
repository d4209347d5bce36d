//! The outside tools that tests drive (`grpcurl`, `buf`, `rotel`) and the optional data folder: where they are, or a loud skip.
//!
//! `tests/run` installs the tools and names them in `TIDEMILL_<TOOL>`. A test run by other means looks into the tools'
//! folder itself; without the tool it is skipped aloud, and under `CI=true` it fails.

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::bail;

/// The root of the workspace.
#[must_use]
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// Where `tool` is; `None` when it is missing, which has then been said.
///
/// # Errors
/// When it is missing and `CI=true` forbids to skip the test.
pub fn tool(tool: &str) -> anyhow::Result<Option<PathBuf>> {
    let named = env::var_os(format!("TIDEMILL_{}", tool.to_uppercase())).map(PathBuf::from);
    let folder = env::var_os("TIDEMILL_TOOLS").map_or_else(|| workspace().join(".tools"), PathBuf::from);
    let found = named.or_else(|| Some(folder.join("bin").join(tool))).filter(|path| path.is_file());
    if found.is_none() {
        missing(tool)?;
    }
    Ok(found)
}

/// Ports that were free a moment ago, all different.
///
/// # Errors
/// When the system has none.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Says that a test is skipped for want of `tool`.
///
/// # Errors
/// When `CI=true` forbids to skip it.
pub fn missing(tool: &str) -> anyhow::Result<()> {
    if env::var_os("CI").is_some_and(|ci| ci == "true") {
        bail!("{tool} is missing and CI=true allows no skipped test: run `tests/install {tool}`");
    }
    skip(&format!("{tool} is missing: run `tests/install {tool}`"));
    Ok(())
}

/// The file or folder `name` of the shared data, from `TIDEMILL_SHARED` or beside the workspace; `None` when it is absent,
/// which has then been said.
#[must_use]
pub fn shared(name: &str) -> Option<PathBuf> {
    let folder = env::var_os("TIDEMILL_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is not there: set TIDEMILL_SHARED to the folder that has {name}", path.display()));
    None
}

fn skip(why: &str) {
    tell(&format!("SKIPPED: {why}"));
}

/// Says something about a test, such as a figure.
#[expect(clippy::print_stderr, reason = "the test runner shows it with --no-capture")]
pub fn tell(what: &str) {
    eprintln!("{what}");
}
