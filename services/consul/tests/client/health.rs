//! Finding instances and following them, with the real agent.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tidemill_consul::{Error, HealthQuery, Registration, ServiceWatch, Wait};

use crate::agent::real;

const LONG: Duration = Duration::from_secs(60);

fn instance(id: &str, zone: &str) -> Registration {
    let name = id.split('-').next().unwrap_or_default();
    Registration::new(id, name, "127.0.0.1", 7).tag(format!("zone={zone}")).meta("zone", zone)
}

/// Asks until the answer has these instances; fails when an answer takes longer than a second.
async fn until_ids(watch: &mut ServiceWatch, wanted: &[&str]) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let answer = tokio::time::timeout(Duration::from_secs(1), watch.next()).await??;
        let mut ids: Vec<_> = answer.entries.into_iter().map(|entry| entry.service.id).collect();
        ids.sort_unstable();
        if ids == wanted {
            return Ok(begun.elapsed());
        }
    }
}

#[tokio::test]
async fn instances_are_found_by_tag_and_by_filter() -> Result<()> {
    let (client, _agent, _home) = real!();
    for (id, zone) in [("echo-1", "a"), ("echo-2", "b"), ("other-1", "a")] {
        client.agent().register(&instance(id, zone)).await?;
    }
    let mut watch = client.health().watch("echo", HealthQuery::passing(), LONG);
    until_ids(&mut watch, &["echo-1", "echo-2"]).await?;
    let tags = vec!["zone=b".to_owned()];
    let mut tagged = client.health().watch("echo", HealthQuery { tags, ..HealthQuery::passing() }, LONG);
    until_ids(&mut tagged, &["echo-2"]).await?;
    let filter = Some("Service.Meta.zone == \"a\"".to_owned());
    let query = HealthQuery { filter, stale: true, ..HealthQuery::default() };
    until_ids(&mut client.health().watch("echo", query, LONG), &["echo-1"]).await?;
    let services = client.catalog().services(None).await?.value;
    assert_eq!(services.get("other").map(Vec::as_slice), Some(&["zone=a".to_owned()][..]));
    Ok(())
}

#[tokio::test]
async fn a_watch_tells_who_joins_and_who_leaves_and_nothing_of_others() -> Result<()> {
    let (client, _agent, _home) = real!();
    let mut watch = client.health().watch("echo", HealthQuery::passing(), LONG);
    assert!(watch.next().await?.entries.is_empty());
    client.agent().register(&instance("echo-1", "a")).await?;
    let joined = until_ids(&mut watch, &["echo-1"]).await?;
    client.agent().deregister("echo-1").await?;
    let left = until_ids(&mut watch, &[]).await?;
    println!("joined after {joined:?}, left after {left:?}");
    Ok(())
}

#[tokio::test]
async fn a_blocking_query_ends_after_its_wait_with_the_same_index() -> Result<()> {
    let (client, _agent, _home) = real!();
    client.agent().register(&instance("echo-1", "a")).await?;
    let mut watch = client.health().watch("echo", HealthQuery::passing(), LONG);
    until_ids(&mut watch, &["echo-1"]).await?;
    let query = HealthQuery::passing();
    let index = client.health().service("echo", &query, None).await?.index;
    let begun = Instant::now();
    let wait = Wait { index, at_most: Duration::from_millis(200) };
    let answer = client.health().service("echo", &query, Some(wait)).await?;
    ensure!(answer.index >= index && begun.elapsed() >= Duration::from_millis(200));
    Ok(())
}

#[tokio::test]
async fn a_watch_survives_an_agent_that_is_stopped_and_restarted_empty() -> Result<()> {
    let (client, mut agent, _home) = real!();
    for id in ["echo-1", "echo-2", "echo-3"] {
        client.agent().register(&instance(id, "a")).await?;
    }
    let mut watch = client.health().watch("echo", HealthQuery::passing(), LONG);
    until_ids(&mut watch, &["echo-1", "echo-2", "echo-3"]).await?;
    agent.stop();
    let fault = watch.next().await.unwrap_err();
    assert!(matches!(fault, Error::Unreachable { .. }) && fault.is_transient(), "{fault}");
    agent.restart().await?;
    let answer = tokio::time::timeout(Duration::from_secs(5), watch.next()).await??;
    assert!(answer.entries.is_empty() && answer.is_rewound, "{answer:?}");
    client.agent().register(&instance("echo-1", "a")).await?;
    until_ids(&mut watch, &["echo-1"]).await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_is_refused_where_there_are_none() -> Result<()> {
    let (client, agent, _home) = real!();
    assert!(client.health().service("echo", &HealthQuery::default(), None).await.is_ok());
    let config = tidemill_consul::Config {
        namespace: Some("team".into()),
        ..tidemill_consul::Config::at(agent.url())
    };
    let fault = tidemill_consul::Client::new(&config)?.catalog().services(None).await.unwrap_err();
    assert!(matches!(&fault, Error::Refused { status: 400, .. }), "{fault}");
    let config = tidemill_consul::Config {
        datacenter: Some("moon".into()),
        ..tidemill_consul::Config::at(agent.url())
    };
    let fault = tidemill_consul::Client::new(&config)?.catalog().services(None).await.unwrap_err();
    assert!(fault.to_string().contains("datacenter"), "{fault}");
    Ok(())
}
