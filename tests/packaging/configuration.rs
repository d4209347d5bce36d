//! What Compose and the chart set, read by the binary itself: every key exists and every value can be used.

use std::collections::BTreeMap;
use std::process::{Command, Output};

use anyhow::{Context, Result};
use serde_json::Value;
use tidemill_tests::harness::mesh::binary;

use crate::PARTS;
use crate::validators::{compose, kind, rendered};

/// What `tidemill config check` makes of these variables and arguments, and of nothing else.
fn check(variables: &BTreeMap<String, String>, file: Option<&str>) -> Result<Output> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(binary()?);
    command.env_clear().envs(variables).current_dir(folder.path()).args(["config", "check"]);
    if let Some(text) = file {
        let path = folder.path().join("tidemill.toml");
        std::fs::write(&path, text)?;
        command.arg("--config").arg(path);
    }
    Ok(command.output()?)
}

/// The variables of a container; those from Secrets and from the pod with a word that fits.
fn variables(container: &Value) -> BTreeMap<String, String> {
    let value = |variable: &Value| match (variable["name"].as_str(), variable["value"].as_str()) {
        (_, Some(value)) => value.replace("$(HOST_IP)", "10.0.0.1").replace("$(POD_NAME)", "pod"),
        (Some("TIDEMILL_POSTGRES__URL"), _) => "postgres://mill@database:5432/mill".to_owned(),
        (Some("TIDEMILL_DISCOVERY__CONSUL__ADVERTISE"), _) => "10.0.0.2".to_owned(),
        _ => "word".to_owned(),
    };
    let all = container["env"].as_array().into_iter().flatten();
    all.filter_map(|variable| Some((variable["name"].as_str()?.to_owned(), value(variable)))).collect()
}

#[test]
fn the_binary_takes_what_compose_sets() -> Result<()> {
    let Some(mesh) = compose()? else { return Ok(()) };
    for part in PARTS {
        let environment = mesh["services"][part]["environment"].as_object().context("variables")?;
        let variables: BTreeMap<String, String> = environment
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        assert!(variables.keys().filter(|name| name.starts_with("TIDEMILL_")).count() >= 4, "{part}");
        let output = check(&variables, None)?;
        assert!(output.status.success(), "{part}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[test]
fn the_binary_takes_what_the_chart_sets() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    for (name, set) in &sets {
        let file = kind(set, "ConfigMap").find_map(|map| map["data"]["tidemill.toml"].as_str());
        let file = file.context("the chart has a tidemill.toml")?;
        for object in kind(set, "Deployment").chain(kind(set, "Job")) {
            let container = &object["spec"]["template"]["spec"]["containers"][0];
            let output = check(&variables(container), Some(file))?;
            assert!(
                output.status.success(),
                "{name} {}: {}\n{file}",
                container["name"],
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    Ok(())
}

#[test]
fn what_the_pods_are_told_to_run_are_commands_of_the_binary() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    for (name, set) in &sets {
        for object in kind(set, "Deployment").chain(kind(set, "Job")) {
            let arguments = object["spec"]["template"]["spec"]["containers"][0]["args"]
                .as_array()
                .context("arguments")?;
            let mut command = Command::new(binary()?);
            // The command line is read before `--help` is answered, but for what is missing.
            let output = command.args(arguments.iter().filter_map(Value::as_str)).arg("--help").output()?;
            assert!(
                output.status.success(),
                "{name}: {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    Ok(())
}

#[test]
fn a_setting_that_is_none_is_refused() -> Result<()> {
    let wrong =
        BTreeMap::from([("TIDEMILL_DISCOVERY__CONSUL__ADRESS".to_owned(), "http://consul:8500".to_owned())]);
    assert!(!check(&wrong, None)?.status.success());
    assert!(!check(&BTreeMap::new(), Some("[storage]\nexport_pages = 1\n"))?.status.success());
    assert!(check(&BTreeMap::new(), None)?.status.success());
    Ok(())
}
