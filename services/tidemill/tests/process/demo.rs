//! The demo as a newcomer has it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::mesh::{Told, folder, tidemill};

#[test]
fn the_demo_shows_matches_says_each_fault_once_and_stops_by_ctrl_c() {
    let folder = folder(&[
        ("a.md", b"# Servers\n\nA fast server keeps its latency low. Run the test suite to check it."),
        ("b.txt", b"How to install the database, and what to do about an error."),
        ("broken.txt", b"not \xff text"),
    ]);
    let mut command = tidemill(folder.path());
    let mut demo = command.args(["demo"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut page: Vec<String> = Vec::new();
    while !page.last().is_some_and(|line| line.contains("curl -H")) {
        page.push(lines.next().expect("it ended before it said how to call it"));
    }
    assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap().success());
    let mut err = String::new();
    demo.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    Told { code: demo.wait().unwrap().code(), out: page.join("\n"), err: err.clone() }
        .expect(2, &["broken.txt"]);

    assert_eq!(err.matches("broken.txt").count(), 1, "{err}");
    let page = page.join("\n");
    for part in ["== harbor", "== lantern", "Servers", "summary:", "queue of harbor", "grpcurl -plaintext"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
}
