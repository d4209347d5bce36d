//! The engine's promises one by one, by histories of events; random ones are in `simulation`.

mod changed;
mod dependents;

use rand::SeedableRng;
use tidemill_proto::time::{duration, from_micros};
use tidemill_proto::types::v1::{Completion, Failure, Lease};

use super::*;

mod late;
mod shared;
mod stored;

impl Engine {
    /// How many credits a worker has left.
    pub(crate) fn credits(&self, session: SessionId) -> Option<u32> {
        self.sessions.get(&session).map(Session::credits)
    }

    /// What is in memory, by name, as far as there is anything: nothing of it has a reason when all tasks have ended.
    pub(crate) fn left_over(&self) -> Vec<String> {
        let counts = [
            ("held", self.held.len()),
            ("delayed", self.delayed.len()),
            ("due", self.due.len()),
            ("changed", self.changed.len()),
            ("dependents", self.dependents.len()),
            ("bodies", self.bodies.len()),
            ("fetching", self.fetching),
            ("losses", self.losses.len()),
            ("queued", self.policy.len()),
        ];
        counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("{count} {name}")).collect()
    }

    /// One step: takes in the event, decides, says what is to be done.
    pub(crate) fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.hear(event, now, &mut effects);
        self.pump(now, &mut effects);
        effects
    }
}

const START: Timestamp = Timestamp::from_micros(1_000_000_000_000);

fn ms(millis: u64) -> Timestamp {
    START + Duration::from_millis(millis)
}

fn shard() -> Shard {
    Shard::of_tenant(&"acme".parse().unwrap())
}

fn id(count: i64) -> Id {
    Id::placed(START, shard().place(count))
}

fn task(count: i64) -> Task {
    Task {
        id: id(count).to_string(),
        tenant: "acme".into(),
        kind: "demo".into(),
        priority: 2,
        state: 1,
        max_attempts: 3,
        run_at: Some(from_micros(START.as_micros())),
        ..Task::default()
    }
}

/// A board on which `mine` are this scheduler's at epoch 1, and the rest `other`'s, who is alive if he has any.
fn board(mine: impl Fn(u16) -> bool, left: bool) -> store::ClaimShardsResponse {
    let mut owners = std::collections::BTreeSet::from(["me"]);
    let mut lease = |shard: Shard| {
        let owner = if mine(shard.number()) { "me" } else { "other" };
        owners.insert(owner);
        let (owner, address) = (owner.to_owned(), format!("{owner}:1"));
        let left_over = Some(duration(Duration::from_secs(2)));
        store::ShardLease { shard: shard.number().into(), owner, address, epoch: 1, left_over, left }
    };
    let shards = Shard::all().map(&mut lease).collect();
    let scheduler = |owner: &str| store::Scheduler { owner: owner.into(), address: format!("{owner}:1") };
    store::ClaimShardsResponse { shards, schedulers: owners.into_iter().map(scheduler).collect() }
}

fn on_board(engine: &mut Engine, board: store::ClaimShardsResponse, now: Timestamp) -> Vec<Effect> {
    engine.handle(Event::Board { board: Some(board), asked_at: now }, now)
}

fn hello(
    engine: &mut Engine,
    session: SessionId,
    running: Vec<api::RunningTask>,
    now: Timestamp,
) -> Vec<Effect> {
    let (worker, kinds) = ("w".to_owned(), vec!["demo".to_owned()]);
    let hello = Box::new(api::Hello { worker, kinds, running, ..api::Hello::default() });
    engine.handle(Event::Joined { session, hello }, now)
}

/// An engine that runs all shards, with a worker that has so many credits.
fn engine(credits: u32) -> Engine {
    let config = Config::default();
    let shards = Shards::new("me".into(), "me:1".into(), config.shard_lease(), false);
    let mut engine = Engine::new(config, "me".into(), shards, StdRng::seed_from_u64(1)).unwrap();
    let _ = engine.handle(Event::Tick, START);
    load(&mut engine, 1);
    let _ = hello(&mut engine, 1, Vec::new(), START);
    let _ = engine.handle(Event::Credits { session: 1, count: credits }, START);
    engine
}

