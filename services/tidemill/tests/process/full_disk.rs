//! A disk that is full: refused with where and what to do, what was acknowledged stays, and with more room it goes on.
//!
//! The disk is a small tmpfs inside a mount namespace of its own, where a user may make one; else the test is skipped.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::mesh::{Told, folder, serving, terminate, tidemill};

/// Serves on a full disk until a signal, then again on a larger one.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=6m tmpfs disk || exit 77
"$@" & echo "pid $!"; wait $!; echo "ended $?"
mount -o remount,size=64m disk || exit 77
"$@" & echo "pid $!"; wait $!; echo "ended $?"
"#;

fn namespace(folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    if fs::metadata(folder).unwrap().uid() != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--mount").current_dir(folder);
    command
}

/// Why a disk cannot be made here.
fn refusal(folder: &Path) -> Option<String> {
    let tried = namespace(folder).args(["mount", "-t", "tmpfs", "tmpfs", "disk"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(fault) => Some(fault.to_string()),
    }
}

/// The script's processes; those that are left are killed when dropped.
struct Disk {
    script: Child,
    mesh: u32,
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.script.kill();
        let _ = Command::new("kill").args(["-KILL", &self.mesh.to_string()]).stderr(Stdio::null()).status();
        let _ = self.script.wait();
    }
}

/// The number after this word at the beginning of the next line.
fn number(output: &mut impl BufRead, word: &str) -> u32 {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let number = line.strip_prefix(word).and_then(|rest| rest.trim().parse().ok());
    assert!(number.is_some(), "{word:?} is not at the beginning of {line:?}");
    number.unwrap()
}

#[test]
fn a_full_disk_is_named_and_with_more_room_the_same_push_goes_on() {
    let body = "a tide mill grinds when the water falls ".repeat(100);
    let records: String = (0..2_500).map(|n| format!("{{\"body\":\"{n} {body}\"}}\n")).collect();
    let folder = folder(&[("disk/.keep", b""), ("a.jsonl", records.as_bytes())]);
    let folder = folder.path();
    if let Some(why) = refusal(folder) {
        eprintln!("SKIPPED: no disk of its own: {why}");
        return;
    }
    let mut script = namespace(folder);
    script.args(["sh", "-c", SCRIPT, "sh", env!("CARGO_BIN_EXE_tidemill")]);
    script.args(["up", "--data", "disk/data", "--listen", "127.0.0.1:0"]);
    script.stdout(Stdio::piped()).stderr(fs::File::create(folder.join("log")).unwrap());
    let mut script = script.spawn().unwrap();
    let mut output = BufReader::new(script.stdout.take().unwrap());
    let mut disk = Disk { script, mesh: 0 };

    disk.mesh = number(&mut output, "pid ");
    let url = url(&mut output);
    let call = |url: &str, args: &[&str]| Told::by(tidemill(folder).env("TIDEMILL_SERVER", url).args(args));
    let told = call(&url, &["push", "--json", "a.jsonl"]);
    let counts = told.expect(1, &["full", "free space", "the same command sends the rest"]).json();
    let acknowledged = counts["stored"].as_u64().unwrap();
    assert!(counts["complete"] == false && (1..2_500).contains(&acknowledged), "{counts}");
    call(&url, &["status"]).expect(0, &[]);
    let log = fs::read_to_string(folder.join("log")).unwrap();
    let data = folder.join("disk/data");
    assert!(log.contains(&format!("full in {}", data.display())), "{log}");
    terminate(disk.mesh);
    assert_eq!(number(&mut output, "ended "), 0);

    disk.mesh = number(&mut output, "pid ");
    let url = self::url(&mut output);
    let told = call(&url, &["push", "--json", "a.jsonl"]).expect(0, &["going on at line"]);
    let counts = told.json();
    let both = counts["stored"].as_u64().unwrap() + acknowledged;
    // What was stored in the moment of the fault and not acknowledged any more is known already.
    assert_eq!(both + counts["duplicates"].as_u64().unwrap(), 2_500, "{counts}");
    let status = call(&url, &["status", "--json"]).expect(0, &[]).json();
    assert_eq!(status["counts"]["documents"], "2500");
    terminate(disk.mesh);
    assert_eq!(number(&mut output, "ended "), 0);
}

fn url(output: &mut impl BufRead) -> String {
    let (line, _) = serving(output);
    line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned()
}
