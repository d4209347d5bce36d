//! A mesh on a free port, documents pushed into it, results read from it, a clean stop.

use std::io::BufRead;

use crate::mesh::{Mesh, Told, folder, terminate, tidemill};

#[test]
fn what_is_pushed_is_stored_once_and_what_matches_is_found() {
    let folder = folder(&[("a.jsonl", b"{\"body\":\"a tide mill grinds\"}\n{\"body\":\"a wind mill\"}\n")]);
    let mesh = Mesh::up(folder.path());
    mesh.call(&["query", "add", "tides", "tide*"]).expect(0, &[]);

    let counts = mesh.call(&["push", "--json", "a.jsonl"]).expect(0, &[]).json();
    assert_eq!((&counts["stored"], &counts["matches"]), (&2.into(), &1.into()));
    assert_eq!((&counts["refused"], &counts["complete"]), (&0.into(), &true.into()));
    let counts = mesh.call(&["push", "--json", "a.jsonl"]).expect(0, &[]).json();
    assert_eq!((&counts["stored"], &counts["duplicates"]), (&0.into(), &2.into()));
    assert_eq!(counts["matches"], 0);

    let results = mesh.call(&["results", "--query", "tides", "--json"]).expect(0, &[]);
    assert_eq!(results.out.lines().count(), 1);
    mesh.call(&["results", "--query", "none"]).expect(1, &["`none`", "tidemill query list"]);
}

#[test]
fn a_signal_stops_it_cleanly_and_everything_is_there_again() {
    let folder = folder(&[("a.csv", b"title,body\nOne,a tide mill\n")]);
    let mut mesh = Mesh::up(folder.path());
    mesh.call(&["push", "a.csv"]).expect(0, &[]);
    terminate(mesh.process.id());
    assert!(mesh.process.wait().unwrap().success());
    let mut rest = String::new();
    assert_eq!(mesh.output.read_line(&mut rest).unwrap(), 0, "{rest}");
    assert_eq!(Mesh::up(folder.path()).documents(), 1);
}

#[test]
fn a_mesh_that_is_not_there_is_named_with_the_way_to_start_one() {
    let folder = folder(&[]);
    let mut command = tidemill(folder.path());
    let told = Told::by(command.args(["--server", "http://127.0.0.1:1", "status"]));
    told.expect(3, &["127.0.0.1:1", "refused", "tidemill up"]);
}