fn load(engine: &mut Engine, epoch: i64) {
    let _ = on_board(engine, board(|_| true, true), START);
    for shard in Shard::all() {
        let epoch = (shard, epoch);
        let last_place = shard.place(0);
        let loaded =
            Loaded { epoch, queues: Vec::new(), last_place, running: Vec::new(), settings: Vec::new() };
        let _ = engine.handle(Event::Loaded(Box::new(loaded)), START);
        let _ =
            engine.handle(Event::New { epoch, tasks: Vec::new(), through: last_place, more: false }, START);
    }
}

fn leases(effects: &[Effect]) -> Vec<Lease> {
    let leases = effects.iter().filter_map(|effect| match effect {
        Effect::Say { message: Say::Leases(leases), .. } => Some(leases.leases.clone()),
        _ => None,
    });
    leases.flatten().collect()
}

fn cancelled(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Say { message: Say::Cancel(_), .. }))
}

fn recorded(effects: &[Effect]) -> Vec<(Id, Id)> {
    let ids = |lease: &store::RecordedLease| {
        let task = &lease.attempt.as_ref().unwrap().task_id;
        (task.parse().unwrap(), lease.token.parse().unwrap())
    };
    let leases = effects.iter().filter_map(|effect| match effect {
        Effect::Record { leases, .. } => Some(leases.iter().map(ids).collect::<Vec<_>>()),
        _ => None,
    });
    leases.flatten().collect()
}

fn settlement(effects: &[Effect]) -> Option<Settlement> {
    effects.iter().find_map(|effect| match effect {
        Effect::Settle(settlement) => Some(settlement.clone()),
        _ => None,
    })
}

fn outcome(effects: &[Effect]) -> Option<(bool, bool)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Say { message: Say::Outcomes(said), .. } => {
            said.outcomes.first().map(|outcome| (outcome.accepted, outcome.moved))
        }
        _ => None,
    })
}

/// An engine whose worker holds task 1.
fn holding() -> (Engine, Lease) {
    let mut engine = engine(1);
    let mut given = leases(&engine.handle(Event::Appended(vec![task(1)]), START));
    (engine, given.pop().unwrap())
}

fn completed(lease: &Lease) -> Event {
    let task_id = lease.task.as_ref().unwrap().id.clone();
    let completion = Completion { task_id, token: lease.token.clone(), ..Completion::default() };
    Event::Results {
        session: 1,
        results: api::Results { completions: vec![completion], ..Default::default() },
    }
}

fn named(lease: &Lease) -> api::RunningTask {
    api::RunningTask { task_id: lease.task.as_ref().unwrap().id.clone(), token: lease.token.clone() }
}

#[test]
fn a_task_goes_out_straight_from_its_commit_and_never_without_credit() {
    let (_, lease) = holding();
    assert_eq!(lease.task.unwrap().attempt, 1);
    assert_eq!(leases(&engine(0).handle(Event::Appended(vec![task(1)]), START)), []);
}

#[test]
fn a_lease_is_recorded_when_it_has_lasted_for_100_ms_and_not_if_it_is_over_before() {
    let (mut engine, lease) = holding();
    assert_eq!(recorded(&engine.handle(Event::Tick, ms(99))), []);
    let known = [(id(1), lease.token.parse().unwrap())];
    assert_eq!(recorded(&engine.handle(Event::Tick, ms(100))), known);
    assert_eq!(recorded(&engine.handle(Event::Tick, ms(150))), [], "once");
    let (mut engine, lease) = holding();
    let _ = engine.handle(completed(&lease), ms(10));
    assert_eq!(recorded(&engine.handle(Event::Tick, ms(100))), []);
}

#[test]
fn a_scheduler_whose_shards_have_run_out_hands_nothing_out_and_goes_on_listening() {
    let mut engine = engine(3);
    let late = ms(900) + Duration::from_millis(900);
    let _ = engine.handle(Event::Tick, ms(900));
    let _ = engine.handle(Event::Board { board: None, asked_at: START }, late);
    let over = START + Duration::from_millis(2_001);
    assert_eq!(leases(&engine.handle(Event::Appended(vec![task(1), task(2)]), over)), []);
    assert_eq!(engine.credits(1), Some(3));
    let given = leases(&on_board(&mut engine, board(|_| true, true), over));
    assert_eq!(given.len(), 2, "renewed, it hands out what waited");
}

