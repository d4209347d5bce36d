//! The image: what hadolint says of the Dockerfiles, and that they agree with the workspace.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tidemill_tests::harness::tools::{tool, workspace};

fn read(path: &str) -> Result<String> {
    fs::read_to_string(workspace().join(path)).context(path.to_owned())
}

/// What stands behind this word at a line's beginning, on the first such line.
fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().trim_matches('"'))
}

#[test]
fn the_dockerfiles_have_no_finding() -> Result<()> {
    let Some(hadolint) = tool("hadolint")? else { return Ok(()) };
    let files = ["docker/Dockerfile", "docker/collector/Dockerfile"];
    let output = Command::new(hadolint).args(files).current_dir(workspace()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

#[test]
fn the_builder_has_the_pinned_toolchain_and_everything_has_one_version() -> Result<()> {
    let (dockerfile, toolchain) = (read("docker/Dockerfile")?, read("rust-toolchain.toml")?);
    assert_eq!(after(&dockerfile, "ARG RUST_VERSION="), after(&toolchain, "channel = "));
    let (workspace, chart) = (read("Cargo.toml")?, read("helm/tidemill/Chart.yaml")?);
    let version = after(&workspace, "version = ").context("the workspace has a version")?;
    assert_eq!(after(&dockerfile, "ARG VERSION="), Some(version));
    assert_eq!((after(&chart, "version:"), after(&chart, "appVersion:")), (Some(version), Some(version)));
    assert!(
        read("docker/compose.yaml")?.contains(&format!("image: tidemill:${{TIDEMILL_VERSION:-{version}}}"))
    );
    Ok(())
}

#[test]
fn the_last_stage_is_bare_runs_as_nobody_and_tells_its_health() -> Result<()> {
    let dockerfile = read("docker/Dockerfile")?;
    let last = dockerfile.rsplit("\nFROM ").next().unwrap_or_default();
    assert_eq!(last.lines().next(), Some("scratch"), "no shell, no libc");
    let user = after(last, "USER ").and_then(|user| user.split(':').next()).map(str::parse::<u32>);
    assert!(
        matches!(user, Some(Ok(1..))),
        "a number, so that Kubernetes knows that it is not root: {user:?}"
    );
    assert!(last.contains(r#"CMD ["/tidemill", "health"]"#), "the probe needs no shell");
    assert!(last.contains("ca-certificates.crt") && last.contains("STOPSIGNAL SIGTERM"));
    Ok(())
}

#[test]
fn the_builder_gets_every_crate_of_the_workspace_and_little_else() -> Result<()> {
    let passed = read("docker/Dockerfile.dockerignore")?;
    let passed: BTreeSet<&str> = passed.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let manifest = read("Cargo.toml")?;
    let members = manifest.split("members = [").nth(1).and_then(|rest| rest.split(']').next());
    let folders = members.context("the workspace has members")?.split('"').skip(1).step_by(2);
    for folder in folders.filter_map(|member| member.split('/').next()).chain(["Cargo.toml", "Cargo.lock"]) {
        assert!(passed.contains(folder), "{folder} does not reach the builder");
    }
    assert!(!passed.contains("docker") && !passed.contains(".git") && !passed.contains(".tools"));
    Ok(())
}
