//! What a division answers, case by case.

use super::*;

fn named(shards: std::ops::Range<u16>, epoch: i64) -> Vec<(Shard, i64)> {
    shards.map(|number| (Shard::new(number).unwrap(), epoch)).collect()
}

fn ask(owner: &str, number: u64, shards: Vec<(Shard, i64)>, holds: u32, wants: u32) -> Ask {
    let (holds, wants) = (slots(holds), slots(wants));
    Ask { owner: owner.into(), number, shards, holds, running: 0, wants }
}

#[test]
fn one_that_is_alone_has_everything_at_once_and_two_with_work_take_turns_on_one_slot() {
    let (mut division, now) = (Division::default(), Timestamp::from_micros(0));
    assert_eq!(division.ask(&ask("a", 1, named(0..16, 1), 0, 0), limit(7), now), slots(7));
    let mut division = Division::default();
    let (mut had, mut holds) = ([0, 0], [0, 0]);
    for number in 0..60 {
        let now = Timestamp::from_micros(i64::try_from(number).unwrap() * 1_000_000);
        for (one, (owner, shards)) in [("a", named(0..8, 1)), ("b", named(8..16, 1))].into_iter().enumerate()
        {
            let answer = division.ask(&ask(owner, number + 1, shards, holds[one], 5), limit(1), now);
            holds[one] = answer.concurrency;
            had[one] += answer.concurrency;
        }
        assert!(holds.iter().sum::<u32>() <= 1);
    }
    assert!(had.iter().all(|seconds| *seconds >= 15), "{had:?}");
}

#[test]
fn what_a_dead_scheduler_had_is_given_to_others_when_its_shards_have_another_owner() {
    let (mut division, now) = (Division::default(), Timestamp::from_micros(0));
    division.ask(&ask("a", 1, named(0..8, 1), 0, 4), limit(4), now);
    assert_eq!(division.ask(&ask("b", 1, named(8..16, 1), 0, 4), limit(4), now), slots(2));
    division.ask(&ask("a", 2, named(0..8, 1), 0, 4), limit(4), now);
    let later = now + Duration::from_secs(100);
    assert_eq!(
        division.ask(&ask("b", 2, named(8..16, 1), 2, 4), limit(4), later),
        slots(2),
        "a may be alive"
    );
    let all = [named(8..16, 1), named(0..8, 2)].concat();
    assert_eq!(division.ask(&ask("b", 3, all, 2, 0), limit(4), later), slots(4));
    assert_eq!(division.ask(&ask("a", 3, named(0..8, 1), 2, 4), limit(4), later), Share::NONE, "overtaken");
}

#[test]
fn what_left_with_a_shard_is_claimed_until_its_next_owner_names_it() {
    let (mut division, now) = (Division::default(), Timestamp::from_micros(0));
    division.ask(&ask("a", 1, named(0..8, 1), 0, 3), limit(4), now);
    division.ask(&ask("b", 1, named(8..16, 1), 0, 1), limit(4), now);
    assert_eq!(division.ask(&ask("a", 2, named(0..8, 1), 0, 3), limit(4), now), slots(3));
    // A task runs of the shard that it has given up, and none of the others.
    assert_eq!(division.ask(&ask("a", 3, named(1..8, 1), 2, 0), limit(4), now), slots(0));
    assert_eq!(division.ask(&ask("b", 2, named(8..16, 1), 1, 4), limit(4), now), slots(1));
    division.ask(&ask("a", 4, named(1..8, 1), 0, 0), limit(4), now);
    let c = Ask { running: 1, ..ask("c", 1, named(0..1, 2), 0, 0) };
    assert_eq!(division.ask(&c, limit(4), now), slots(0));
    assert_eq!(division.ask(&ask("b", 3, named(8..16, 1), 1, 4), limit(4), now), slots(3), "one runs at c");
}
