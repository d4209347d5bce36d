//! The binary as a user has it: a mesh on a free port, documents pushed into it, results read from it, a clean stop.

#![expect(clippy::unwrap_used, reason = "what the tests share may fail them")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

/// A mesh in a process of its own; killed when dropped.
struct Mesh {
    process: Child,
    output: BufReader<ChildStdout>,
    url: String,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The binary, with nothing of the caller's own settings.
fn tidemill(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    for name in ["TIDEMILL_SERVER", "TIDEMILL_KEY", "TIDEMILL_TENANT"] {
        command.env_remove(name);
    }
    command.current_dir(folder).env("XDG_STATE_HOME", folder.join("state"));
    command
}

impl Mesh {
    fn up(folder: &Path) -> Self {
        let mut command = tidemill(folder);
        command.args(["up", "--data", "data", "--listen", "127.0.0.1:0"]).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("serves ") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "it ended before it served");
        }
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { process, output, url }
    }

    fn call(&self, folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
        let output: Output = tidemill(folder).args(["--server", &self.url]).args(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

#[test]
fn what_is_pushed_is_stored_once_and_what_is_wrong_is_named_by_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(
        folder.join("a.jsonl"),
        "{\"body\":\"a tide mill grinds\"}\n{oops\n{\"body\":\"a wind mill\"}\n",
    )
    .unwrap();
    let mesh = Mesh::up(folder);
    assert_eq!(mesh.call(folder, &["query", "add", "tides", "tide*"]).0, Some(0));
    let (code, _, told) = mesh.call(folder, &["query", "add", "wrong", "tide AND ("]);
    assert!(code == Some(2) && told.contains("expression"), "{code:?} {told}");

    let (code, counts, told) = mesh.call(folder, &["push", "--json", "a.jsonl"]);
    let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
    assert_eq!(
        (code, &counts["stored"], &counts["matches"], &counts["refused"]),
        (Some(2), &2.into(), &1.into(), &1.into())
    );
    assert!(told.contains("a.jsonl:2"), "{told}");

    let (_, counts, _) = mesh.call(folder, &["push", "--json", "a.jsonl"]);
    let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
    assert_eq!(
        (&counts["stored"], &counts["duplicates"], &counts["matches"]),
        (&0.into(), &2.into(), &0.into())
    );

    let (code, results, _) = mesh.call(folder, &["results", "--query", "tides", "--json"]);
    assert_eq!((code, results.lines().count()), (Some(0), 1));
    let (code, _, told) = mesh.call(folder, &["results", "--query", "none"]);
    assert!(code == Some(1) && told.contains("none"), "{code:?} {told}");
}

#[test]
fn a_signal_stops_it_cleanly_and_everything_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("a.csv"), "title,body\nOne,a tide mill\n").unwrap();
    let mut mesh = Mesh::up(folder);
    assert_eq!(mesh.call(folder, &["push", "a.csv"]).0, Some(0));
    let killed = Command::new("kill").args(["-TERM", &mesh.process.id().to_string()]).status().unwrap();
    assert!(killed.success() && mesh.process.wait().unwrap().success());
    let mut rest = String::new();
    assert_eq!(mesh.output.read_line(&mut rest).unwrap(), 0, "{rest}");

    let again = Mesh::up(folder);
    let (_, status, _) = again.call(folder, &["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["counts"]["documents"], "1");
}

#[test]
fn a_mesh_that_is_not_there_is_named_with_the_way_to_start_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = tidemill(folder.path()).args(["--server", "http://127.0.0.1:1", "status"]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && told.contains("tidemill up"), "{told}");
}
