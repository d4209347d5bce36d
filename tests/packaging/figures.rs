//! The dashboard and the alerts: in good shape, and about figures and labels that the mesh has (`TELEMETRY.md`).

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidemill_tests::harness::tools::{tool, workspace};

use crate::promql::{Names, names};
use crate::validators::{ask, kind, rendered};

/// What Prometheus adds: whether who is asked answers, who that is, the bounds of histograms, and a figure's own label of a
/// name that it has added already.
const OF_PROMETHEUS: [&str; 5] = ["up", "le", "instance", "part", "exported_part"];

/// The figures of the page with their labels, each as Prometheus has it.
fn known() -> Result<Names> {
    let page = fs::read_to_string(workspace().join("services/chassis/TELEMETRY.md"))?;
    let mut known = Names::default();
    for line in page.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, _, kind, labels, ..] = cells[..] else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
        match kind {
            "histogram" => {
                known.figures.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")))
            }
            "gauge" | "counter" => _ = known.figures.insert(name.to_owned()),
            _ => continue,
        }
        known.labels.extend(labels.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    ensure!(known.figures.len() > 30, "the page has too few figures: {:?}", known.figures);
    Ok(known)
}

fn dashboard() -> Result<Value> {
    let text = fs::read_to_string(workspace().join("helm/tidemill/files/dashboard.json"))?;
    serde_json::from_str(&text).context("the dashboard is JSON")
}

fn panels(dashboard: &Value) -> Result<&Vec<Value>> {
    dashboard["panels"].as_array().context("the dashboard has panels")
}

fn expect_known<'a>(queries: impl Iterator<Item = &'a str>) -> Result<()> {
    let known = known()?;
    let mut count = 0;
    for query in queries {
        let used = names(query);
        ensure!(!used.figures.is_empty(), "no figure in {query}");
        let is_known = |name: &&String, all: &BTreeSet<String>| {
            all.contains(*name) || OF_PROMETHEUS.contains(&name.as_str())
        };
        let mut figures = used.figures.iter().filter(|name| !is_known(name, &known.figures));
        let mut labels = used.labels.iter().filter(|name| !is_known(name, &known.labels));
        let (figure, label) = (figures.next(), labels.next());
        ensure!(figure.is_none(), "{figure:?} is not on the page of figures: {query}");
        ensure!(label.is_none(), "{label:?} is no label of any figure: {query}");
        count += 1;
    }
    ensure!(count >= 10, "only {count} queries were found");
    Ok(())
}

#[test]
fn every_panel_has_a_place_and_an_id_of_its_own() -> Result<()> {
    let dashboard = dashboard()?;
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels(&dashboard)? {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64().context("an id")?), "{title}: its id is another's");
        let at = |key: &str| panel["gridPos"][key].as_u64().context("a place");
        for (x, y) in (at("x")?..at("x")? + at("w")?).flat_map(|x| {
            (at("y").unwrap_or(0)..at("y").unwrap_or(0) + at("h").unwrap_or(0)).map(move |y| (x, y))
        }) {
            assert!(x < 24 && taken.insert((x, y)), "{title} lies on another panel at {x}, {y}");
        }
        if panel["type"] != "row" {
            assert!(
                panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
                "{title} is not explained"
            );
            assert!(panel["targets"].as_array().is_some_and(|targets| !targets.is_empty()), "{title}");
        }
    }
    Ok(())
}

#[test]
fn the_dashboard_shows_figures_that_there_are() -> Result<()> {
    let dashboard = dashboard()?;
    let queries =
        panels(&dashboard)?.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    expect_known(queries.filter_map(|target| target["expr"].as_str()))
}

#[test]
fn the_alerts_watch_figures_that_there_are_and_say_what_to_do() -> Result<()> {
    let Some(files) = ask(&["yaml", "../helm/tidemill/files/rules.yaml"], &Value::Null)? else {
        return Ok(());
    };
    let groups = files[0]["groups"].as_array().context("groups")?;
    let rules: Vec<&Value> =
        groups.iter().flat_map(|group| group["rules"].as_array().into_iter().flatten()).collect();
    expect_known(rules.iter().filter_map(|rule| rule["expr"].as_str()))?;
    for rule in rules {
        assert!(
            ["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()),
            "{rule}"
        );
        let said = |key: &str| rule["annotations"][key].as_str().is_some_and(|text| !text.is_empty());
        assert!(said("summary") && said("description"), "{rule}");
    }
    Ok(())
}

#[test]
fn prometheus_takes_the_alerts_and_they_fire_when_they_should() -> Result<()> {
    let Some(promtool) = tool("promtool")? else { return Ok(()) };
    let rules = "helm/tidemill/files/rules.yaml";
    for arguments in [["check", "rules", rules], ["test", "rules", "tests/packaging/rules_test.yaml"]] {
        let output = Command::new(&promtool).args(arguments).current_dir(workspace()).output()?;
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
    Ok(())
}

#[test]
fn the_chart_carries_the_same_dashboard_and_alerts() -> Result<()> {
    let Some(sets) = rendered()? else { return Ok(()) };
    let Some(files) = ask(&["yaml", "../helm/tidemill/files/rules.yaml"], &Value::Null)? else {
        return Ok(());
    };
    let (_, everything) =
        sets.iter().find(|(name, _)| *name == "everything").context("the set with everything on")?;
    let rule = kind(everything, "PrometheusRule").next().context("a PrometheusRule")?;
    assert_eq!(rule["spec"], files[0]);
    let carried = kind(everything, "ConfigMap").find_map(|map| map["data"]["tidemill.json"].as_str());
    let carried: Value = serde_json::from_str(carried.context("the dashboard's ConfigMap")?)?;
    assert_eq!(carried, dashboard()?);
    Ok(())
}