#[test]
fn who_was_answered_first_goes_first_whichever_schedulers_stored_the_tasks() {
    let mut engine = engine(5);
    let effects = engine.handle(Event::Appended(vec![task(2)]), START);
    assert_eq!(leases(&effects), [], "task 1 is not known yet");
    assert!(effects.contains(&Effect::LoadNew { epoch: (shard(), 1), after: shard().place(0) }));
    let read =
        Event::New { epoch: (shard(), 1), tasks: vec![task(1)], through: shard().place(1), more: true };
    let given: Vec<String> =
        leases(&engine.handle(read, START)).into_iter().map(|lease| lease.task.unwrap().id).collect();
    assert_eq!(given, [task(1).id, task(2).id]);
    assert_eq!(leases(&engine.handle(Event::Appended(vec![task(1), task(2)]), START)), [], "once");
}

#[test]
fn places_that_were_never_used_hold_up_nothing() {
    let mut engine = engine(5);
    let _ = engine.handle(Event::Appended(vec![task(4)]), START);
    let through = shard().place(0);
    let given = leases(
        &engine.handle(Event::New { epoch: (shard(), 1), tasks: vec![], through, more: false }, START),
    );
    assert_eq!(given.len(), 1);
}

#[test]
fn a_result_counts_once_and_one_under_another_token_not_at_all() {
    let (mut engine, lease) = holding();
    let wrong = Lease { token: id(9).to_string(), ..lease.clone() };
    assert_eq!(outcome(&engine.handle(completed(&wrong), START)), Some((false, false)));
    let told = settlement(&engine.handle(completed(&lease), START)).unwrap();
    assert_eq!(told.fence, [(shard(), 1)]);
    assert_eq!(outcome(&engine.handle(completed(&lease), START)), Some((false, false)), "it is being told");
    let settled = Event::Settled { settlement: told, accepted: vec![true], follow_ups: Vec::new() };
    assert_eq!(outcome(&engine.handle(settled, START)), Some((true, false)));
    assert_eq!(engine.left_over(), Vec::<String>::new());
}

#[test]
fn what_is_said_of_a_shard_that_another_runs_is_sent_on() {
    let (mut engine, lease) = holding();
    let _ = on_board(&mut engine, board(|number| number != shard().number(), false), START);
    assert_eq!(outcome(&engine.handle(completed(&lease), START)), Some((false, true)));
    let wake = Effect::WakeOwner { address: "other:1".into() };
    assert!(engine.handle(Event::Appended(vec![task(2)]), START).contains(&wake));
}

#[test]
fn a_lost_worker_that_comes_again_keeps_its_lease_and_is_told_what_holds_no_longer() {
    let (mut engine, lease) = holding();
    let _ = engine.handle(Event::Left { session: 1, lost: true }, START);
    let vain = api::RunningTask { token: id(9).to_string(), ..named(&lease) };
    assert!(cancelled(&hello(&mut engine, 2, vec![vain], ms(100))));
    assert!(!cancelled(&hello(&mut engine, 3, vec![named(&lease)], ms(100))));
    assert_eq!(settlement(&engine.handle(Event::Tick, ms(900))), None);
    let (mut engine, _) = holding();
    let _ = engine.handle(Event::Left { session: 1, lost: true }, START);
    for at in [900, 1_800] {
        assert_eq!(settlement(&engine.handle(Event::Tick, ms(at))), None);
    }
    assert!(
        settlement(&engine.handle(Event::Tick, ms(2_100))).is_some(),
        "after two seconds nobody waits for it"
    );
}

#[test]
fn a_worker_that_leaves_in_good_order_gives_its_leases_back_unspent() {
    let (mut engine, _) = holding();
    let _ = engine.handle(Event::Left { session: 1, lost: false }, START);
    let _ = hello(&mut engine, 2, Vec::new(), START);
    let effects = engine.handle(Event::Credits { session: 2, count: 1 }, START);
    let Some(Effect::Fetch { session, picked }) =
        effects.into_iter().find(|effect| matches!(effect, Effect::Fetch { .. }))
    else {
        panic!("its body went out with the first lease")
    };
    let given = leases(&engine.handle(Event::Fetched { session, picked, tasks: vec![task(1)] }, START));
    assert_eq!(given[0].task.as_ref().unwrap().attempt, 1);
}

