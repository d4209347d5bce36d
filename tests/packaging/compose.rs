//! The mesh by Compose: accepted by Compose, bounded, closed to other machines, and the same parts as the binary has.

use anyhow::{Context, Result};
use serde_json::Value;
use tidemill_tests::harness::tools::workspace;

use crate::PARTS;
use crate::validators::{SECRETS, compose, compose_with};

/// The services by name.
fn services(file: &Value) -> impl Iterator<Item = (&String, &Value)> {
    file["services"].as_object().into_iter().flatten()
}

#[test]
fn every_service_is_pinned_watched_restarted_and_bounded() -> Result<()> {
    let Some(file) = compose()? else { return Ok(()) };
    let mut count = 0;
    for (name, service) in services(&file) {
        let image = service["image"].as_str().context("an image")?;
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        assert!(
            tag.starts_with(|c: char| c.is_ascii_digit() || c == 'v') && tag.contains('.'),
            "{name}: {image}"
        );
        assert!(service["healthcheck"]["test"].is_array(), "{name} has no health check");
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["cpus"].is_number() && limits["memory"].is_string(), "{name} has no limits");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: its log grows without end");
        assert!(service["privileged"].is_null() && service["network_mode"].is_null(), "{name}");
        count += 1;
    }
    assert!(count >= 13, "{count} services");
    Ok(())
}

#[test]
fn every_published_port_is_on_loopback_and_the_meshs_is_the_proxys() -> Result<()> {
    let Some(file) = compose()? else { return Ok(()) };
    let mut published = Vec::new();
    for (name, service) in services(&file) {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name}: {port}");
            published.push((name.as_str(), port["published"].as_str().unwrap_or_default().to_owned()));
        }
    }
    let of_the_mesh: Vec<_> = published.iter().filter(|(_, port)| port == "7400").collect();
    assert_eq!(of_the_mesh, [&("proxy", "7400".to_owned())]);
    assert_eq!(file["networks"]["data"]["internal"], true);
    Ok(())
}

#[test]
fn every_part_is_there_twice_but_storage_and_has_nothing_that_it_does_not_need() -> Result<()> {
    let Some(file) = compose()? else { return Ok(()) };
    for part in PARTS {
        let service = &file["services"][part];
        assert_eq!(service["command"], serde_json::json!(["serve", part]));
        assert_eq!(
            service["deploy"]["replicas"].as_u64().unwrap_or(1),
            if part == "storage" { 1 } else { 2 }
        );
        assert_eq!(service["healthcheck"]["test"], serde_json::json!(["CMD", "/tidemill", "health"]));
        assert_eq!((&service["read_only"], &service["cap_drop"][0]), (&Value::Bool(true), &"ALL".into()));
        assert_eq!(service["security_opt"][0], "no-new-privileges:true");
        let has_password = service["environment"]["PGPASSWORD"].is_string();
        let is_beside_data = service["networks"].get("data").is_some();
        assert_eq!((has_password, is_beside_data), (part == "storage", part == "storage"), "{part}");
        for (after, how) in service["depends_on"].as_object().context("it waits for others")? {
            assert_eq!(how["condition"], "service_healthy", "{part} after {after}");
        }
    }
    Ok(())
}

#[test]
fn what_is_mounted_from_this_folder_is_there() -> Result<()> {
    let Some(file) = compose()? else { return Ok(()) };
    let mounts = services(&file).flat_map(|(_, service)| service["volumes"].as_array().into_iter().flatten());
    let mut count = 0;
    for mount in mounts.filter(|mount| mount["type"] == "bind") {
        let source = mount["source"].as_str().context("a source")?;
        assert!(std::path::Path::new(source).exists(), "{source} is mounted and not there");
        assert_eq!(mount["read_only"], true, "{source}");
        count += 1;
    }
    assert!(count >= 6, "{count} mounts");
    Ok(())
}

#[test]
fn nothing_starts_without_its_password() -> Result<()> {
    for secret in SECRETS.into_iter().filter(|secret| *secret != "TIDEMILL_OPERATOR_KEY") {
        let others: Vec<&str> = SECRETS.into_iter().filter(|name| *name != secret).collect();
        let Some(output) = compose_with(&others)? else { return Ok(()) };
        let said = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && said.contains(secret) && said.contains("docker/.env"), "{said}");
    }
    let example = std::fs::read_to_string(workspace().join("docker/.env.example"))?;
    for secret in SECRETS {
        assert!(example.lines().any(|line| line.starts_with(&format!("{secret}="))), "{secret}");
    }
    Ok(())
}
