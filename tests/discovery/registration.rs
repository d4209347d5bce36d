//! Joining, leaving, dying and being forgotten, as Consul and as followers see it.

use std::time::Duration;

use anyhow::Result;
use tidemill_chassis::discovery::consul::ConsulConfig;
use tidemill_chassis::discovery::consul::registration::Registration;
use tidemill_tests::harness::poll;

use crate::server::{Server, World, until};

#[tokio::test]
async fn who_joins_is_told_at_once_and_who_leaves_before_it_drains() -> Result<()> {
    let Some(world) = World::start().await? else { return Ok(()) };
    let mut follow = world.follow();
    assert!(follow.known().await);
    let first = Server::start(&world.consul).await?;
    until(&mut follow, &[&first.address]).await?;
    let second = Server::start(&world.consul).await?;
    let joined = until(&mut follow, &[&first.address, &second.address]).await?;
    second.leave().await?;
    let left = until(&mut follow, &[&first.address]).await?;
    println!("an instance that joins is told after {joined:?}, one that leaves after {left:?}");
    Ok(())
}

#[tokio::test]
async fn an_instance_tells_version_zone_and_tags() -> Result<()> {
    let zone = |config| ConsulConfig { zone: Some("a".into()), tags: vec!["blue".into()], ..config };
    let Some(world) = World::start_with(zone).await? else { return Ok(()) };
    let mut server = Server::start(&world.consul).await?;
    server.registration.until_registered().await;
    let mut follow = world.follow();
    until(&mut follow, &[&server.address]).await?;
    let told = follow.current().unwrap_or_default();
    assert_eq!((told[0].zone.as_deref(), told[0].meta["version"].as_str()), (Some("a"), "1.2.3"));
    let tags = vec!["blue".into(), "version=1.2.3".into(), "zone=a".into()];
    let query = tidemill_consul::HealthQuery { tags, ..tidemill_consul::HealthQuery::passing() };
    let found = world.consul.client().health().service("tidemill-echo", &query, None).await?.value;
    assert_eq!(found.len(), 1);
    Ok(())
}

#[tokio::test]
async fn who_dies_without_a_word_is_told_by_the_agents_next_probe() -> Result<()> {
    let Some(world) = World::start().await? else { return Ok(()) };
    let (stays, dies) = (Server::start(&world.consul).await?, Server::start(&world.consul).await?);
    let mut follow = world.follow();
    until(&mut follow, &[&stays.address, &dies.address]).await?;
    dies.die();
    let told = until(&mut follow, &[&stays.address]).await?;
    println!("an instance that died is out after {told:?}; the interval of the probes is 1 s");
    Ok(())
}

#[tokio::test]
async fn who_is_started_again_on_its_port_takes_its_own_place() -> Result<()> {
    let Some(world) = World::start().await? else { return Ok(()) };
    let dies = Server::start(&world.consul).await?;
    let mut follow = world.follow();
    until(&mut follow, &[&dies.address]).await?;
    let listen = dies.address.to_string().parse()?;
    dies.die();
    let gone = || async { world.in_catalog().await.filter(Vec::is_empty) };
    poll::until("the probe fails", Duration::from_secs(10), gone).await?;
    let again = poll::until("the port is free", Duration::from_secs(5), || async {
        Server::start_at(&world.consul, listen).await.ok()
    });
    let again = again.await?;
    let back = || async { world.in_catalog().await.filter(|all| *all == [again.address.to_string()]) };
    poll::until("it is back", Duration::from_secs(1), back).await?;
    Ok(())
}

#[tokio::test]
async fn an_entry_that_somebody_else_removed_or_changed_is_mended() -> Result<()> {
    let Some(world) = World::start().await? else { return Ok(()) };
    let mut server = Server::start(&world.consul).await?;
    server.registration.until_registered().await;
    let agent = world.consul.client().agent();
    let id = server.registration.id();
    agent.deregister(id).await?;
    let known = || async { agent.service(id).await.ok().flatten() };
    let wanted = poll::until("it is registered again", Duration::from_secs(10), known).await?;
    agent.register(&tidemill_consul::Registration::new(id, "tidemill-echo", "127.0.0.1", 1)).await?;
    let mended = || async { known().await.filter(|known| *known == wanted) };
    poll::until("it is as it was", Duration::from_secs(10), mended).await?;
    Ok(())
}

#[tokio::test]
async fn services_start_and_leave_while_consul_is_away() -> Result<()> {
    let Some(mut world) = World::start().await? else { return Ok(()) };
    world.agent.stop();
    let (stays, leaves) = (Server::start(&world.consul).await?, Server::start(&world.consul).await?);
    let address = stays.address.to_string();
    Registration::leave_all(vec![leaves.registration]).await;
    world.agent.restart().await?;
    let only = || async { world.in_catalog().await.filter(|all| *all == [address.clone()]) };
    poll::until("who stays is registered", Duration::from_secs(10), only).await?;
    Ok(())
}