#[test]
fn a_snooze_costs_no_attempt_and_a_failure_does() {
    let (mut engine, lease) = holding();
    let api::RunningTask { task_id, token } = named(&lease);
    let until = Some(from_micros(ms(700).as_micros()));
    let snooze = api::Snooze { task_id, token, until, reason: "busy".into() };
    let results = api::Results { snoozes: vec![snooze], ..Default::default() };
    let told = settlement(&engine.handle(Event::Results { session: 1, results }, START)).unwrap();
    assert_eq!(told.endings[0].attempt.number, 0);
    assert!(matches!(told.endings[0].ending, Ending::Failed { retry_at: Some(at), .. } if at == ms(700)));
    let (mut engine, lease) = holding();
    let api::RunningTask { task_id, token } = named(&lease);
    let (error, kind) = ("no".into(), "bad input".into());
    let failure = Failure { task_id, token, error, kind, retryable: false, ..Failure::default() };
    let results = api::Results { failures: vec![failure], ..Default::default() };
    let told = settlement(&engine.handle(Event::Results { session: 1, results }, START)).unwrap();
    assert_eq!(told.endings[0].attempt.number, 1);
    let Ending::Failed { error, retry_at: None } = &told.endings[0].ending else { panic!("it is hopeless") };
    assert_eq!(error, "bad input: no", "by its kind it is found");
}

#[test]
fn a_process_that_stood_still_does_not_take_the_time_from_its_workers() {
    let (mut engine, _) = holding();
    let awake = START + Duration::from_secs(60);
    assert_eq!(settlement(&engine.handle(Event::Tick, awake)), None, "nobody listened to its heartbeats");
    let mut over = None;
    for tick in 1..=11 {
        over = settlement(&engine.handle(Event::Tick, awake + Duration::from_millis(tick * 950)));
    }
    assert!(over.is_some(), "silent for as long as a lease lasts");
}

#[test]
fn a_clock_that_is_set_back_does_not_prolong_the_right_to_a_shard() {
    let mut engine = engine(1);
    let back = START - Duration::from_secs(60);
    let _ = engine.handle(Event::Tick, back);
    for millis in [700, 1_400, 1_999] {
        let _ = engine.handle(Event::Tick, back + Duration::from_millis(millis));
    }
    let over = back + Duration::from_millis(2_001);
    assert_eq!(leases(&engine.handle(Event::Appended(vec![task(1)]), over)), []);
}

#[test]
fn a_shard_that_another_should_have_is_left_only_when_its_leases_are_written() {
    let (mut engine, lease) = holding();
    let claim = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Claim(claim) => Some(claim.clone()),
            _ => None,
        })
    };
    let leaves = |claim: &store::ClaimShardsRequest| {
        claim.leave.iter().any(|left| left.shard == u32::from(shard().number()))
    };
    // `a` comes: it is before `me`, so the second half of the shards is this one's no more, `acme`'s among them.
    let mut two = board(|_| true, true);
    two.schedulers.insert(0, store::Scheduler { owner: "a".into(), address: "a:1".into() });
    let _ = on_board(&mut engine, two.clone(), START);
    let (mut written, mut left_at) = (false, None);
    for tick in 1..80 {
        let now = ms(tick * 25);
        let effects = engine.handle(Event::Tick, now);
        if let Some(claim) = claim(&effects) {
            assert!(written || !leaves(&claim), "at {tick}");
            if leaves(&claim) {
                left_at = Some(tick);
                break;
            }
            let _ = on_board(&mut engine, two.clone(), now);
        }
        if tick == 40 {
            let leases = vec![(id(1), lease.token.parse().unwrap())];
            let _ = engine.handle(Event::Recorded { leases, given_back: Vec::new(), gone: Vec::new() }, now);
            written = true;
        }
    }
    assert_eq!(left_at.is_some(), shard().number() >= 8, "the first half stays");
}
