//! A mesh in a process of its own, and the commands that call it, with nothing of the caller's settings.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The binary, in this folder, with nothing of the caller's own settings.
pub(crate) fn tidemill(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIDEMILL_"));
    ours.for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.current_dir(folder).env("HOME", folder).env("XDG_STATE_HOME", folder.join("state"));
    command.stdin(Stdio::null());
    command
}

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Told {
    /// Runs the command to its end.
    pub(crate) fn by(command: &mut Command) -> Self {
        Self::from(command.output().unwrap())
    }

    /// The first line of its output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.out.lines().next().unwrap_or_default()).unwrap()
    }

    /// Fails unless it ended so and said each of these on stderr.
    #[track_caller]
    pub(crate) fn expect(self, code: i32, said: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        for part in said {
            assert!(self.err.contains(part), "{part:?} is not in {self:?}");
        }
        assert!(!self.err.contains("panicked"), "{self:?}");
        self
    }

    /// Fails unless it ended well and printed each of these on stdout.
    #[track_caller]
    pub(crate) fn shows(self, parts: &[&str]) -> Self {
        let told = self.expect(0, &[]);
        for part in parts {
            assert!(told.out.contains(part), "{part:?} is not in {told:?}");
        }
        told
    }
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A mesh that serves; killed when dropped.
pub(crate) struct Mesh {
    pub(crate) process: Child,
    pub(crate) output: BufReader<ChildStdout>,
    pub(crate) url: String,
    /// The key that is shown at the first start.
    pub(crate) first_key: Option<String>,
    folder: PathBuf,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Mesh {
    /// On a free port, its data in `data` below the folder.
    pub(crate) fn up(folder: &Path) -> Self {
        Self::start(folder, tidemill(folder).args(["up", "--data", "data", "--listen", "127.0.0.1:0"]))
    }

    /// As `command` says, which must begin to serve.
    pub(crate) fn start(folder: &Path, command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let (line, first_key) = serving(&mut output);
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { process, output, url, first_key, folder: folder.to_owned() }
    }

    /// A command that calls it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = tidemill(&self.folder);
        command.env("TIDEMILL_SERVER", &self.url).args(args);
        command
    }

    /// Runs a command that calls it.
    pub(crate) fn call(&self, args: &[&str]) -> Told {
        Told::by(&mut self.command(args))
    }

    /// How many documents it has.
    pub(crate) fn documents(&self) -> u64 {
        let status = self.call(&["status", "--json"]).expect(0, &[]).json();
        status["counts"]["documents"].as_str().map_or(0, |count| count.parse().unwrap())
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(mut self) -> Option<i32> {
        terminate(self.process.id());
        self.process.wait().unwrap().code()
    }
}

/// Reads until it serves; that line, and the key that is shown before it.
pub(crate) fn serving(output: &mut impl BufRead) -> (String, Option<String>) {
    let (mut line, mut key) = (String::new(), None);
    loop {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended before it served");
        if line.contains("operator's key") {
            key = line.split_whitespace().last().map(str::to_owned);
        }
        if line.contains(" serves ") {
            return (line, key);
        }
    }
}

/// SIGTERM.
pub(crate) fn terminate(process: u32) {
    assert!(Command::new("kill").args(["-TERM", &process.to_string()]).status().unwrap().success());
}

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap().write_all(bytes).unwrap();
    }
    folder
}
