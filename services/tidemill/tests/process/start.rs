//! What keeps a mesh from starting is named with its mend, and nothing is begun.

use std::fs;
use std::net::TcpListener;

use crate::mesh::{Mesh, Told, folder, tidemill};

#[test]
fn a_port_in_use_is_named_and_no_data_folder_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = folder(&[]);
    let told = Told::by(tidemill(folder.path()).args(["up", "--data", "data", "--listen", &address]));
    told.expect(1, &[&address, "in use", "--listen"]);
    assert!(!folder.path().join("data").exists());
}

#[test]
fn a_data_folder_in_use_is_named_and_its_holder_goes_on() {
    let folder = folder(&[]);
    let mesh = Mesh::up(folder.path());
    let told = Told::by(tidemill(folder.path()).args(["up", "--data", "data", "--listen", "127.0.0.1:0"]));
    told.expect(1, &["data", "in use by another process"]);
    assert_eq!(mesh.documents(), 0);
}

#[test]
fn a_data_folder_that_cannot_be_one_is_named() {
    let folder = folder(&[("file", b"")]);
    let up = |data: &str| {
        Told::by(tidemill(folder.path()).args(["up", "--data", data, "--listen", "127.0.0.1:0"]))
    };
    up("file").expect(1, &["file is not a folder"]);
    up("none/below").expect(1, &["none", "create it, or choose another"]);
}

#[test]
fn a_wrong_configuration_is_named_by_its_key() {
    let folder = folder(&[("tidemill.toml", b"[store]\npaht = \"x\"\n")]);
    Told::by(tidemill(folder.path()).args(["up"])).expect(1, &["paht", "tidemill config dump"]);
    fs::remove_file(folder.path().join("tidemill.toml")).unwrap();
    let mut check = tidemill(folder.path());
    Told::by(check.args(["config", "check"]).env("TIDEMILL_LISTEN", "nowhere"))
        .expect(1, &["LISTEN", "socket address"]);
    Told::by(tidemill(folder.path()).args(["demo", "--dir", "none"])).expect(1, &["none", "check the path"]);
}
