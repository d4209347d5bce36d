//! What is wrong with an input is named by file and line with its mend, the rest is done, and the exit code tells.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::mesh::{Mesh, Told, folder};

#[test]
fn each_bad_record_is_named_by_its_line_and_the_others_are_stored() {
    let mut records = Vec::new();
    records.extend_from_slice(b"{\"body\":\"one\"}\n");
    records.extend_from_slice(b"{oops\n");
    records.extend_from_slice(b"{\"body\":\"not \xff text\"}\n");
    records.extend_from_slice(format!("{{\"body\":\"{}\"}}\n", "x".repeat(5 << 20)).as_bytes());
    records.extend_from_slice(b"{\"body\":7}\n");
    records.extend_from_slice(b"{\"body\":\"two\",\"colour\":\"red\"}\n");
    records.extend_from_slice(b"{\"body\":\"three\"}");
    let folder = folder(&[("bad.jsonl", &records), ("bad.csv", b"titel,text2\nOne,a mill\n")]);
    let mesh = Mesh::up(folder.path());

    let told = mesh.call(&["push", "--json", "bad.jsonl"]);
    let said = [
        "bad.jsonl:2:",
        "bad.jsonl:3:",
        "UTF-8",
        "bad.jsonl:4:",
        "--max-record",
        "bad.jsonl:5:",
        "bad.jsonl:6: colour",
    ];
    let counts = told.expect(2, &said).json();
    assert_eq!((&counts["stored"], &counts["refused"]), (&3.into(), &4.into()));
    assert_eq!(mesh.documents(), 3);

    let strict = mesh.call(&["push", "--json", "--strict", "bad.jsonl"]).expect(2, &["bad.jsonl:6: colour"]);
    assert_eq!(strict.json()["refused"], 5);
    mesh.call(&["push", "bad.csv"]).expect(2, &["bad.csv:1:", "`body`"]);
}

#[test]
fn a_quote_left_open_in_a_csv_file_is_named_by_its_line() {
    let folder = folder(&[("open.csv", b"title,body\nOne,a\nTwo,\"unclosed\nThree,b\nFour,c\n")]);
    let mesh = Mesh::up(folder.path());
    let told = mesh.call(&["push", "--json", "open.csv"]).expect(2, &["open.csv:3:2:", "close the quote"]);
    assert_eq!((&told.json()["stored"], &told.json()["refused"]), (&1.into(), &1.into()));
}

#[test]
fn a_document_that_the_mesh_refuses_is_named_by_its_line_too() {
    let long = format!("{{\"body\":\"fits\"}}\n{{\"body\":\"{}\"}}\n", "word ".repeat(300_000));
    let folder = folder(&[("long.jsonl", long.as_bytes())]);
    let mesh = Mesh::up(folder.path());
    let told = mesh.call(&["push", "--json", "long.jsonl"]).expect(2, &["long.jsonl:2: body is"]);
    assert_eq!(told.json()["stored"], 1);
}

#[test]
fn a_file_that_is_no_text_does_not_flood_the_terminal() {
    let folder = folder(&[("noise.jsonl", &b"\xff\xfe\x1b[2J\n".repeat(60).split_off(2))]);
    let mesh = Mesh::up(folder.path());
    let told = mesh.call(&["push", "noise.jsonl"]).expect(2, &["and 10 more; --faults 0"]);
    assert!(told.err.lines().count() == 51 && !told.err.contains('\u{1b}'), "{}", told.err);
    let all = mesh.call(&["push", "--faults", "0", "noise.jsonl"]).expect(2, &[]);
    assert_eq!(all.err.lines().count(), 60);
}

#[test]
fn a_path_that_cannot_be_read_does_not_keep_the_others_out() {
    let folder =
        folder(&[("good.jsonl", b"{\"body\":\"a mill\"}\n"), ("a.md", b"# A"), ("empty/x.log", b"")]);
    let mesh = Mesh::up(folder.path());
    let told = mesh.call(&["push", "none.jsonl", "empty/x.log", "a.md", "empty", "good.jsonl"]);
    let said = ["none.jsonl: does not exist", "empty/x.log: is neither", "empty: holds no"];
    told.expect(2, &said);
    // The good records and the text.
    assert_eq!(mesh.documents(), 2);
}

