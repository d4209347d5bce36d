//! A push that is cut off says so, keeps what was acknowledged, and goes on.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::mesh::{Mesh, Told, folder};

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
fn a_push_that_is_interrupted_ends_with_130_and_keeps_what_was_acknowledged() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    let push = waiting(&mesh, 300);
    assert!(Command::new("kill").args(["-INT", &push.id().to_string()]).status().unwrap().success());
    let told = Told::from(push.wait_with_output().unwrap());
    told.expect(130, &["what was acknowledged is stored"]);
    assert_eq!(mesh.documents(), 300);
}
