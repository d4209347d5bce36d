//! Random histories of a pool among schedulers that lease, move shards and lose streams, against a model of the queue.

mod late;
mod slots;

use std::collections::{BTreeMap, HashSet, VecDeque};

use proptest::prelude::*;
use tidemill_kernel::Timestamp;
use tidemill_proto::scheduling::v1::{
    Cancel, Drain, Leases, Outcome, Outcomes, RunningTask, Shards, Welcome, Withdrawn,
};
use tidemill_proto::time::duration;
use tidemill_proto::types::v1::Lease;

use super::*;
use crate::report::News;

const SLOTS: u32 = 8;
const SHARDS: u32 = 4;

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A scheduler leases up to so many tasks of a shard.
    Lease(u32, u32, u32),
    /// A scheduler is heard, the next so many of its messages.
    Deliver(u32, u32),
    /// A scheduler hears the next so many of the worker's.
    Hear(u32, u32),
    /// Of what runs, so many attempts end.
    End(usize),
    /// A shard moves to a scheduler.
    Move(u32, u32),
    /// A stream breaks, with all that was on its way.
    Break(u32),
    /// A pause is over.
    Again(u32),
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    let scheduler = || 1_u32..4;
    prop_oneof![
        4 => (scheduler(), 0..SHARDS, 1_u32..5).prop_map(|(link, shard, count)| Step::Lease(link, shard, count)),
        4 => (scheduler(), 1_u32..4).prop_map(|(link, count)| Step::Deliver(link, count)),
        4 => (scheduler(), 1_u32..4).prop_map(|(link, count)| Step::Hear(link, count)),
        4 => (1_usize..5).prop_map(Step::End),
        1 => (0..SHARDS, scheduler()).prop_map(|(shard, link)| Step::Move(shard, link)),
        1 => scheduler().prop_map(Step::Break),
        2 => scheduler().prop_map(Step::Again),
        1 => Just(Step::Tick),
    ]
}

/// One scheduler: its credits, and what is on its way.
#[derive(Default)]
struct Scheduler {
    is_open: bool,
    credits: u32,
    to_worker: VecDeque<Hear>,
    from_worker: VecDeque<Say>,
}

/// The queue: who runs which shard, which leases hold.
struct World {
    pool: Pool,
    schedulers: BTreeMap<LinkId, Scheduler>,
    owners: BTreeMap<u32, LinkId>,
    leased: HashMap<Id, String>,
    counted: HashSet<Id>,
    /// Put off before they began: they wait again.
    put_off: HashSet<Id>,
    delivered: HashSet<Id>,
    running: Vec<Ticket>,
    places: u64,
    now: Instant,
}

/// A task of a shard.
fn task(shard: u32, place: u64) -> Id {
    let low = 1 << 63 | u64::from(shard) << 48 | place;
    Id::from_bytes((u128::from(low) | 7 << 76).to_be_bytes())
}

fn shard_of(task: Id) -> u32 {
    u32::try_from((u128::from_be_bytes(*task.as_bytes()) & ((1 << 62) - 1)) >> 48).unwrap()
}

impl World {
    fn new() -> Self {
        let hello = Hello { worker: "w".into(), slots: SLOTS, ..Hello::default() };
        let mut world = Self {
            pool: Pool::new(hello),
            schedulers: (1..4).map(|link| (link, Scheduler::default())).collect(),
            owners: (0..SHARDS).map(|shard| (shard, 1 + shard % 3)).collect(),
            leased: HashMap::new(),
            counted: HashSet::new(),
            put_off: HashSet::new(),
            delivered: HashSet::new(),
            running: Vec::new(),
            places: 0,
            now: Instant::now(),
        };
        (1..4).for_each(|link| world.pool.found(link));
        world.obey();
        world
    }

    fn say(&mut self, link: LinkId, message: Hear) {
        self.schedulers.get_mut(&link).unwrap().to_worker.push_back(message);
    }

    fn shards(&mut self, link: LinkId) {
        let numbers = self.owners.iter().filter(|(_, owner)| **owner == link).map(|(shard, _)| *shard);
        let numbers = numbers.collect();
        self.say(link, Hear::Shards(Shards { numbers }));
    }

