//! Limits of all tenants together, as one scheduler keeps them: what it may start before and after it was told its part.

use tidemill_policy::Share;

use super::*;
use crate::config::SharedLimit;

/// The shard whose owner divides the limit.
fn divider() -> Shard {
    Shard::of_name("kind:demo")
}

/// Its part of the shards where there are two schedulers: half of them, acme's too, without that one.
pub(super) fn half(number: u16) -> bool {
    let place = if number > divider().number() { number - 1 } else { number };
    number != divider().number() && place >= 7
}

/// An engine with a limit of three and a worker that takes more. It owns these shards, and has read them.
pub(super) fn limited(alone: bool, mine: impl Fn(u16) -> bool + Copy) -> (Engine, Vec<Effect>) {
    let limit = SharedLimit { kind: "demo".into(), concurrency: Some(3), ..SharedLimit::default() };
    with_limit(limit, alone, mine)
}

fn with_limit(limit: SharedLimit, alone: bool, mine: impl Fn(u16) -> bool + Copy) -> (Engine, Vec<Effect>) {
    let config = Config { limits: vec![limit], ..Config::default() };
    let shards = Shards::new("me".into(), "me:1".into(), config.shard_lease(), alone);
    let mut engine = Engine::new(config, "me".into(), shards, StdRng::seed_from_u64(1)).unwrap();
    let _ = engine.handle(Event::Tick, START);
    let _ = hello(&mut engine, 1, Vec::new(), START);
    let _ = engine.handle(Event::Credits { session: 1, count: 10 }, START);
    let _ = on_board(&mut engine, board(mine, true), START);
    let mut effects = Vec::new();
    for shard in Shard::all().filter(|shard| mine(shard.number())) {
        effects.extend(load_one(&mut engine, (shard, 1)));
    }
    (engine, effects)
}

fn load_one(engine: &mut Engine, epoch: Epoch) -> Vec<Effect> {
    let (queues, running, settings) = (Vec::new(), Vec::new(), Vec::new());
    let loaded = Loaded { epoch, queues, last_place: epoch.0.place(0), running, settings };
    let mut effects = engine.handle(Event::Loaded(Box::new(loaded)), START);
    let through = epoch.0.place(0);
    effects.extend(engine.handle(Event::New { epoch, tasks: Vec::new(), through, more: false }, START));
    effects
}

pub(super) fn asks(effects: &[Effect]) -> Vec<&Asks> {
    let asks = effects.iter().filter_map(|effect| match effect {
        Effect::AskShares { address, asks } => {
            assert_eq!(address, "other:1");
            Some(asks)
        }
        _ => None,
    });
    asks.collect()
}

pub(super) fn told(engine: &mut Engine, number: u64, concurrency: u32, now: Timestamp) -> Vec<Effect> {
    let share = Share { concurrency, ..Share::NONE };
    let scope = engine.shared.scopes().next().unwrap().clone();
    engine.handle(Event::Shares { number, shares: vec![(scope, share)] }, now)
}

#[test]
fn one_that_runs_all_shards_has_a_limit_whole_at_once_and_asks_nobody() {
    for alone in [true, false] {
        let (mut engine, effects) = limited(alone, |_| true);
        assert_eq!(asks(&effects), Vec::<&Asks>::new());
        let effects = engine.handle(Event::Appended((1..=5).map(task).collect()), ms(1));
        assert_eq!(leases(&effects).len(), 3, "alone: {alone}");
    }
}

#[test]
fn nothing_starts_before_the_divider_has_answered_the_last_question() {
    assert_ne!(divider(), shard());
    let (mut engine, effects) = limited(false, half);
    let first = asks(&effects)[0];
    assert_eq!((first.number, first.shards.len(), first.limits[0].holds.concurrency), (1, 1, 0));
    let effects = engine.handle(Event::Appended((1..=5).map(task).collect()), ms(1));
    assert_eq!(leases(&effects), []);
    // That answer was for the first shard alone: another question follows.
    assert_eq!(leases(&told(&mut engine, 1, 2, ms(2))), []);
    let effects = engine.handle(Event::Tick, ms(3));
    let second = asks(&effects)[0].clone();
    assert_eq!((second.number, second.shards.len()), (2, 8));
    assert_eq!((second.limits[0].holds.concurrency, second.limits[0].wants.concurrency), (2, 5));
    assert_eq!(leases(&told(&mut engine, 1, 3, ms(4))), [], "an old answer");
    assert_eq!(leases(&told(&mut engine, 2, 2, ms(5))).len(), 2);
    let Answer::Explained(Some(why)) = engine.answer(Question::Explain(id(3)), ms(6)) else { panic!() };
    let why = format!("{why:?}");
    assert!(why.contains("Part { running: 2, part: 2, whole: 3 }"), "{why}");
}

#[test]
fn what_runs_of_a_lost_shard_leaves_the_part_and_its_question_is_void() {
    let (mut engine, effects) = limited(false, half);
    let number = asks(&effects)[0].number;
    let _ = told(&mut engine, number, 3, ms(1));
    let effects = engine.handle(Event::Tick, ms(2));
    let number = asks(&effects)[0].number;
    let _ = told(&mut engine, number, 3, ms(3));
    let effects = engine.handle(Event::Appended((1..=2).map(task).collect()), ms(4));
    assert_eq!(leases(&effects).len(), 2);
    let effects = engine.handle(Event::Tick, ms(1_100));
    let asked = asks(&effects)[0].clone();
    assert_eq!((asked.limits[0].running, asked.limits[0].holds.concurrency), (2, 3));
    let _ = engine.handle(Event::Fenced((shard(), 1)), ms(1_101));
    let _ = told(&mut engine, asked.number, 3, ms(1_102));
    let effects = engine.handle(Event::Tick, ms(1_103));
    let asked = asks(&effects)[0].clone();
    assert_eq!((asked.limits[0].running, asked.limits[0].holds.concurrency), (0, 1));
    assert_eq!(asked.shards.len(), 7);
}

#[test]
fn a_rate_that_is_gained_begins_empty_however_long_nothing_was_done() {
    let limit = SharedLimit { kind: "demo".into(), per_second: Some(40), ..SharedLimit::default() };
    let (mut engine, effects) = with_limit(limit, false, half);
    let scope = engine.shared.scopes().next().unwrap().clone();
    let told = |effects: &[Effect]| Event::Shares {
        number: asks(effects)[0].number,
        shares: vec![(scope.clone(), Share::ALL)],
    };
    let _ = engine.handle(Event::Appended((1..=5).map(task).collect()), ms(1));
    // That answer was for the first shard alone: another question follows.
    let _ = engine.handle(told(&effects), ms(1));
    let effects = engine.handle(Event::Tick, ms(2));
    assert_eq!(leases(&engine.handle(told(&effects), ms(240))), [], "one takes 25 ms to gather");
    assert_eq!(leases(&engine.handle(Event::Tick, ms(265))).len(), 1);
}
