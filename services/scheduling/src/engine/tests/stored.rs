//! Limits of all tenants that the operator changes while the scheduler runs.

use prost::Message;
use tidemill_policy::{Kind, Share};

use super::shared::{asks, half, limited, told};
use super::*;

/// Of the kind `demo`, as it is stored.
fn limit(concurrency: Option<u32>, per_second: Option<u64>) -> store::Setting {
    let scope = api::Scope { kind: "demo".into(), all_tenants: true, ..api::Scope::default() };
    let limit = api::Limit { scope: Some(scope), concurrency, per_second, ..api::Limit::default() };
    let sort = store::SettingSort::Limit.into();
    store::Setting {
        sort,
        name: "kind:demo".into(),
        value: limit.encode_to_vec(),
        ..store::Setting::default()
    }
}

fn read(engine: &mut Engine, reading: u64, settings: Vec<store::Setting>, now: Timestamp) -> Vec<Effect> {
    engine.handle(Event::Settings { reading, epochs: Vec::new(), settings }, now)
}

fn in_force(engine: &Engine) -> Option<u32> {
    engine.policy.limit(&Scope::Kind(Kind::new("demo"))).and_then(|status| status.limit.concurrency)
}

#[test]
fn a_stored_limit_takes_the_place_of_the_configurations_until_it_is_removed() {
    let (mut engine, _) = limited(true, |_| true);
    let effects = engine.handle(Event::Appended((1..=9).map(task).collect()), ms(1));
    assert_eq!(leases(&effects).len(), 3);
    let effects = read(&mut engine, 2, vec![limit(Some(5), None)], ms(2));
    assert_eq!(leases(&effects).len(), 2, "five in all");
    // What was asked before it was set, and is heard after.
    assert_eq!(leases(&read(&mut engine, 1, Vec::new(), ms(3))), []);
    assert_eq!(in_force(&engine), Some(5));
    assert_eq!(leases(&read(&mut engine, 3, Vec::new(), ms(4))), []);
    assert_eq!(in_force(&engine), Some(3), "the configuration's");
}

#[test]
fn what_limits_more_than_before_begins_anew_and_another_value_does_not() {
    let (mut engine, effects) = limited(false, half);
    let _ = told(&mut engine, asks(&effects)[0].number, 3, ms(1));
    let effects = engine.handle(Event::Tick, ms(2));
    let _ = told(&mut engine, asks(&effects)[0].number, 3, ms(3));
    let effects = engine.handle(Event::Appended((1..=9).map(task).collect()), ms(4));
    assert_eq!(leases(&effects).len(), 3);
    // A higher one: what it has it keeps, and it asks at once.
    let effects = read(&mut engine, 1, vec![limit(Some(6), None)], ms(5));
    let asked = asks(&effects)[0];
    let holds = asked.limits[0].holds;
    assert_eq!((holds.concurrency, holds.rate), (3, Share::ALL.rate), "no rate of it is limited here");
    let effects = told(&mut engine, asked.number, 6, ms(6));
    assert_eq!(leases(&effects).len(), 3);
    // Another scheduler may not have heard that there is a rate now, so nothing of the limit is had.
    let effects = read(&mut engine, 2, vec![limit(Some(9), Some(100))], ms(7));
    assert_eq!(leases(&effects), []);
    assert_eq!((asks(&effects)[0].limits[0].holds, asks(&effects)[0].limits[0].running), (Share::NONE, 6));
    // Without any limit all of them run.
    let (mut engine, _) = limited(true, |_| true);
    engine.config.limits.clear();
    let _ = engine.handle(Event::Appended((1..=9).map(task).collect()), ms(1));
    assert_eq!(leases(&read(&mut engine, 1, Vec::new(), ms(2))).len(), 6);
    assert_eq!((in_force(&engine), engine.shared.scopes().count()), (None, 0));
}

#[test]
fn a_divider_gives_nothing_of_a_new_limit_before_all_have_it_and_hears_no_older_question() {
    let (mut engine, _) = limited(false, |number| !half(number));
    let others: Vec<Epoch> =
        Shard::all().filter(|shard| half(shard.number())).map(|shard| (shard, 1)).collect();
    let scope = Scope::Kind(Kind::new("demo"));
    let ask = |number, holds| {
        let limits = vec![Holding { scope: scope.clone(), holds, running: 0, wants: Share::ALL, term: 1 }];
        Question::Divide(Asks { owner: "other".into(), number, shards: others.clone(), limits })
    };
    let answer = |engine: &mut Engine, question| match engine.answer(question, ms(9)) {
        Answer::Divided(shares) => shares.first().map(|share| share.1.concurrency),
        other => panic!("{other:?}"),
    };
    // It has asked itself before the other one: what it wants is nothing.
    assert_eq!(answer(&mut engine, ask(4, Share::NONE)), Some(3));
    let _ = read(&mut engine, 1, vec![limit(Some(8), Some(100))], ms(10));
    assert_eq!(answer(&mut engine, ask(4, Share::NONE)), None, "asked of the one before");
    // Who does not know of the rate says that he may use any.
    let unheard = Share { concurrency: 3, ..Share::ALL };
    assert_eq!(answer(&mut engine, ask(5, unheard)), Some(8), "all of its shards are named now");
    let effects = engine.handle(Event::Tick, ms(1_200));
    assert_eq!(asks(&effects), Vec::<&Asks>::new(), "its own question is its own to answer");
    let rate = engine.policy.limit(&scope).unwrap().share.rate;
    assert_eq!(rate, Share::NONE.rate, "the other one may use all of it");
}