    /// Carries out what the pool wants.
    fn obey(&mut self) {
        for effect in self.pool.effects() {
            match effect {
                Effect::Open(link, _) => {
                    let scheduler = self.schedulers.get_mut(&link).unwrap();
                    *scheduler = Scheduler { is_open: true, ..Scheduler::default() };
                    let keep = Some(duration(Duration::from_secs(5)));
                    let welcome =
                        Welcome { keep_duration: keep, scheduler: format!("s{link}"), ..Welcome::default() };
                    self.say(link, Hear::Welcome(welcome));
                    self.shards(link);
                }
                Effect::Say(link, message) => {
                    let scheduler = self.schedulers.get_mut(&link).unwrap();
                    if scheduler.is_open {
                        scheduler.from_worker.push_back(message);
                    }
                }
                Effect::Run(jobs, _) => self.running.extend(jobs.into_iter().map(|job| job.ticket)),
                Effect::Stop(ticket, _) => self.running.retain(|running| *running != ticket),
                Effect::Retry(_) | Effect::Close(_) => {}
            }
        }
        assert!(self.pool.committed() <= SLOTS, "{:?}", self.pool);
        assert_eq!(self.pool.busy() as usize, self.running.len());
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Lease(link, shard, count) => self.lease(link, shard, count),
            Step::Deliver(link, count) => (0..count).for_each(|_| self.deliver(link)),
            Step::Hear(link, count) => (0..count).for_each(|_| self.hear(link)),
            Step::End(count) => {
                let count = count.min(self.running.len());
                let ended = self.running.drain(..count).map(|ticket| Ran::Ended(ticket, Ok(Done::default())));
                self.pool.ran(ended.collect());
            }
            Step::Move(shard, link) => {
                let from = self.owners.insert(shard, link).unwrap();
                [from, link].into_iter().for_each(|link| self.shards(link));
            }
            Step::Break(link) => {
                let scheduler = self.schedulers.get_mut(&link).unwrap();
                if std::mem::take(&mut scheduler.is_open) {
                    // What was on its way to the worker is given to others.
                    for message in std::mem::take(scheduler).to_worker {
                        if let Hear::Leases(leases) = message {
                            let lost =
                                leases.leases.iter().map(|lease| lease.token.as_str()).collect::<Vec<_>>();
                            self.leased.retain(|_, token| !lost.contains(&token.as_str()));
                        }
                    }
                    self.pool.lost(link, self.now);
                }
            }
            Step::Again(link) => self.pool.due(link),
            Step::Tick => self.pool.tick(self.now, Vitals::default),
        }
        self.obey();
    }

    fn lease(&mut self, link: LinkId, shard: u32, count: u32) {
        let scheduler = self.schedulers.get_mut(&link).unwrap();
        let count = count.min(scheduler.credits);
        if self.owners[&shard] != link || count == 0 {
            return;
        }
        scheduler.credits -= count;
        let mut leases = Vec::new();
        for _ in 0..count {
            self.places += 1;
            let (task, token) = (task(shard, self.places), format!("token {}", self.places));
            self.leased.insert(task, token.clone());
            let task = Task { id: task.to_string(), ..Task::default() };
            leases.push(Lease { task: Some(Box::new(task)), token, ..Lease::default() });
        }
        self.say(link, Hear::Leases(Leases { leases, batches: Vec::new() }));
    }

    fn deliver(&mut self, link: LinkId) {
        let Some(message) = self.schedulers.get_mut(&link).unwrap().to_worker.pop_front() else { return };
        if let Hear::Leases(leases) = &message {
            let ids =
                leases.leases.iter().map(|lease| lease.task.as_ref().unwrap().id.parse::<Id>().unwrap());
            self.delivered.extend(ids);
        }
        self.pool.heard(link, message, self.now);
        self.obey();
    }

    fn hear(&mut self, link: LinkId) {
        let Some(message) = self.schedulers.get_mut(&link).unwrap().from_worker.pop_front() else { return };
        let scheduler = self.schedulers.get_mut(&link).unwrap();
        match message {
            Say::Credits(credits) => scheduler.credits += credits.count,
            Say::Withdraw(withdraw) => {
                let count = withdraw.count.min(scheduler.credits);
                scheduler.credits -= count;
                self.say(link, Hear::Withdrawn(Withdrawn { count }));
            }
            Say::Results(results) => {
                let mut outcomes = Vec::new();
                for one in results.completions {
                    outcomes.push(self.settle(link, one.task_id, &one.token, true));
                }
                for one in results.snoozes {
                    outcomes.push(self.settle(link, one.task_id, &one.token, false));
                }
                self.say(link, Hear::Outcomes(Outcomes { outcomes }));
            }
            _ => {}
        }
    }

    fn settle(&mut self, link: LinkId, task_id: String, token: &str, is_done: bool) -> Outcome {
        let task: Id = task_id.parse().unwrap();
        if self.owners[&shard_of(task)] != link {
            return Outcome { task_id, moved: true, accepted: false };
        }
        let accepted = self.leased.get(&task).is_some_and(|leased| leased == token);
        if accepted {
            self.leased.remove(&task);
            let over = if is_done { &mut self.counted } else { &mut self.put_off };
            assert!(over.insert(task), "{task} counted twice");
        }
        Outcome { task_id, accepted, moved: false }
    }

    /// Lets everything that is on its way arrive and everything that runs end, until nothing is left to be done.
    fn settle_down(&mut self) {
        for _ in 0..32 {
            for link in 1..4 {
                self.step(Step::Again(link));
                self.step(Step::Deliver(link, 64));
                self.step(Step::Hear(link, 64));
            }
            self.step(Step::End(64));
            self.step(Step::Tick);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_lease_that_arrives_counts_once_or_is_put_off_and_no_slot_is_lost(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle_down();
        prop_assert!(world.pool.held.is_empty(), "{:?}", world.pool.held);
        let over: HashSet<Id> = world.counted.union(&world.put_off).copied().collect();
        let lost: Vec<_> = world.delivered.difference(&over).collect();
        prop_assert!(lost.is_empty(), "{lost:?} arrived and did not count");
        let credits: u32 = world.schedulers.values().map(|scheduler| scheduler.credits).sum();
        prop_assert_eq!(credits, SLOTS);
    }
}

/// A pool with one scheduler that keeps leases for five seconds, and one lease.
fn leased() -> (World, Ticket) {
    let mut world = World::new();
    world.settle_down();
    world.step(Step::Lease(1, 0, 1));
    world.step(Step::Deliver(1, 1));
    let ticket = world.running[0];
    (world, ticket)
}

#[test]
fn an_attempt_whose_scheduler_stays_away_is_given_up_when_its_lease_is_over() {
    let (mut world, ticket) = leased();
    world.step(Step::Break(1));
    world.now += Duration::from_secs(4);
    world.step(Step::Tick);
    assert_eq!(world.running, [ticket], "it may be kept still");
    world.now += Duration::from_secs(2);
    world.step(Step::Tick);
    assert!(world.running.is_empty() && world.pool.held.is_empty());
}

#[test]
fn a_lease_of_a_shard_that_another_scheduler_runs_by_now_is_put_off_and_displaces_nothing() {
    let mut world = World::new();
    world.settle_down();
    world.step(Step::Lease(1, 0, 1));
    world.step(Step::Move(0, 2));
    world.step(Step::Deliver(2, 1));
    world.step(Step::Deliver(1, 1));
    assert!(world.running.is_empty(), "it is late");
    world.settle_down();
    assert_eq!((world.put_off.len(), world.counted.len()), (1, 0));

    world.step(Step::Lease(2, 0, 1));
    world.step(Step::Deliver(2, 1));
    let [ticket] = world.running[..] else { panic!("{:?}", world.running) };
    let task = Task { id: ticket.task.to_string(), ..Task::default() };
    let stale = Lease { task: Some(Box::new(task)), token: "stale".into(), ..Lease::default() };
    world.pool.heard(1, Hear::Leases(Leases { leases: vec![stale], batches: Vec::new() }), world.now);
    world.obey();
    assert_eq!(world.running, [ticket]);
}

#[test]
fn an_attempt_is_cancelled_by_its_task_or_under_its_very_token() {
    let (mut world, ticket) = leased();
    let attempt = |token: &str| RunningTask { task_id: ticket.task.to_string(), token: token.into() };
    let cancel = |attempts| Hear::Cancel(Cancel { task_ids: Vec::new(), attempts });
    world.pool.heard(1, cancel(vec![attempt("another")]), world.now);
    world.obey();
    assert_eq!(world.running, [ticket]);
    world.pool.heard(1, cancel(vec![attempt("token 1")]), world.now);
    world.obey();
    assert!(world.running.is_empty());
}

#[test]
fn what_an_attempt_said_is_sent_together_and_before_its_failure() {
    let (mut world, ticket) = leased();
    let sent = &mut world.schedulers.get_mut(&1).unwrap().from_worker;
    sent.clear();
    let report = |news| Report { ticket, news };
    world.pool.reported(report(News::Progress(10.0, "early".into())));
    world.pool.reported(report(News::Progress(120.0, "x".repeat(2_000))));
    world.pool.reported(report(News::Checkpoint(b"page 7".to_vec())));
    world.pool.reported(report(News::Checkpoint(vec![0; 65 << 10])));
    let until = Timestamp::from_micros(9_000_000);
    world.pool.reported(report(News::CloseKey("model".into(), until, "429".into())));
    let failed = Failed::snooze(until, "busy");
    world.running.clear();
    world.pool.ran(vec![Ran::Ended(ticket, Err(failed))]);
    world.obey();
    let sent = &world.schedulers[&1].from_worker;
    let [Say::CloseKey(close), Say::Progress(progress), Say::Results(results), Say::Credits(_)] =
        sent.iter().collect::<Vec<_>>()[..]
    else {
        panic!("{sent:?}")
    };
    assert_eq!((close.key.as_str(), close.token.as_str()), ("model", "token 1"));
    assert_eq!((progress.percent, progress.note.len()), (100.0, 1_024));
    assert_eq!(progress.checkpoint, b"page 7");
    assert_eq!(results.snoozes[0].reason, "busy");
}

#[test]
fn a_scheduler_that_drains_is_closed_when_nothing_is_left_for_it_and_its_credits_move() {
    let (mut world, _) = leased();
    world.pool.heard(1, Hear::Drain(Drain {}), world.now);
    let closes = |pool: &Pool| pool.effects.iter().any(|effect| matches!(effect, Effect::Close(1)));
    assert!(!closes(&world.pool), "it runs a task of its own");
    assert_eq!(world.pool.committed(), SLOTS);
    world.obey();
    world.step(Step::End(1));
    world.step(Step::Hear(1, 64));
    let outcome = world.schedulers.get_mut(&1).unwrap().to_worker.pop_back().unwrap();
    world.pool.heard(1, outcome, world.now);
    assert!(closes(&world.pool));
}
