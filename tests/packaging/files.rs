//! The files that the services of Compose are given: that they name services which exist, by ports that these have.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use crate::validators::{ask, compose};

const FILES: [&str; 5] = [
    "../docker/prometheus/prometheus.yaml",
    "../docker/collector/config.yaml",
    "../docker/proxy/envoy.yaml",
    "../docker/grafana/provisioning/datasources/datasources.yaml",
    "../docker/grafana/provisioning/dashboards/dashboards.yaml",
];

/// Every text in it.
fn texts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

/// The host of `http://host:port` and of `host:port`.
fn host(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("http://").unwrap_or(text);
    let (host, port) = rest.split_once(':')?;
    port.trim_end_matches('/').parse::<u16>().ok().map(|_| host)
}

#[test]
fn an_address_is_told_from_other_words() {
    assert_eq!(host("http://consul:8500"), Some("consul"));
    assert_eq!(host("proxy:9901"), Some("proxy"));
    assert_eq!((host("sha256:abc"), host("/var/lib"), host("5s")), (None, None, None));
}

#[test]
fn every_address_in_them_is_a_service_of_the_mesh() -> Result<()> {
    let Some(mesh) = compose()? else { return Ok(()) };
    let arguments: Vec<&str> = ["yaml"].into_iter().chain(FILES).collect();
    let Some(files) = ask(&arguments, &Value::Null)? else { return Ok(()) };
    let here = ["localhost", "127.0.0.1", "0.0.0.0"];
    let mut found = Vec::new();
    texts(&files, &mut found);
    let hosts: BTreeSet<&str> = found.into_iter().filter_map(host).collect();
    for host in hosts.iter().filter(|host| !here.contains(host)) {
        assert!(mesh["services"].get(host).is_some(), "{host} is no service of the Compose file");
    }
    assert!(
        hosts.contains("consul") && hosts.contains("jaeger") && hosts.contains("prometheus"),
        "{hosts:?}"
    );
    Ok(())
}

#[test]
fn the_proxy_balances_over_the_gateways_by_requests_under_way() -> Result<()> {
    let Some(files) = ask(&["yaml", "../docker/proxy/envoy.yaml"], &Value::Null)? else { return Ok(()) };
    let cluster = &files[0]["static_resources"]["clusters"][0];
    assert_eq!((&cluster["lb_policy"], &cluster["type"]), (&json!("LEAST_REQUEST"), &json!("STRICT_DNS")));
    let endpoint = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"];
    assert_eq!(endpoint["address"]["socket_address"], json!({"address": "gateway", "port_value": 7400}));
    Ok(())
}

#[test]
fn prometheus_finds_every_part_and_reads_the_alerts() -> Result<()> {
    let Some(mesh) = compose()? else { return Ok(()) };
    let Some(files) = ask(&["yaml", FILES[0]], &Value::Null)? else { return Ok(()) };
    let jobs = &files[0]["scrape_configs"];
    let kept = jobs[0]["relabel_configs"][0]["regex"].as_str().unwrap_or_default();
    assert_eq!(
        kept, "tidemill-(storage|scheduling|analysis|ingestion)",
        "the gateways are a job of their own"
    );
    assert_eq!(jobs[1]["dns_sd_configs"][0]["names"], json!(["gateway"]));
    assert_eq!(jobs[1]["authorization"]["credentials_file"], "/run/secrets/operator_key");
    let prometheus = &mesh["services"]["prometheus"];
    assert_eq!(prometheus["secrets"][0]["source"], "operator_key");
    let mounted = |path: &Value| {
        prometheus["volumes"].as_array().is_some_and(|all| all.iter().any(|mount| mount["target"] == *path))
    };
    assert!(mounted(&files[0]["rule_files"][0]), "{}", files[0]["rule_files"]);
    Ok(())
}
