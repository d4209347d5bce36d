//! The chart: rendered with its defaults and with sets of values that turn everything on and off; what Helm's lint and
//! Kubernetes' schemas say of the result; which values it refuses; the page of its values.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tidemill_tests::harness::tools::workspace;

use crate::PARTS;
use crate::validators::{ask, kind, objects, rendered, run};

#[test]
fn every_set_of_values_renders_to_what_kubernetes_takes() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    for (name, set) in &sets {
        assert_eq!((&set["lint"], &set["faults"]), (&json!([]), &json!([])), "{name}");
        let deployed: BTreeSet<&str> = kind(set, "Deployment")
            .filter_map(|object| object["spec"]["template"]["spec"]["containers"][0]["name"].as_str())
            .collect();
        assert_eq!(deployed, PARTS.into_iter().collect(), "{name}");
        let named: Vec<_> =
            objects(set).map(|object| (&object["kind"], &object["metadata"]["name"])).collect();
        for (index, one) in named.iter().enumerate() {
            assert!(!named[..index].contains(one), "{name} has {one:?} twice");
        }
    }
    Ok(())
}

#[test]
fn options_bring_their_objects_and_no_others() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    let count = |set: &Value, name: &str| kind(set, name).count();
    let counts = |name: &str| -> Vec<usize> { sets.iter().map(|(_, set)| count(set, name)).collect() };
    // By default, everything on, PostgreSQL with Services as addresses, everything off.
    for (kind, wanted) in [
        ("ConfigMap", [1, 2, 1, 1]),
        ("HorizontalPodAutoscaler", [0, 3, 0, 0]),
        ("Ingress", [0, 1, 1, 0]),
        ("Job", [0, 1, 0, 0]),
        ("NetworkPolicy", [6, 7, 6, 0]),
        ("PersistentVolumeClaim", [1, 0, 0, 0]),
        ("PodDisruptionBudget", [5, 5, 5, 5]),
        ("PrometheusRule", [0, 1, 0, 0]),
        ("ScaledObject", [0, 1, 0, 0]),
        ("Secret", [0, 0, 0, 0]),
        ("ServiceAccount", [1, 1, 1, 0]),
        ("ServiceMonitor", [0, 5, 4, 0]),
        ("TriggerAuthentication", [0, 1, 0, 0]),
    ] {
        assert_eq!(counts(kind), wanted, "{kind}");
    }
    Ok(())
}

#[test]
fn values_that_cannot_work_are_refused_by_their_name() -> Result<()> {
    let refused = [
        (json!({"gateway": {"replica": 2}}), "replica"),
        (json!({"gatewy": {}}), "gatewy"),
        (json!({"storage": {"replicas": "2"}}), "/storage/replicas"),
        (json!({"storage": {"replicas": 2}}), "postgres.secret.name"),
        (json!({"storage": {"autoscaling": {"enabled": true}}}), "postgres.secret.name"),
        (json!({"scheduling": {"autoscaling": {"byQueue": true}}}), "scheduling.autoscaling.byQueue"),
        (json!({"migration": {"enabled": true}}), "postgres.secret.name"),
        (json!({"consul": {"address": "http://consul:8500"}}), "networkPolicy.consulFrom"),
        (json!({"consul": {"address": "consul:8500"}}), "/consul/address"),
        (json!({"image": {"tag": "latest"}}), "/image/tag"),
        (json!({"image": {"digest": "sha256:1"}}), "/image/digest"),
        (json!({"analysis": {"maxUnavailable": 0}}), "/analysis/maxUnavailable"),
        (json!({"gateway": {"service": {"port": 0}}}), "/gateway/service/port"),
        (json!({"gateway": {"ingress": {"hosts": []}}}), "hosts"),
        (json!({"networkPolicy": {"gatewayFrom": [{"cidr": "10.0.0.0/8"}]}}), "cidr"),
        (json!({"postgres": {"url": "postgres://a:b@c/d"}}), "url"),
        (json!({"provider": {"apiKey": "word"}}), "apiKey"),
    ];
    let values: Vec<&Value> = refused.iter().map(|(values, _)| values).collect();
    let Some(answers) = ask(&["accept"], &json!(values))? else { return Ok(()) };
    for ((values, told), answer) in refused.iter().zip(answers.as_array().context("a list")?) {
        assert!(answer.as_str().is_some_and(|fault| fault.contains(told)), "{values}: {answer}");
    }
    let taken = json!([{}, {"storage": {"replicas": 2}, "postgres": {"secret": {"name": "database"}}}]);
    assert_eq!(ask(&["accept"], &taken)?, Some(json!([null, null])));
    Ok(())
}

#[test]
fn the_page_has_every_value_with_its_default() -> Result<()> {
    let Some(table) = run(&["reference"], "")? else { return Ok(()) };
    let page = std::fs::read_to_string(workspace().join("helm/README.md"))?;
    let outdated =
        "put what `tests/packaging/chart.py reference` prints in place of the table of helm/README.md";
    assert!(table.lines().count() > 60, "{table}");
    for row in table.lines() {
        assert!(page.lines().any(|line| line == row), "{outdated}; it lacks\n{row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| `") && line.matches(" | ").count() == 2);
    assert_eq!(rows.count() + 2, table.lines().count(), "{outdated}; it has rows of settings that are gone");
    Ok(())
}
