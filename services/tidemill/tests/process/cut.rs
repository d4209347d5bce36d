//! A push that is cut off says so, keeps what was acknowledged, and goes on.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::mesh::{Mesh, Told, folder, terminate, tidemill};

/// Documents that fill more than one batch.
fn lines(count: usize) -> String {
    (0..count).map(|number| format!("{{\"body\":\"mill number {number}\"}}\n")).collect()
}

/// A push that was given `count` documents, which the mesh has stored, and that waits for more.
fn waiting(mesh: &Mesh, count: usize) -> Child {
    let mut command = mesh.command(&["push", "--json", "-"]);
    let mut push =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    push.stdin.as_mut().unwrap().write_all(lines(count).as_bytes()).unwrap();
    while mesh.documents() < u64::try_from(count).unwrap() {}
    push
}

#[test]
fn a_mesh_that_dies_in_a_push_keeps_what_it_stored_and_the_push_says_how_to_go_on() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    let push = waiting(&mesh, 600);
    drop(mesh);
    let told = Told::from(push.wait_with_output().unwrap());
    let told = told.expect(3, &["the mesh went away", "tidemill up", "the same command sends the rest"]);
    assert!(!told.err.contains("h2") && told.json()["complete"] == false, "{told:?}");
    assert_eq!(Mesh::up(folder.path()).documents(), 600);
}

#[test]
fn a_mesh_that_is_stopped_in_a_push_ends_at_once_and_the_same_push_completes() {
    let count = 20_000;
    let folder = folder(&[("a.jsonl", lines(count).as_bytes())]);
    let mut up = tidemill(folder.path());
    up.args(["up", "--data", "data", "--listen", "127.0.0.1:0", "--log", "warn"]).stderr(Stdio::piped());
    let mut mesh = Mesh::start(folder.path(), &mut up);
    let mut command = mesh.command(&["push", "--json", "a.jsonl"]);
    let push = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while mesh.documents() == 0 {}
    terminate(mesh.process.id());
    assert_eq!(mesh.process.wait().unwrap().code(), Some(0));
    let mut log = String::new();
    mesh.process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(!log.contains("in time") && !log.contains("closed"), "{log}");
    let told = Told::from(push.wait_with_output().unwrap());
    let before = told.expect(3, &["this mesh is stopping", "the same command sends the rest"]).json();
    drop(mesh);

    let mesh = Mesh::up(folder.path());
    let after = mesh.call(&["push", "--json", "a.jsonl"]).expect(0, &["going on at line"]).json();
    assert_eq!((&before["complete"], &after["complete"]), (&false.into(), &true.into()));
    // What was acknowledged is neither sent again nor lost.
    let stored = |counts: &Value| counts["stored"].as_u64().unwrap();
    assert_eq!(stored(&before) + stored(&after), u64::try_from(count).unwrap(), "{before} {after}");
}

#[test]
fn a_mesh_that_is_stopped_while_a_push_waits_for_its_input_does_not_wait_for_it() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    let push = waiting(&mesh, 300);
    assert_eq!(mesh.stop(), Some(0));
    let told = Told::from(push.wait_with_output().unwrap());
    assert_eq!(told.expect(3, &["this mesh is stopping"]).json()["stored"], 300);
}

#[test]
fn a_push_that_is_interrupted_ends_with_130_and_keeps_what_was_acknowledged() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    let push = waiting(&mesh, 300);
    assert!(Command::new("kill").args(["-INT", &push.id().to_string()]).status().unwrap().success());
    let told = Told::from(push.wait_with_output().unwrap());
    told.expect(130, &["what was acknowledged is stored"]);
    assert_eq!(mesh.documents(), 300);
}
