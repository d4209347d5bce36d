//! Tokens, with the real agent under a policy that denies.

use anyhow::Result;
use tidemill_consul::{Client, Config, Error, HealthQuery, Registration};
use tidemill_tests::harness::consul::Agent;

const MASTER: &str = "7b2b1b6e-7d4b-4c27-9d0c-5b1f6a1c0001";

#[tokio::test]
async fn without_a_token_calls_are_denied_and_with_one_they_pass() -> Result<()> {
    let home = tempfile::tempdir()?;
    let policy = format!(
        "acl {{ enabled = true default_policy = \"deny\" tokens {{ master = \"{MASTER}\" agent = \"{MASTER}\" }} }}"
    );
    let Some(agent) = Agent::start_with(home.path(), &["-hcl", &policy]).await? else { return Ok(()) };
    let registration = Registration::new("echo-1", "echo", "127.0.0.1", 7);

    let stranger = Client::new(&Config::at(agent.url()))?;
    let fault = stranger.agent().register(&registration).await.unwrap_err();
    assert!(matches!(fault, Error::Denied { .. }) && !fault.is_transient(), "{fault}");
    assert!(fault.to_string().contains("policy"), "{fault}");
    let wrong = Config { token: Some(MASTER.replace('7', "8")), ..Config::at(agent.url()) };
    assert!(matches!(Client::new(&wrong)?.kv().put("a", "1").await, Err(Error::Denied { .. })));

    let known = Client::new(&Config { token: Some(MASTER.to_owned()), ..Config::at(agent.url()) })?;
    known.agent().register(&registration).await?;
    let mut watch = known.health().watch("echo", HealthQuery::passing(), std::time::Duration::from_secs(60));
    while watch.next().await?.entries.is_empty() {}
    let seen = stranger.health().service("echo", &HealthQuery::passing(), None).await?.value;
    assert!(seen.is_empty(), "Consul leaves out what a token may not read");
    Ok(())
}
