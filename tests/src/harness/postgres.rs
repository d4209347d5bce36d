//! A real PostgreSQL on a free port of loopback, with its data in a temporary folder, for tests that want a database.
//!
//! A server takes half a second to make and a database of it a hundredth of that, so tests that run at the same time
//! share one ([`Server::shared`]); those that stop it or set it up differently have their own ([`Server::start`]).
//! Every process that uses a server holds a lock on a file in its folder, which the system takes back however the
//! process ends. A keeper, a small shell script, waits for that file to be free, then ends the server and removes the
//! folder: nothing stays behind, also when a test is killed.
//!
//! The programs are those of `TIDEMILL_POSTGRES_BIN`, of the newest release in the distribution's folder, or on `PATH`. A
//! server refuses to run as root, so it then runs as `nobody`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

use anyhow::{Context, Result, ensure};

use super::tools;

mod replica;

pub use replica::Halted;

/// `nobody` on every Linux.
const NOBODY: u32 = 65_534;

/// Durability is for tests that kill the server; the others need it fast.
const FAST: &str = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n";

/// Where distributions keep the programs, one folder for each release.
const RELEASES: &str = "/usr/lib/postgresql";

/// A running server.
#[derive(Debug)]
pub struct Server {
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    /// Locked as long as this process uses the server.
    _user: File,
}

/// A session of `psql` that is open.
#[derive(Debug)]
pub struct Session {
    child: Child,
    input: Option<ChildStdin>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // At the end of its input it ends by itself, and the server undoes what was not committed.
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

impl Server {
    /// The server that tests share, started by the first of them; `None` when PostgreSQL is missing, which has then been
    /// said.
    ///
    /// # Errors
    /// When it does not start, with what it said.
    pub fn shared() -> Result<Option<Self>> {
        let Some(programs) = programs()? else { return Ok(None) };
        // The tests of one run; without a runner, those of one process.
        let run = env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| process::id().to_string());
        let folder = env::temp_dir().join(format!("tidemill-postgres-{run}"));
        let lock_path = folder.with_extension("lock");
        let _lock = lock(&lock_path)?;
        if let Ok(port) = fs::read_to_string(folder.join("port")) {
            return Ok(Some(Self::at(programs, folder, port.parse()?)?));
        }
        let server = Self::launch(programs, folder, FAST)?;
        // The test before may just be going, the next one just coming.
        server.keep(&lock_path, 3)?;
        Ok(Some(server))
    }

    /// A server of this test alone, with these lines in its configuration; `None` as for [`Server::shared`].
    ///
    /// # Errors
    /// As for [`Server::shared`].
    pub fn start(settings: &str) -> Result<Option<Self>> {
        let Some(programs) = programs()? else { return Ok(None) };
        let server = Self::launch(programs, folder(), settings)?;
        server.keep(&server.folder.with_extension("lock"), 0)?;
        Ok(Some(server))
    }

    /// Makes an empty database; its URL. It goes once this process has ended and another one wants a database.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self) -> Result<String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        self.drop_left(&name)?;
        self.psql(&format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// Drops the databases whose processes have ended, and one of this name: each has 8 MB, a run has hundreds.
    fn drop_left(&self, name: &str) -> Result<()> {
        let there = self.psql("SELECT datname FROM pg_database WHERE datname ~ '^t[0-9]+_[0-9]+$'")?;
        let left = |database: &&str| {
            let process = database.trim_start_matches('t').split('_').next().unwrap_or_default();
            *database == name || !Path::new("/proc").join(process).exists()
        };
        let mut client = self.client("postgres");
        for database in there.lines().filter(left) {
            client.args(["-c", &format!("DROP DATABASE IF EXISTS {database} WITH (FORCE)")]);
        }
        if client.get_args().any(|argument| argument == "-c") {
            // Another test may be dropping the same ones: what is left is dropped by the next.
            let _ = client.stdin(Stdio::null()).output();
        }
        Ok(())
    }

    /// The URL of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as the server's owner; what they print, bare.
    ///
    /// # Errors
    /// With what the server says.
    pub fn psql(&self, statements: &str) -> Result<String> {
        self.psql_in("postgres", statements)
    }

    /// The same in a database.
    ///
    /// # Errors
    /// With what the server says.
    pub fn psql_in(&self, database: &str, statements: &str) -> Result<String> {
        let output = run(self.client(database).args(["-c", statements]))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Runs statements in a session that stays open, until they have printed `sign`. The session ends, and what it
    /// began is undone, when it is dropped.
    ///
    /// # Errors
    /// When the session ends first.
    pub fn psql_until(&self, database: &str, statements: &str, sign: &str) -> Result<Session> {
        let mut client = self.client(database);
        let mut child =
            client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("psql cannot be run")?;
        let mut session = Session { input: child.stdin.take(), child };
        let input = session.input.as_mut().context("psql takes no input")?;
        writeln!(input, "{statements};")?;
        let output = session.child.stdout.take().context("psql has no output")?;
        let mut lines = BufReader::new(output).lines();
        ensure!(lines.any(|line| line.is_ok_and(|line| line == sign)), "psql ended before it printed {sign}");
        Ok(session)
    }

    fn client(&self, database: &str) -> Command {
        let port = self.port.to_string();
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"]);
        psql.args(["-p", &port, "-d", database]);
        psql
    }

    /// Stops it at once, as a crash would.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn stop(&self) -> Result<()> {
        self.end("immediate")
    }

    /// Stops it in order: sessions are ended, what was committed is written down.
    ///
    /// # Errors
    /// When it does not stop.
    pub fn shut_down(&self) -> Result<()> {
        self.end("fast")
    }

    fn end(&self, mode: &str) -> Result<()> {
        run(self.owned("pg_ctl").args(["stop", "-w", "-m", mode, "-D"]).arg(self.data()))?;
        Ok(())
    }

    /// Starts it again on the same port, with what is on its disk.
    ///
    /// # Errors
    /// When it does not start, with what it said.
    pub fn restart(&self) -> Result<()> {
        let log = self.folder.join("log");
        let mut start = self.owned("pg_ctl");
        start.args(["start", "-w", "-s", "-D"]).arg(self.data()).arg("-l").arg(&log);
        // The server would hold on to what this command is given.
        start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = start.status().context("pg_ctl cannot be run")?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        ensure!(status.success(), "PostgreSQL did not start: {}", said());
        Ok(())
    }

    fn launch(programs: PathBuf, folder: PathBuf, settings: &str) -> Result<Self> {
        Self::make_folder(&folder)?;
        let server = Self::at(programs, folder, free_port()?)?;
        let mut initdb = server.owned("initdb");
        initdb.args([
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
            "--no-instructions",
            "-D",
        ]);
        run(initdb.arg(server.data()))?;
        server.configure(&format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nmax_connections = 300\n\
             shared_buffers = 64MB\nlog_min_messages = warning\n{settings}\n",
            server.port
        ))?;
        server.restart()?;
        fs::write(server.folder.join("port"), server.port.to_string())?;
        Ok(server)
    }

