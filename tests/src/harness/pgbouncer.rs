//! A real PgBouncer in transaction mode before a PostgreSQL, on a free port of loopback: each transaction of a client may
//! come to another connection of the server.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, process};

use anyhow::{Context, Result};

use super::{poll, postgres::Server, tools};

/// A running pooler; it ends with this.
#[derive(Debug)]
pub struct Pooler {
    child: Child,
    folder: PathBuf,
    port: u16,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Pooler {
    /// A pooler before this server, with so many connections to it for each database; `None` when PgBouncer is missing,
    /// which has then been said.
    ///
    /// # Errors
    /// When it does not start, with what it said.
    pub async fn start(server: &Server, connections: u32) -> Result<Option<Self>> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Some(program) = tools::tool("pgbouncer")? else { return Ok(None) };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("tidemill-pgbouncer-{}-{number}", process::id()));
        fs::create_dir_all(&folder)?;
        let [port] = tools::free_ports()?;
        let (settings, log) = (folder.join("pgbouncer.ini"), folder.join("log"));
        // It does not run as root, and becomes `nobody` by itself.
        let user = if is_root() { "user = nobody\n" } else { "" };
        fs::write(
            &settings,
            format!(
                "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
                 listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n\
                 default_pool_size = {connections}\nmax_client_conn = 500\n{user}",
                server.port()
            ),
        )?;
        let errors = fs::File::create(&log)?;
        let mut command = Command::new(program);
        command.arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let child = command.spawn().context("pgbouncer cannot be run")?;
        let pooler = Self { child, folder, port };
        let answers = || async { TcpStream::connect(("127.0.0.1", port)).ok() };
        let ready = poll::until("pgbouncer answers", Duration::from_secs(20), answers).await;
        ready.with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
        Ok(Some(pooler))
    }

    /// The URL of the server's database, through the pooler.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
