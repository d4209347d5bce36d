//! Key mode: who has no key gets nothing, a tenant's key reaches that tenant only, operators' things need an operator's.

use std::path::Path;
use std::process::Command;

use crate::mesh::{Mesh, Told, folder, tidemill};

fn up(folder: &Path) -> Mesh {
    let mut command = tidemill(folder);
    command.args(["up", "--data", "data", "--listen", "127.0.0.1:0"]).env("TIDEMILL_GATEWAY__AUTH", "key");
    Mesh::start(folder, &mut command)
}

/// Calls with this key.
fn with(mesh: &Mesh, key: &str, args: &[&str]) -> Told {
    Told::by(Command::env(&mut mesh.command(args), "TIDEMILL_KEY", key))
}

#[test]
fn a_key_opens_its_own_tenant_and_nothing_else() {
    let folder = folder(&[("a.jsonl", b"{\"body\":\"a tide mill\"}\n")]);
    let mesh = up(folder.path());
    let operator = mesh.first_key.clone().unwrap();
    mesh.call(&["status"]).expect(1, &["API key", "TIDEMILL_KEY"]);
    with(&mesh, "tm_wrong", &["status"]).expect(1, &["nobody has this API key"]);

    let made = with(&mesh, &operator, &["tenant", "add", "acme", "--json"]).expect(0, &[]).json();
    let acme = made["key"].as_str().unwrap();
    with(&mesh, &operator, &["query", "add", "tides", "tide*"]).expect(0, &[]);
    with(&mesh, &operator, &["push", "a.jsonl"]).expect(0, &[]);

    let status = with(&mesh, acme, &["status", "--json"]).expect(0, &[]).json();
    assert_eq!(status["counts"]["documents"].as_str().unwrap_or("0"), "0");
    assert_eq!(with(&mesh, acme, &["results", "--json"]).expect(0, &[]).out, "");
    with(&mesh, acme, &["results", "--query", "tides"]).expect(1, &["there is no query"]);
    for denied in [["tenant", "list"].as_slice(), &["tenant", "add", "mine"], &["tenant", "key", "default"]] {
        with(&mesh, acme, denied).expect(1, &["operator's key"]);
    }
    let of_all = ["limit", "set", "--all-tenants", "--kind", "resize", "--concurrency", "4"];
    with(&mesh, acme, &of_all).expect(1, &["operator's key", "all_tenants"]);
    with(&mesh, &operator, &of_all).expect(0, &[]);
    with(&mesh, acme, &["limit", "list"]).shows(&["resize, of all tenants"]);
    with(&mesh, acme, &["--tenant", "default", "status"]).expect(2, &["default", "--key"]);
    with(&mesh, acme, &["push", "a.jsonl"]).expect(0, &[]);
    assert_eq!(with(&mesh, &operator, &["status", "--json"]).json()["counts"]["documents"], "1");
}

#[test]
fn the_first_key_is_shown_once_and_a_lost_one_is_replaced_from_open_mode() {
    let folder = folder(&[]);
    let mesh = up(folder.path());
    with(&mesh, mesh.first_key.as_ref().unwrap(), &["status"]).expect(0, &[]);
    assert_eq!(mesh.stop(), Some(0));
    let mesh = Mesh::up(folder.path());
    assert_eq!(mesh.first_key, None);
    let made = mesh.call(&["tenant", "key", "default", "--operator", "--json"]).expect(0, &[]).json();
    mesh.call(&["tenant", "key", "none"]).expect(1, &["none"]);
    assert_eq!(mesh.stop(), Some(0));
    let mesh = up(folder.path());
    with(&mesh, made["key"].as_str().unwrap(), &["tenant", "list"]).expect(0, &[]);
}

#[test]
fn a_tenant_that_is_not_there_is_named_with_the_way_to_make_it() {
    let folder = folder(&[("a.jsonl", b"{\"body\":\"a tide mill\"}\n")]);
    let mesh = Mesh::up(folder.path());
    let told = mesh
        .call(&["--tenant", "acme", "push", "a.jsonl"])
        .expect(1, &["`acme`", "tidemill tenant add acme"]);
    assert!(!told.err.contains("sends the rest"), "{told:?}");
    mesh.call(&["tenant", "add", "acme"]).expect(0, &["shown only now"]);
    mesh.call(&["--tenant", "acme", "push", "a.jsonl"]).expect(0, &[]);
    assert_eq!(mesh.documents(), 0);
}