    /// A new folder for a server, of the user that runs it.
    fn make_folder(folder: &Path) -> Result<()> {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => fs::create_dir(folder)?,
        }
        if is_root() {
            chown(folder, Some(NOBODY), Some(NOBODY))?;
        }
        Ok(())
    }

    /// Adds lines to its configuration; a later line wins, from the next start on.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn configure(&self, lines: &str) -> Result<()> {
        let mut file = File::options().append(true).open(self.data().join("postgresql.conf"))?;
        Ok(file.write_all(lines.as_bytes())?)
    }

    fn at(programs: PathBuf, folder: PathBuf, port: u16) -> Result<Self> {
        let user = File::options().write(true).create(true).truncate(false).open(folder.join("users"))?;
        user.lock_shared()?;
        Ok(Self { programs, folder, port, _user: user })
    }

    /// Starts the keeper, which takes `lock` before it looks a last time, so that nobody comes in meanwhile.
    fn keep(&self, lock: &Path, patience: u32) -> Result<()> {
        const KEEPER: &str = r#"
            while flock -x "$1/users" true; do
                sleep "$3"
                exec 9>"$2"
                flock -x 9
                if flock -n -x "$1/users" true; then
                    kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")"
                    while [ -e "$1/data/postmaster.pid" ]; do sleep 0.05; done
                    exec rm -rf "$1" "$2"
                fi
                exec 9>&-
            done"#;
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&self.folder).arg(lock).arg(patience.to_string());
        keeper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        // It outlives this process, and nobody waits for it.
        keeper.spawn().context("the keeper of PostgreSQL cannot be started (sh, flock)")?;
        Ok(())
    }

    /// A program of PostgreSQL as the user that owns the server.
    fn owned(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        // Not where the user may not be.
        command.current_dir(&self.folder);
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

/// The folder of a server of this test alone.
fn folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("tidemill-postgres-{}-{number}", process::id()))
}

/// Locks the file of this name. Who held it may have removed it: then another one counts.
fn lock(path: &Path) -> Result<File> {
    loop {
        let lock = File::create(path)?;
        lock.lock()?;
        if fs::metadata(path).is_ok_and(|there| lock.metadata().is_ok_and(|mine| mine.ino() == there.ino())) {
            return Ok(lock);
        }
    }
}

/// Where the programs are; `None` when they are missing, which has then been said.
fn programs() -> Result<Option<PathBuf>> {
    let named = env::var_os("TIDEMILL_POSTGRES_BIN").map(PathBuf::from);
    let releases = fs::read_dir(RELEASES).into_iter().flatten().flatten();
    let mut releases: Vec<(u32, PathBuf)> = releases
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    releases.sort();
    let path = env::var_os("PATH").unwrap_or_default();
    let newest = releases.into_iter().rev().map(|(_, folder)| folder).chain(env::split_paths(&path));
    let found = named.into_iter().chain(newest).find(|folder| folder.join("initdb").is_file());
    if found.is_none() {
        tools::missing("postgres")?;
    }
    Ok(found)
}

fn run(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} cannot be run"))?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
