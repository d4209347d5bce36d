//! Consul stopped, restarted empty, and services that flap.

use std::time::Duration;

use anyhow::Result;
use tidemill_chassis::discovery::consul::ConsulConfig;
use tidemill_tests::harness::poll;

use crate::server::{Server, World, until};

#[tokio::test]
async fn while_consul_is_away_the_last_known_instances_stay() -> Result<()> {
    let Some(mut world) = World::start().await? else { return Ok(()) };
    let (one, two) = (Server::start(&world.consul).await?, Server::start(&world.consul).await?);
    let mut follow = world.follow();
    until(&mut follow, &[&one.address, &two.address]).await?;
    world.agent.stop();
    // Nothing is to happen: the only way to see that is to let some time pass.
    assert!(tokio::time::timeout(Duration::from_secs(1), follow.changed()).await.is_err());
    until(&mut follow, &[&one.address, &two.address]).await?;
    Ok(())
}

#[tokio::test]
async fn a_restart_of_an_empty_consul_takes_nobody_out_and_everybody_registers_again() -> Result<()> {
    let Some(mut world) = World::start().await? else { return Ok(()) };
    let (one, two) = (Server::start(&world.consul).await?, Server::start(&world.consul).await?);
    let mut follow = world.follow();
    until(&mut follow, &[&one.address, &two.address]).await?;
    let mut seen = follow.clone();
    assert!(seen.known().await);
    world.agent.stop();
    world.agent.restart().await?;
    let begun = std::time::Instant::now();
    let mut wanted = [one.address.to_string(), two.address.to_string()];
    wanted.sort();
    let healed = || async { world.in_catalog().await.filter(|all| *all == wanted) };
    poll::until("both are registered again", Duration::from_secs(20), healed).await?;
    println!("both had registered again {:?} after Consul was ready", begun.elapsed());
    // Followers have seen nothing of it, and see the next change at once.
    assert!(tokio::time::timeout(Duration::from_millis(500), seen.changed()).await.is_err());
    let three = Server::start(&world.consul).await?;
    let joined = until(&mut follow, &[&one.address, &two.address, &three.address]).await?;
    println!("who joined after that was told after {joined:?}");
    Ok(())
}

#[tokio::test]
async fn who_died_while_consul_was_away_is_given_up_after_the_grace_time() -> Result<()> {
    let grace = |config| ConsulConfig { grace_ms: 1_500, ..config };
    let Some(mut world) = World::start_with(grace).await? else { return Ok(()) };
    let (stays, dies) = (Server::start(&world.consul).await?, Server::start(&world.consul).await?);
    let mut follow = world.follow();
    until(&mut follow, &[&stays.address, &dies.address]).await?;
    world.agent.stop();
    dies.die();
    world.agent.restart().await?;
    let begun = std::time::Instant::now();
    until(&mut follow, &[&stays.address]).await?;
    assert!(begun.elapsed() > Duration::from_millis(1_000), "its address was given up too soon");
    Ok(())
}

#[tokio::test]
async fn an_instance_that_flaps_ends_as_it_last_was_and_the_others_are_always_told() -> Result<()> {
    let Some(world) = World::start().await? else { return Ok(()) };
    let stays = Server::start(&world.consul).await?;
    let mut follow = world.follow();
    until(&mut follow, &[&stays.address]).await?;
    let mut watched = follow.clone();
    let address = stays.address.clone();
    let watcher = tokio::spawn(async move {
        let mut changes = 0;
        while watched.changed().await {
            let told = watched.current().unwrap_or_default();
            assert!(told.iter().any(|instance| instance.address == address), "{told:?}");
            changes += 1;
        }
        changes
    });
    for _ in 0..20 {
        let mut flaps = Server::start(&world.consul).await?;
        flaps.registration.until_registered().await;
        flaps.leave().await?;
    }
    let last = Server::start(&world.consul).await?;
    let told = until(&mut follow, &[&stays.address, &last.address]).await?;
    drop(follow);
    watcher.abort();
    println!("the last change after 40 others was told after {told:?}");
    Ok(())
}
