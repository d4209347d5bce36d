//! Help, completion, wrong command lines, output that nobody reads to its end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::mesh::{Mesh, Told, folder, tidemill};

fn run(args: &[&str]) -> Told {
    Told::by(tidemill(Path::new(".")).args(args))
}

#[test]
fn every_command_helps_with_an_example() {
    let page = run(&["--help"]).expect(0, &[]).out;
    assert!(page.contains("Exit codes:") && page.contains("130"), "{page}");
    let commands = ["up", "demo", "push", "results", "status", "health", "completion"].map(|name| vec![name]);
    let deeper = [
        ("query", ["add", "list", "remove"].as_slice()),
        ("source", &["add", "list", "remove", "run"]),
        ("task", &["list", "show", "cancel", "retry"]),
        ("tenant", &["add", "key", "list"]),
        ("recipe", &["list"]),
        ("config", &["check", "dump"]),
    ];
    let deeper = deeper.into_iter().flat_map(|(name, below)| below.iter().map(move |sub| vec![name, sub]));
    for command in commands.into_iter().chain(deeper) {
        let help = run(&[command.as_slice(), &["--help"]].concat()).expect(0, &[]).out;
        assert!(
            help.contains("Example") && help.contains(&format!("tidemill {}", command.join(" "))),
            "{help}"
        );
    }
}

#[test]
fn a_wrong_command_line_ends_with_two_before_anything_is_called() {
    run(&["bogus"]).expect(2, &["bogus"]);
    run(&["query"]).expect(2, &["add", "remove"]);
    run(&["task", "list", "--state", "odd"]).expect(2, &["waiting"]);
    run(&["--server", "ftp://a", "status"]).expect(2, &["http://HOST:PORT"]);
    run(&["--key", "tm_a", "--tenant", "acme", "status"]).expect(2, &["acme", "leave out"]);
}

#[test]
fn every_shell_gets_a_completion() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(run(&["completion", shell]).expect(0, &[]).out.contains("results"), "{shell}");
    }
}

#[test]
fn output_that_nobody_reads_any_more_is_no_failure() {
    let folder = folder(&[("a.jsonl", "{\"body\":\"a mill\"}\n".as_bytes())]);
    let mesh = Mesh::up(folder.path());
    for args in
        [["config", "dump"].as_slice(), &["completion", "zsh"], &["reference", "cli"], &["status", "--json"]]
    {
        let mut command = mesh.command(args);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(BufReader::new(process.stdout.take().unwrap()).lines().next());
        Told::from(process.wait_with_output().unwrap()).expect(0, &[]);
    }
    if Path::new("/dev/full").exists() {
        let full = std::fs::File::create("/dev/full").unwrap();
        let told = Told::by(mesh.command(&["status"]).stdout(full));
        told.expect(1, &["cannot write the output"]);
    }
}

#[test]
fn tasks_are_shown_and_what_cannot_be_done_to_them_says_what_can() {
    let folder = folder(&[("a.jsonl", b"{\"body\":\"a mill\"}\n"), ("p.xml", b"no feed")]);
    let mesh = Mesh::up(folder.path());
    mesh.call(&["source", "add", "s", "--feed", "p.xml"]).expect(0, &[]);
    mesh.call(&["source", "run", "s"]).expect(1, &[]);
    let task = mesh.call(&["task", "list", "--state", "dead", "--json"]).expect(0, &[]).json();
    let id = task["id"].as_str().unwrap();
    assert!(mesh.call(&["task", "show", id]).expect(0, &[]).out.contains("collect"));
    mesh.call(&["task", "cancel", id]).expect(1, &["dead", "tidemill task list"]);
    mesh.call(&["task", "retry", id]).expect(0, &[]);
    mesh.call(&["task", "show", "x"]).expect(2, &["UUID"]);
    mesh.call(&["task", "show", "0198c0de-0000-7000-8000-000000000000"]).expect(1, &["there is no task"]);
}

#[test]
fn a_probe_is_told_what_serves_what_does_not_and_that_nobody_is_there() {
    let home = folder(&[]);
    let mesh = Mesh::up(home.path());
    mesh.call(&["health"]).expect(0, &[]);
    let serving = ["health", "--service", "tidemill.scheduling.v1.SchedulingService"];
    assert_eq!(mesh.call(&serving).expect(0, &[]).out, "SERVING\n");
    let unknown = mesh.call(&["health", "--service", "nobody.v1.Nothing"]).expect(1, &[]);
    assert_eq!(unknown.out, "SERVICE_UNKNOWN\n");
    let url = mesh.url.clone();
    assert_eq!(mesh.stop(), Some(0));
    run(&["health", "--server", &url]).expect(3, &["no mesh answers"]);
}
