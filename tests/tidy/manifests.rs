//! Rule: every dependency has one line in the workspace's `Cargo.toml`, with its version and the reason for it; the crates
//! only refer to it.

use crate::tree::SourceFile;
use crate::violation::Violation;

fn check(files: &[SourceFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| file.path.rsplit('/').next() == Some("Cargo.toml")) {
        let mut section = "";
        for (number, line) in file.lines().map(|(number, line)| (number, line.trim())) {
            if line.starts_with('[') {
                section = line;
            } else if line.is_empty() || line.starts_with('#') {
                continue;
            } else if section == "[workspace.dependencies]" {
                violations.extend(
                    unexplained(line).map(|(fault, mend)| Violation::new(&file.path, number, fault, mend)),
                );
            } else if section.ends_with("dependencies]") && !line.contains("workspace = true") {
                let mend = "put the version into the root's [workspace.dependencies] and write `.workspace = true` here";
                violations.push(Violation::new(&file.path, number, "has a version of its own", mend));
            }
        }
    }
    violations
}

fn unexplained(line: &str) -> Option<(&'static str, &'static str)> {
    let (value, reason) = line.split_once('#').unwrap_or((line, ""));
    let own = value.contains("path = ");
    (!own && reason.trim().is_empty())
        .then_some(("a dependency without a reason", "say in a comment at the line's end why it was chosen"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{tree, violation};

    #[test]
    fn every_dependency_is_named_once_with_its_reason() -> anyhow::Result<()> {
        violation::expect_none("manifests", &check(&tree::files()?))
    }

    #[test]
    fn a_dependency_without_reason_or_with_its_own_version_is_reported() {
        let root = "[workspace.dependencies]\nown = { path = \"own\" }\na = \"1\" # why\nb = \"1\"\n[profile.dev]\ndebug = true\n";
        let member =
            "[package]\nname = \"x\"\n[dependencies]\na.workspace = true\n[dev-dependencies]\nb = \"2\"\n";
        let files = [SourceFile::new("Cargo.toml", root), SourceFile::new("services/x/Cargo.toml", member)];
        assert_eq!(violation::places(&check(&files)), [("Cargo.toml", 4), ("services/x/Cargo.toml", 6)]);
    }
}
