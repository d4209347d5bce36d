//! The chart's NetworkPolicies against the table of needs in the binary: who may call whom, on which port.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;
use tidemill_tests::harness::tools::workspace;

use crate::PARTS;
use crate::objects::selects;
use crate::validators::{kind, rendered};

/// The rows of `compose.rs`: caller and called. The gateway stands on all parts.
fn needed() -> Result<BTreeSet<(String, String)>> {
    let text = std::fs::read_to_string(workspace().join("services/tidemill/src/compose.rs"))?;
    let mut needed = BTreeSet::new();
    for line in text.lines().filter(|line| line.trim().starts_with("Row { name: \"")) {
        let mut words = line.split('"').skip(1).step_by(2).map(str::to_owned);
        let caller = words.next().context("a row has a name")?;
        needed.insert(("gateway".to_owned(), caller.clone()));
        needed.extend(words.map(|called| (caller.clone(), called)));
    }
    Ok(needed)
}

/// Whether the rules of one direction let the pods with these labels through on the parts' port.
fn opens(rules: &Value, peers: &str, other: &Value) -> bool {
    let on_port = |rule: &&Value| {
        let ports = rule["ports"].as_array().into_iter().flatten();
        ports.into_iter().any(|port| port["port"] == "grpc" || port["port"] == 7400)
    };
    rules.as_array().into_iter().flatten().filter(on_port).any(|rule| match rule[peers].as_array() {
        None => true,
        Some(peers) => peers.iter().any(|peer| selects(&peer["podSelector"]["matchLabels"], other)),
    })
}

#[test]
fn who_needs_a_part_may_call_it_and_nobody_else() -> Result<()> {
    let needed = needed()?;
    assert!(needed.len() >= 10, "{needed:?}");
    let Some(sets) = rendered()? else { return Ok(()) };
    for (name, set) in sets.iter().filter(|(name, _)| *name != "bare") {
        let labels = |part: &str| {
            let mut deployments =
                kind(set, "Deployment").map(|object| &object["spec"]["template"]["metadata"]["labels"]);
            deployments
                .find(|labels| labels["app.kubernetes.io/component"] == part)
                .cloned()
                .unwrap_or_default()
        };
        let allowed = |of: &str, way: &str, peers: &str, other: &str| {
            let mut policies = kind(set, "NetworkPolicy")
                .filter(|policy| selects(&policy["spec"]["podSelector"]["matchLabels"], &labels(of)));
            policies.any(|policy| opens(&policy["spec"][way], peers, &labels(other)))
        };
        for caller in PARTS {
            for called in PARTS.into_iter().filter(|called| *called != "gateway") {
                let both =
                    allowed(caller, "egress", "to", called) && allowed(called, "ingress", "from", caller);
                let either =
                    allowed(caller, "egress", "to", called) || allowed(called, "ingress", "from", caller);
                let is_needed = needed.contains(&(caller.to_owned(), called.to_owned()));
                assert_eq!((both, either), (is_needed, is_needed), "{name}: {caller} to {called}");
            }
        }
        let anybody = labels("nobody");
        let is_open = kind(set, "NetworkPolicy").any(|policy| {
            selects(&policy["spec"]["podSelector"]["matchLabels"], &labels("gateway"))
                && opens(&policy["spec"]["ingress"], "from", &anybody)
        });
        // Everything on has a list of who may call the gateway, which are not pods of this release.
        assert_eq!(is_open, *name != "everything", "{name}");
    }
    Ok(())
}

#[test]
fn a_pod_that_no_rule_opens_is_closed_and_every_port_in_a_rule_exists() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    for (name, set) in sets.iter().filter(|(name, _)| *name != "bare") {
        let policies: Vec<&Value> = kind(set, "NetworkPolicy").collect();
        let closes_all = |policy: &&Value| {
            let spec = &policy["spec"];
            spec["ingress"].is_null()
                && spec["podSelector"]["matchLabels"].get("app.kubernetes.io/component").is_none()
        };
        assert_eq!(policies.iter().copied().filter(|policy| closes_all(policy)).count(), 1, "{name}");
        for policy in policies {
            let rules = ["ingress", "egress"]
                .into_iter()
                .flat_map(|way| policy["spec"][way].as_array().into_iter().flatten());
            for port in rules.flat_map(|rule| rule["ports"].as_array().into_iter().flatten()) {
                assert!(
                    port["port"] == "grpc" || port["port"].as_u64().is_some_and(|port| port > 0),
                    "{name}: {port}"
                );
            }
        }
        let mut ports = kind(set, "Deployment").flat_map(|object| {
            object["spec"]["template"]["spec"]["containers"][0]["ports"].as_array().into_iter().flatten()
        });
        assert!(ports.all(|port| port["name"] == "grpc" && port["containerPort"] == 7400), "{name}");
    }
    Ok(())
}
