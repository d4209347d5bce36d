//! The workers: the product's own, each with a tap on its line to each scheduler, and a handler that notes when attempts begin
//! and end, and draws how.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tidemill_chassis::SystemClock;
use tidemill_chassis::discovery::{Address, Follow, Instance};
use tidemill_kernel::{Clock, Id};
use tidemill_proto::types::v1::NewTask;
use tidemill_scheduling::checker::{Event, Queue};
use tidemill_tests::harness::poll;
use tidemill_worker::{Attempt, Config, Done, Failed, Handler, Schedulers, Worker};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::client::{KINDS, options};
use super::log::Log;
use super::tap::Tap;

/// How many tasks a worker runs at once.
pub(crate) const SLOTS: u32 = 6;
const WORKERS: usize = 3;

/// All workers.
pub(crate) struct Crew {
    hands: Vec<Hand>,
    working: JoinSet<()>,
}

/// A worker, by its lines.
pub(crate) struct Hand {
    /// Its name.
    pub(crate) name: String,
    lines: Vec<Tap>,
}

impl Hand {
    /// Breaks its streams, or only the one to a scheduler.
    pub(crate) fn cut(&self, only: Option<usize>) {
        let cut = |(index, _): &(usize, &Tap)| only.is_none_or(|only| only == *index);
        self.lines.iter().enumerate().filter(cut).for_each(|(_, tap)| tap.cut());
    }
}

impl Crew {
    /// Sets all to work until `stop`.
    pub(crate) fn start(
        schedulers: &[Address],
        log: &Arc<Log>,
        seed: u64,
        stop: CancellationToken,
    ) -> Result<Self> {
        let mut crew = Self { hands: Vec::new(), working: JoinSet::new() };
        for number in 0..WORKERS {
            let name = format!("w{number}");
            let tap = |address: &Address| {
                Ok(Tap::on(address.clone(), super::wire("scheduling", address)?, Arc::clone(log)))
            };
            let lines: Vec<Tap> = schedulers.iter().map(tap).collect::<Result<_>>()?;
            let reached: Vec<(Address, Tap)> =
                schedulers.iter().cloned().zip(lines.iter().cloned()).collect();
            let instances = schedulers.iter().cloned().map(Instance::at).collect();
            let all = Schedulers::following(Follow::always(instances), move |address| {
                reached.iter().find(|(known, _)| known == address).map(|(_, tap)| tap.wire())
            });
            let handler = Arc::new(Noting { worker: name.clone(), log: Arc::clone(log), seed });
            let kinds = KINDS.iter();
            let worker = Worker::new(name.clone()).config(Config::with_slots(SLOTS));
            let worker = kinds.fold(worker, |worker, kind| worker.kind(*kind, handler.clone()));
            crew.working.spawn(worker.run(all, stop.clone()));
            crew.hands.push(Hand { name, lines });
        }
        Ok(crew)
    }

    /// One of them.
    pub(crate) fn hand(&self, index: usize) -> &Hand {
        &self.hands[index % self.hands.len()]
    }

    /// Waits until all have stopped.
    pub(crate) async fn ended(mut self) {
        while self.working.join_next().await.is_some() {}
    }
}

/// Notes attempts.
struct Noting {
    worker: String,
    log: Arc<Log>,
    seed: u64,
}

/// Notes the end of an attempt, also of one that is dropped.
struct Running {
    token: Id,
    log: Arc<Log>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.log.note(Event::Stopped { token: self.token, at: self.log.now() });
    }
}

#[async_trait]
impl Handler for Noting {
    async fn run(&self, attempt: Attempt) -> Result<Done, Failed> {
        let task = attempt.task;
        let mut words = task.payload.splitn(3, ' ');
        let (token, scheduler) = (words.next().and_then(|token| token.parse::<Id>().ok()), words.next());
        let (Some(token), Some(scheduler), Ok(id)) = (token, scheduler, task.id.parse()) else {
            return Err(Failed::for_good(format!("`{}` did not come through a tap", task.payload)));
        };
        self.log.note(Event::Started {
            task: id,
            token,
            queue: Queue { tenant: task.tenant, priority: task.priority, kind: task.kind },
            attempt: u32::try_from(task.attempt).unwrap_or_default(),
            worker: self.worker.clone(),
            scheduler: scheduler.to_owned(),
            at: self.log.now(),
        });
        let _running = Running { token, log: Arc::clone(&self.log) };
        let [.., low] = *token.as_bytes();
        let drawn = u64::try_from(token.place()).unwrap_or_default().rotate_left(8) ^ u64::from(low);
        let mut rng = StdRng::seed_from_u64(self.seed ^ drawn);
        let most = if rng.random_bool(0.03) { 4_000 } else { 60 };
        poll::pass(Duration::from_millis(rng.random_range(0..most))).await;
        outcome(token, &mut rng)
    }
}

/// Mostly a result, which is the token, and now and then a task that follows from it.
fn outcome(token: Id, rng: &mut StdRng) -> Result<Done, Failed> {
    let done = Done::with(token.to_string());
    match rng.random_range(0..100) {
        0..80 => Ok(done),
        80..86 => {
            let follow = NewTask {
                kind: KINDS[0].to_owned(),
                payload: token.to_string(),
                options: options(),
                ..NewTask::default()
            };
            Ok(Done { follow_ups: vec![follow], ..done })
        }
        86..93 => Err(Failed::for_now("a passing fault")),
        93..95 => Err(Failed::for_good("a fault that lasts")),
        _ => {
            let until = SystemClock.now() + Duration::from_millis(rng.random_range(0..500));
            Err(Failed::snooze(until, "busy"))
        }
    }
}