#[test]
fn a_text_by_itself_is_pushed_and_one_that_is_none_is_named() {
    let folder = folder(&[
        ("README.md", b"# A mill\n\ngrinds"),
        ("bad.txt", b"a\0b"),
        ("page.html", b"<p>a tide</p>"),
    ]);
    let mesh = Mesh::up(folder.path());
    let told = mesh.call(&["push", "README.md", "./page.html"]).expect(0, &[]);
    assert!(told.out.contains("README.md: 1 stored") && told.out.contains("page.html: 1 stored"), "{told:?}");
    assert!(mesh.call(&["push", "."]).out.contains("2 known already"), "the same as within their folder");
    mesh.call(&["push", "bad.txt"]).expect(2, &["bad.txt: is not text: byte 1 is NUL; save it"]);
    mesh.call(&["push", "--max-record", "9", "README.md"])
        .expect(2, &["README.md: is 16 bytes", "raise `--max-record`"]);
}

#[test]
fn standard_input_and_pipes_are_read_as_they_come() {
    let folder = folder(&[("a.csv", b"body\na mill\n")]);
    let mesh = Mesh::up(folder.path());
    let mut push = mesh.command(&["push", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    push.stdin
        .take()
        .unwrap()
        .write_all(b"{\"body\":\"a tide mill\"}\n{\"body\":\"a wind mill\"}\n")
        .unwrap();
    let told = Told::from(push.wait_with_output().unwrap()).expect(0, &[]);
    assert!(told.out.contains("-: 2 stored"), "{told:?}");

    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let push = mesh.command(&["push", "--format", "csv", "pipe"]).stdout(Stdio::piped()).spawn().unwrap();
    fs::copy(folder.path().join("a.csv"), &pipe).unwrap();
    let told = Told::from(push.wait_with_output().unwrap()).expect(0, &[]);
    assert!(told.out.contains("pipe: 1 stored"), "{told:?}");
}

#[test]
fn a_folder_that_is_closed_is_named_and_the_open_ones_are_read() {
    let folder = folder(&[("texts/open.md", b"# A mill"), ("texts/closed/in.md", b"# Unseen")]);
    let closed = folder.path().join("texts/closed");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).unwrap();
    let mesh = Mesh::up(folder.path());
    let mut command = mesh.command(&["push", "--json", "texts"]);
    // Root sees everything: be nobody then.
    if fs::metadata(folder.path()).unwrap().uid() == 0 {
        command.uid(65_534).gid(65_534);
    }
    match command.output() {
        Ok(output) => {
            let told = Told::from(output).expect(2, &["closed", "denied", "check its permissions"]);
            assert_eq!(told.json()["stored"], 1);
        }
        Err(fault) => eprintln!("SKIPPED: the binary cannot be run as nobody: {fault}"),
    }
    fs::set_permissions(&closed, Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_query_that_does_not_parse_is_shown_with_the_place_of_the_fault() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    let add = |name: &str, expression: &str| mesh.call(&["query", "add", name, expression]);
    add("q", "tide AND (").expect(2, &["character 11", "tide AND (\n          ^"]);
    add("q", "\"open").expect(2, &["never closed"]);
    add("No Name", "tide").expect(2, &["name:"]);
    add("q", "tide").expect(0, &[]);
    add("q", "tide").expect(0, &[]);
    add("q", "another").expect(1, &["exists already"]);
    mesh.call(&["query", "add", "r", "tide", "--recipe", "none"]).expect(2, &["`none`", "brief@1"]);
    mesh.call(&["query", "add", "r", "tide", "--parameters", "[1]"])
        .expect(2, &["--parameters", "JSON object"]);
    mesh.call(&["query", "remove", "none"]).expect(1, &["`none`", "tidemill query list"]);
    assert_eq!(mesh.call(&["query", "list", "--json"]).out.lines().count(), 1);
}

#[test]
fn a_source_that_cannot_be_read_says_why_and_ends_with_one() {
    let folder =
        folder(&[("page.xml", b"<html>no feed</html>"), ("notes/a.md", b"# A mill"), ("notes/b.md", b"")]);
    let mesh = Mesh::up(folder.path());
    mesh.call(&["source", "add", "gone", "--folder", "none"]).expect(0, &["is not there now"]);
    mesh.call(&["source", "run", "gone"]).expect(1, &["does not exist"]);
    mesh.call(&["source", "add", "page", "--feed", "page.xml"]).expect(0, &[]);
    mesh.call(&["source", "run", "page"]).expect(1, &["page: the run is dead"]);
    mesh.call(&["source", "add", "notes", "--folder", "notes"]).expect(0, &[]);
    let told = mesh.call(&["source", "run", "notes"]).expect(2, &["b.md"]);
    assert!(told.out.contains("notes: 1 stored") && told.out.contains("1 refused"), "{told:?}");
    mesh.call(&["source", "run", "none"]).expect(1, &["`none`", "tidemill source list"]);
}
