//! The objects of the chart: what bounds each pod, and that they find each other.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::validators::{kind, objects, rendered};

/// Whether every label of the selector is on the object.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let none = Map::new();
    let wanted = selector.as_object().unwrap_or(&none);
    !wanted.is_empty() && wanted.iter().all(|(name, value)| labels[name] == *value)
}

/// The templates of pods: the object that makes them, and the template.
fn pods(set: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    let made = objects(set).filter(|object| matches!(object["kind"].as_str(), Some("Deployment" | "Job")));
    made.map(|object| (object, &object["spec"]["template"]))
}

/// The part that an object is for.
fn part(object: &Value) -> &str {
    object["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap_or_default()
}

#[test]
fn every_pod_keeps_to_the_restricted_level() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    for (name, set) in &sets {
        for (object, template) in pods(set) {
            let (who, spec) = (format!("{name}: {}", part(object)), &template["spec"]);
            let security = &spec["securityContext"];
            assert_eq!(security["runAsNonRoot"], true, "{who}");
            assert!(security["runAsUser"].as_u64() > Some(0), "{who}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{who}");
            assert_eq!(spec["automountServiceAccountToken"], false, "{who}: Kubernetes is never called");
            for sharing in ["hostNetwork", "hostPID", "hostIPC"] {
                assert!(spec[sharing].is_null(), "{who}: {sharing}");
            }
            for container in spec["containers"].as_array().context("containers")? {
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{who}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{who}");
                assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{who}");
            }
        }
    }
    Ok(())
}

#[test]
fn every_container_is_bounded_probed_and_finds_its_volumes() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    for (name, set) in &sets {
        for (object, template) in pods(set) {
            let (who, spec) = (format!("{name}: {}", part(object)), &template["spec"]);
            let container = &spec["containers"][0];
            assert!(container["resources"]["limits"]["memory"].is_string(), "{who}");
            let has_volume = |mount: &Value| {
                spec["volumes"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|volume| volume["name"] == mount["name"]))
            };
            let mounts = container["volumeMounts"].as_array().context("mounts")?;
            assert!(mounts.iter().all(has_volume), "{who}");
            assert!(
                mounts.iter().any(|mount| mount["mountPath"] == "/tmp"),
                "{who}: nothing else can be written"
            );
            if object["kind"] == "Deployment" {
                for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                    assert!(
                        container[probe]["httpGet"].is_object() ^ container[probe]["grpc"].is_object(),
                        "{who}: {probe}"
                    );
                }
                assert_eq!(spec["topologySpreadConstraints"].as_array().map(Vec::len), Some(2), "{who}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_pod_is_given_longer_than_it_takes_to_stop() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    for (name, set) in &sets {
        let file = kind(set, "ConfigMap").find_map(|map| map["data"]["tidemill.toml"].as_str());
        let grace = file.and_then(|text| text.lines().find_map(|line| line.strip_prefix("grace_ms = ")));
        let grace: u64 = grace.context("grace_ms")?.parse()?;
        for deployment in kind(set, "Deployment") {
            let spec = &deployment["spec"]["template"]["spec"];
            let waits =
                spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or(0);
            let given = spec["terminationGracePeriodSeconds"].as_u64().context("a grace period")?;
            assert!(given * 1_000 >= waits * 1_000 + grace + 10_000, "{name}: {given} s");
        }
    }
    Ok(())
}

#[test]
fn every_selector_finds_the_pods_of_one_part_and_every_reference_something() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    for (name, set) in &sets {
        let deployments: Vec<&Value> = kind(set, "Deployment").collect();
        let found = |selector: &Value| -> Vec<&str> {
            let labels =
                |object: &&&Value| selects(selector, &object["spec"]["template"]["metadata"]["labels"]);
            deployments.iter().filter(labels).map(|object| part(object)).collect()
        };
        for object in objects(set) {
            let selector = match object["kind"].as_str() {
                Some("Service") => &object["spec"]["selector"],
                Some("Deployment" | "PodDisruptionBudget") => &object["spec"]["selector"]["matchLabels"],
                _ => continue,
            };
            assert_eq!(
                found(selector),
                [part(object)],
                "{name}: {} {}",
                object["kind"],
                object["metadata"]["name"]
            );
        }
        for monitor in kind(set, "ServiceMonitor") {
            let selector = &monitor["spec"]["selector"]["matchLabels"];
            let services =
                kind(set, "Service").filter(|service| selects(selector, &service["metadata"]["labels"]));
            assert_eq!(services.map(part).collect::<Vec<_>>(), [part(monitor)], "{name}");
        }
        for scaler in kind(set, "HorizontalPodAutoscaler").chain(kind(set, "ScaledObject")) {
            let target = deployments
                .iter()
                .find(|object| object["metadata"]["name"] == scaler["spec"]["scaleTargetRef"]["name"]);
            let target = target.context("what is scaled is there")?;
            assert!(target["spec"]["replicas"].is_null(), "{name}: two would set the number of replicas");
        }
        for service in kind(set, "Service") {
            let ports = &deployments
                .iter()
                .find(|object| part(object) == part(service))
                .context("a deployment")?["spec"]["template"]["spec"]["containers"][0]["ports"];
            assert_eq!(service["spec"]["ports"][0]["targetPort"], ports[0]["name"], "{name}");
        }
    }
    Ok(())
}
