//! Rule: crates depend on each other only as the table of ARCHITECTURE.md allows, and stay ignorant of what it says they
//! must not know. Normal and build dependencies count; what only a test needs does not.

use cargo_metadata::{DependencyKind, MetadataCommand};

use crate::tree;
use crate::violation::Violation;

/// One line of the table: a crate (without the product's prefix), the own crates it may use, the outside families it must
/// not know (`tokio` stands for `tokio-stream` too).
struct Row(&'static str, &'static [&'static str], &'static [&'static [&'static str]]);

const SQL: &[&str] = &["sqlx", "rusqlite", "tokio-postgres", "diesel"];
const WIRE: &[&str] = &["tonic", "prost", "pbjson"];
const NETWORK: &[&str] = &["tokio", "hyper", "axum", "tower", "reqwest", "socket2"];
const CLOCK: &[&str] = &["jiff", "chrono", "time"];
/// Every crate but `tests`.
const ALL: &[&str] = &["*"];

const TABLE: &[Row] = &[
    Row("kernel", &[], &[SQL, WIRE, NETWORK]),
    Row("proto", &[], &[SQL]),
    Row("consul", &[], &[SQL, WIRE]),
    Row("chassis", &["kernel", "consul"], &[SQL]),
    Row("store", &["kernel"], &[SQL, WIRE]),
    Row("sqlite", &["store", "kernel"], &[WIRE]),
    Row("postgres", &["store", "kernel"], &[WIRE]),
    Row("storage", &["store", "proto", "chassis", "kernel"], &[SQL]),
    Row("policy", &["kernel"], &[SQL, WIRE, NETWORK, CLOCK]),
    Row("scheduling", &["policy", "proto", "chassis", "kernel"], &[SQL]),
    Row("worker", &["proto", "chassis", "kernel"], &[SQL]),
    Row("producer", &["proto", "chassis", "kernel"], &[SQL]),
    Row("llm", &["kernel", "chassis"], &[SQL, WIRE]),
    Row("sim", &["kernel", "policy"], &[SQL, WIRE, NETWORK, CLOCK]),
    Row("analysis", &["llm", "sim", "worker", "proto", "chassis", "kernel"], &[SQL]),
    Row("ingestion", &["worker", "proto", "chassis", "kernel"], &[SQL]),
    Row("gateway", &["proto", "chassis", "kernel"], &[SQL]),
    Row("tidemill", ALL, &[SQL]),
    Row("tests", ALL, &[]),
    // A program, so `anyhow` is right for it.
    Row("bench-peer", ALL, &[SQL]),
];

/// A crate of the workspace with its dependencies by full name.
struct Crate {
    name: String,
    manifest: String,
    dependencies: Vec<String>,
}

fn check(crates: &[Crate]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in crates {
        let Some(row) = TABLE.iter().find(|row| row.0 == short(&member.name)) else {
            let fault = format!("`{}` is not in the dependency table", member.name);
            violations.push(Violation::new(
                &member.manifest,
                1,
                fault,
                "add it to ARCHITECTURE.md and to this rule's table",
            ));
            continue;
        };
        let faults =
            member.dependencies.iter().filter_map(|dependency| Some((dependency, fault(row, dependency)?)));
        violations.extend(faults.map(|(dependency, (fault, mend))| {
            let line = line_of(&member.manifest, dependency);
            Violation::new(&member.manifest, line, format!("{} {fault} `{dependency}`", row.0), mend)
        }));
    }
    violations
}

fn fault(row: &Row, dependency: &str) -> Option<(&'static str, &'static str)> {
    let Row(_, may, ignorant_of) = row;
    if dependency == "tidemill" || dependency.starts_with("tidemill-") {
        let own = short(dependency);
        let allowed = own != "tests" && (may.contains(&own) || *may == ALL);
        let mend = "see the dependency table in ARCHITECTURE.md: ask through the proto, or move the shared part down";
        return (!allowed).then_some(("may not depend on", mend));
    }
    if dependency == "anyhow" && *may != ALL {
        return Some(("is a library and may not use", "give it one `thiserror` enum with a `kind()`"));
    }
    let known =
        ignorant_of.iter().flat_map(|families| families.iter()).any(|family| is_of(dependency, family));
    known.then_some(("must not know", "keep it behind the crate whose business it is"))
}

fn is_of(dependency: &str, family: &str) -> bool {
    dependency.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn short(name: &str) -> &str {
    name.strip_prefix("tidemill-").unwrap_or(name)
}

/// Where the manifest names the dependency; 1 when it cannot be read.
fn line_of(manifest: &str, dependency: &str) -> usize {
    let text = std::fs::read_to_string(tree::root().join(manifest)).unwrap_or_default();
    let named =
        |line: &str| line.strip_prefix(dependency).is_some_and(|rest| rest.starts_with(['.', ' ', '=']));
    text.lines().position(named).map_or(1, |index| index + 1)
}

fn workspace() -> anyhow::Result<Vec<Crate>> {
    let root = tree::root();
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let crates = metadata.packages.into_iter().map(|package| Crate {
        name: package.name.to_string(),
        manifest: package.manifest_path.strip_prefix(&root).unwrap_or(&package.manifest_path).to_string(),
        dependencies: package
            .dependencies
            .into_iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development)
            .map(|dependency| dependency.name)
            .collect(),
    });
    Ok(crates.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::violation;

    fn member(name: &str, dependencies: &[&str]) -> Crate {
        let dependencies = dependencies.iter().map(|name| (*name).to_owned()).collect();
        Crate { name: name.into(), manifest: format!("fixture/{name}/Cargo.toml"), dependencies }
    }

    fn is_refused(name: &str, dependency: &str) -> bool {
        !check(&[member(name, &[dependency])]).is_empty()
    }

    #[test]
    fn crates_depend_on_each_other_as_the_table_says() -> anyhow::Result<()> {
        let crates = workspace()?;
        assert!(crates.iter().any(|member| member.name == "tidemill-kernel"), "the workspace was not read");
        violation::expect_none("dependency table", &check(&crates))
    }

    #[test]
    fn what_the_table_allows_passes() {
        let allowed = [
            member("tidemill-kernel", &["serde", "jiff"]),
            member("tidemill-storage", &["tidemill-store", "tidemill-proto", "tonic"]),
            member("tidemill", &["tidemill-sqlite", "tidemill-gateway", "anyhow"]),
        ];
        assert_eq!(check(&allowed), []);
    }

    #[test]
    fn a_service_may_not_depend_on_another_nor_anything_on_the_tests() {
        assert!(is_refused("tidemill-ingestion", "tidemill-scheduling"));
        assert!(is_refused("tidemill-storage", "tidemill-sqlite"));
        assert!(is_refused("tidemill-kernel", "tidemill"));
        assert!(is_refused("tidemill", "tidemill-tests"));
    }

    #[test]
    fn what_a_crate_must_not_know_is_refused_by_family() {
        assert!(is_refused("tidemill-kernel", "tokio"));
        assert!(is_refused("tidemill-policy", "tokio-util"));
        assert!(is_refused("tidemill-gateway", "sqlx"));
        assert!(is_refused("tidemill-worker", "anyhow"));
        assert!(!is_refused("tidemill-kernel", "tokiofoo"));
    }

    #[test]
    fn a_crate_outside_the_table_is_reported() {
        let violations = check(&[member("tidemill-extra", &[])]);
        assert_eq!(violation::places(&violations), [("fixture/tidemill-extra/Cargo.toml", 1)]);
    }
}
