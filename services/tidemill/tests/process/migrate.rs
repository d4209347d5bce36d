//! `tidemill migrate` on a data folder: what it says before and after, and how it ends.

use crate::mesh::{Told, tidemill};

#[test]
fn migrations_are_checked_applied_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let run =
        |args: &[&str]| Told::by(tidemill(folder.path()).arg("migrate").args(["--data", "data"]).args(args));
    let outstanding = run(&["--check"]).expect(1, &[]).out;
    assert!(outstanding.contains("outstanding") && outstanding.contains("1 tenants"), "{outstanding}");
    assert!(!folder.path().join("data").exists(), "a check makes nothing");
    let json = run(&["--check", "--json"]).expect(1, &[]).json();
    assert_eq!(json["outstanding"][0]["name"], "tenants");
    let applied = run(&[]).expect(0, &[]).out;
    assert!(applied.contains("applied") && applied.contains("1 tenants"), "{applied}");
    assert!(run(&["--check"]).expect(0, &[]).out.contains("up to date"));
    assert!(run(&[]).expect(0, &[]).out.contains("up to date"));
}
