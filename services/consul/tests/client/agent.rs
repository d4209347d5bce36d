//! Registering, one's own entry, reports and maintenance, with the real agent.

use std::time::Duration;

use anyhow::{Context, Result};
use tidemill_consul::{Check, CheckStatus, HealthQuery, Registration};
use tidemill_tests::harness::poll;

/// A client of a real agent of its own; the test is skipped aloud without Consul.
macro_rules! real {
    () => {{
        let home = tempfile::tempdir()?;
        let Some(agent) = tidemill_tests::harness::consul::Agent::start(home.path()).await? else {
            return Ok(());
        };
        let client = tidemill_consul::Client::new(&tidemill_consul::Config::at(agent.url()))?;
        (client, agent, home)
    }};
}
pub(crate) use real;

fn echo(id: &str) -> Registration {
    Registration::new(id, "echo", "127.0.0.1", 7).tag("version=1").meta("zone", "a")
}

#[tokio::test]
async fn an_instance_registers_reads_itself_back_and_leaves() -> Result<()> {
    let (client, _agent, _home) = real!();
    let agent = client.agent();
    assert_eq!(agent.service("echo-1").await?, None);
    agent.register(&echo("echo-1")).await?;
    let known = agent.service("echo-1").await?.context("not registered")?;
    assert_eq!((known.name.as_str(), known.address.as_str(), known.port), ("echo", "127.0.0.1", 7));
    assert_eq!((known.tags, known.meta), (echo("echo-1").tags, echo("echo-1").meta));
    agent.deregister("echo-1").await?;
    assert_eq!(agent.service("echo-1").await?, None);
    agent.deregister("echo-1").await?;
    Ok(())
}

#[tokio::test]
async fn an_id_with_any_character_is_the_same_everywhere() -> Result<()> {
    let (client, _agent, _home) = real!();
    let id = "echo/1 ü?#%2F";
    client.agent().register(&echo(id)).await?;
    assert_eq!(client.agent().service(id).await?.map(|known| known.id), Some(id.to_owned()));
    client.agent().deregister(id).await?;
    assert_eq!(client.agent().service(id).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_ttl_check_holds_what_was_reported_and_expires() -> Result<()> {
    let (client, _agent, _home) = real!();
    let check = Check::ttl(Duration::from_millis(300)).starting(CheckStatus::Warning);
    client.agent().register(&echo("echo-1").check(check)).await?;
    let status = async || -> Result<CheckStatus> {
        let entries = client.health().service("echo", &HealthQuery::default(), None).await?.value;
        Ok(entries.first().context("no entry")?.status())
    };
    let becomes = async |wanted| {
        let is = || async { status().await.ok().filter(|status| *status == wanted) };
        poll::until("the state", Duration::from_secs(5), is).await
    };
    becomes(CheckStatus::Warning).await?;
    client.agent().report("service:echo-1", CheckStatus::Passing, "fine").await?;
    becomes(CheckStatus::Passing).await?;
    becomes(CheckStatus::Critical).await?;
    assert!(client.agent().report("service:none", CheckStatus::Passing, "").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_grpc_check_of_a_port_without_a_server_fails_and_one_that_starts_as_passing_is_found_at_once()
-> Result<()> {
    let (client, _agent, _home) = real!();
    let check = Check::grpc("127.0.0.1:1", Duration::from_secs(1)).starting(CheckStatus::Passing);
    client.agent().register(&echo("echo-1").check(check.deregister_after(Duration::from_secs(60)))).await?;
    let found = || async {
        let answer = client.health().service("echo", &HealthQuery::passing(), None).await.ok()?;
        Some(answer.value.len())
    };
    let is = |count| async move { found().await.filter(|found| *found == count) };
    poll::until("it is found", Duration::from_secs(1), || is(1)).await?;
    poll::until("the probe fails", Duration::from_secs(10), || is(0)).await?;
    Ok(())
}

#[tokio::test]
async fn an_instance_under_maintenance_is_not_found_as_healthy() -> Result<()> {
    let (client, _agent, _home) = real!();
    client.agent().register(&echo("echo-1")).await?;
    client.agent().maintenance("echo-1", true, "new disk").await?;
    let query = HealthQuery::passing();
    let count = || async { client.health().service("echo", &query, None).await.ok().map(|a| a.value.len()) };
    let is = |wanted| async move { count().await.filter(|count| *count == wanted) };
    poll::until("it is out", Duration::from_secs(5), || is(0)).await?;
    client.agent().maintenance("echo-1", false, "").await?;
    poll::until("it is back", Duration::from_secs(5), || is(1)).await?;
    assert!(client.agent().maintenance("none", true, "").await.is_err());
    Ok(())
}

#[tokio::test]
async fn the_agent_says_who_it_is_and_who_leads() -> Result<()> {
    let (client, _agent, _home) = real!();
    let identity = client.agent().identity().await?;
    assert!(identity.server && !identity.version.is_empty());
    assert_eq!(identity.datacenter, "dc1");
    assert!(client.status().leader().await?.is_some_and(|leader| leader.starts_with("127.0.0.1:")));
    Ok(())
}
