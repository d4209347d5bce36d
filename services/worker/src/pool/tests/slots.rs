//! Slots that come and go, and addresses of one scheduler.

use super::*;

#[test]
fn fewer_slots_take_credits_back_and_more_give_some() {
    let (mut world, _) = leased();
    world.pool.resize(2);
    world.settle_down();
    let credits = |world: &World| world.schedulers.values().map(|scheduler| scheduler.credits).sum::<u32>();
    assert_eq!(credits(&world), 2);
    world.pool.resize(SLOTS);
    world.settle_down();
    assert_eq!(credits(&world), SLOTS);
}

#[test]
fn a_second_address_of_the_same_scheduler_is_closed() {
    let mut world = World::new();
    world.settle_down();
    world.pool.found(9);
    let _ = world.pool.effects();
    let welcome = Welcome { scheduler: "s1".into(), ..Welcome::default() };
    world.pool.heard(9, Hear::Welcome(welcome), world.now);
    assert!(matches!(world.pool.effects()[..], [Effect::Close(9)]));
}
