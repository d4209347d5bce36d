//! Rule: the top level holds only what ARCHITECTURE.md lists, so that a newcomer sees the house at one glance.

use std::collections::BTreeSet;

use crate::violation::Violation;

const ALLOWED: [&str; 17] = [
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "README.md",
    "clippy.toml",
    "deny.toml",
    "docker",
    "gateway",
    "helm",
    "proto",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "services",
    "tests",
];

fn check<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<Violation> {
    let entries: BTreeSet<&str> = paths.filter_map(|path| path.split('/').next()).collect();
    let strangers = entries.into_iter().filter(|entry| !ALLOWED.contains(entry));
    strangers
        .map(|entry| {
            Violation::new(entry, 1, "does not belong on the top level", "move it below the folder it serves")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tree, violation};

    #[test]
    fn the_top_level_has_only_what_is_listed() -> anyhow::Result<()> {
        let files = tree::files()?;
        violation::expect_none("top level", &check(files.iter().map(|file| file.path.as_str())))
    }

    #[test]
    fn a_stranger_is_reported_once_however_many_files_it_has() {
        let paths = ["README.md", "scripts/a.sh", "scripts/b.sh", "services/kernel/src/lib.rs", "notes.txt"];
        assert_eq!(violation::places(&check(paths.into_iter())), [("notes.txt", 1), ("scripts", 1)]);
        assert_eq!(check(["proto/a.proto", ".ci/run", "tests/run"].into_iter()), []);
    }
}
