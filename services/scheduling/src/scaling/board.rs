//! Who works and how much: each worker's stream notes what passes over it, and a sample adds it up, with what other schedulers
//! tell of theirs. Workers have a stream to every scheduler, so who is there each of them sees by itself; what is started and
//! ended passes over the stream to the scheduler of the task alone.
//!
//! A worker says which tasks ended, not of which kind they were: its ends are shared out among its kinds as its starts were, which
//! is exact for a worker of one kind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidemill_proto::scheduling::v1::work_request::Message as Heard;
use tidemill_proto::scheduling::v1::work_response::Message as Said;
use tidemill_proto::scheduling::v1::{Hello, Leases};

use super::measure::{Counts, Sample, Seat};

/// All workers of a scheduler. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    chairs: BTreeMap<u64, Arc<Mutex<Tally>>>,
    /// What workers did that have left.
    past: BTreeMap<String, Counts>,
    /// Tasks that wait, and those that this scheduler's workers run, by kind.
    waiting: BTreeMap<String, u64>,
    running: BTreeMap<String, u64>,
    /// The other schedulers.
    peers: BTreeMap<String, Peer>,
}

/// What another scheduler has told of its workers.
#[derive(Debug, Default)]
struct Peer {
    /// At first, which was before: it is no growth.
    first: BTreeMap<String, Counts>,
    last: BTreeMap<String, Counts>,
    is_there: bool,
}

/// What one worker has done.
#[derive(Debug, Default)]
struct Tally {
    worker: String,
    /// Its kinds, and how many attempts of each were started.
    kinds: Vec<(String, u64)>,
    slots: u32,
    cpu: Option<f64>,
    ended: u64,
    failed: u64,
}

/// One worker's place, for as long as its stream lasts.
#[derive(Debug)]
pub(crate) struct Chair {
    board: Board,
    number: u64,
    tally: Arc<Mutex<Tally>>,
}

impl Board {
    /// A worker came.
    pub(crate) fn join(&self, hello: &Hello) -> Arc<Chair> {
        let tally = Tally {
            worker: hello.worker.clone(),
            kinds: hello.kinds.iter().map(|kind| (kind.clone(), 0)).collect(),
            slots: hello.slots,
            ..Tally::default()
        };
        let tally = Arc::new(Mutex::new(tally));
        let mut state = lock(&self.0);
        state.next += 1;
        let number = state.next;
        state.chairs.insert(number, Arc::clone(&tally));
        drop(state);
        Arc::new(Chair { board: self.clone(), number, tally })
    }

    /// So many tasks wait, by kind.
    pub(crate) fn wait(&self, waiting: BTreeMap<String, u64>) {
        lock(&self.0).waiting = waiting;
    }

    /// So many tasks of this scheduler run, by kind, and these other ones are there.
    pub(crate) fn run(&self, running: BTreeMap<String, u64>, others: impl Iterator<Item = String>) {
        let mut state = lock(&self.0);
        state.running = running;
        let others: BTreeSet<String> = others.collect();
        state.peers.iter_mut().for_each(|(name, peer)| peer.is_there = others.contains(name));
    }

    /// What another scheduler tells of its workers.
    pub(crate) fn hear(&self, scheduler: String, kinds: BTreeMap<String, Counts>) {
        let mut state = lock(&self.0);
        let new = || Peer { first: kinds.clone(), ..Peer::default() };
        let peer = state.peers.entry(scheduler).or_insert_with(new);
        (peer.last, peer.is_there) = (kinds, true);
    }

    /// What workers did for this scheduler alone.
    pub(crate) fn own(&self) -> BTreeMap<String, Counts> {
        lock(&self.0).own()
    }

    /// Everything added up.
    pub(crate) fn sample(&self) -> Sample {
        let state = lock(&self.0);
        let mut sample = Sample { kinds: state.own(), workers: Vec::new() };
        state.peers.values().for_each(|peer| peer.add_to(&mut sample.kinds));
        for tally in state.chairs.values() {
            let tally = lock(tally);
            sample.workers.push(Seat {
                worker: tally.worker.clone(),
                kinds: tally.kinds.iter().map(|(kind, _)| kind.clone()).collect(),
                slots: tally.slots,
                cpu: tally.cpu,
            });
        }
        for (kind, waiting) in &state.waiting {
            sample.kinds.entry(kind.clone()).or_default().waiting = *waiting;
        }
        sample
    }
}

impl State {
    fn own(&self) -> BTreeMap<String, Counts> {
        let mut kinds = self.past.clone();
        self.chairs.values().for_each(|tally| lock(tally).add_to(&mut kinds));
        for (kind, running) in &self.running {
            kinds.entry(kind.clone()).or_default().running = *running;
        }
        kinds
    }
}

impl Peer {
    fn add_to(&self, kinds: &mut BTreeMap<String, Counts>) {
        for (kind, last) in &self.last {
            let first = self.first.get(kind).copied().unwrap_or_default();
            let counts = kinds.entry(kind.clone()).or_default();
            counts.started += last.started.saturating_sub(first.started);
            counts.ended += last.ended.saturating_sub(first.ended);
            counts.failed += last.failed.saturating_sub(first.failed);
            counts.running += if self.is_there { last.running } else { 0 };
        }
    }
}

impl Chair {
    /// The worker said something.
    pub(crate) fn heard(&self, message: &Heard) {
        match message {
            Heard::Results(results) => {
                let failed = results.failures.len();
                let ended = results.completions.len() + failed + results.snoozes.len();
                let mut tally = lock(&self.tally);
                tally.ended += number(ended);
                tally.failed += number(failed);
            }
            Heard::Heartbeat(beat) => {
                lock(&self.tally).cpu = Some(beat.cpu).filter(|cpu| (0.0..=1.0).contains(cpu));
            }
            _ => {}
        }
    }

    /// The worker was told something.
    pub(crate) fn said(&self, message: &Said) {
        if let Said::Leases(leases) = message {
            lock(&self.tally).start(leases);
        }
    }
}

impl Drop for Chair {
    fn drop(&mut self) {
        let mut state = lock(&self.board.0);
        state.chairs.remove(&self.number);
        lock(&self.tally).add_to(&mut state.past);
    }
}

impl Tally {
    fn start(&mut self, leases: &Leases) {
        for task in leases.leases.iter().filter_map(|lease| lease.task.as_ref()) {
            if let Some((_, started)) = self.kinds.iter_mut().find(|(kind, _)| *kind == task.kind) {
                *started += 1;
            }
        }
    }

    /// Adds what it did.
    fn add_to(&self, kinds: &mut BTreeMap<String, Counts>) {
        let all: u64 = self.kinds.iter().map(|(_, started)| started).sum();
        let part = |count: u64, started: u64| {
            let share = u128::from(count) * u128::from(started) / u128::from(all.max(1));
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        for (kind, started) in &self.kinds {
            let ended = part(self.ended, *started).min(*started);
            let counts = kinds.entry(kind.clone()).or_default();
            counts.started += started;
            counts.ended += ended;
            counts.failed += part(self.failed, *started);
        }
    }
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// No holder of a lock of this file can leave what it guards half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tidemill_proto::scheduling::v1::{Heartbeat, Results};
    use tidemill_proto::types::v1::{Completion, Failure, Lease, Task};

    use super::*;

    fn leases(kind: &str, count: usize) -> Said {
        let task = Task { kind: kind.to_owned(), ..Task::default() };
        let lease = Lease { task: Some(Box::new(task)), ..Lease::default() };
        Said::Leases(Leases { leases: vec![lease; count], batches: Vec::new() })
    }

    #[test]
    fn what_workers_do_is_added_up_and_outlives_them() {
        let board = Board::default();
        let hello = Hello { worker: "w".into(), kinds: vec!["a".into()], slots: 4, ..Hello::default() };
        let chair = board.join(&hello);
        chair.said(&leases("a", 10));
        let failures = vec![Failure::default(); 2];
        chair.heard(&Heard::Results(Results {
            completions: vec![Completion::default(); 5],
            failures,
            ..Results::default()
        }));
        chair.heard(&Heard::Heartbeat(Heartbeat { cpu: 0.5, ..Heartbeat::default() }));
        board.wait(BTreeMap::from([("a".into(), 3), ("b".into(), 9)]));
        board.run(BTreeMap::from([("a".into(), 3)]), std::iter::empty());
        let sample = board.sample();
        assert_eq!(sample.kinds["a"], Counts { started: 10, ended: 7, failed: 2, waiting: 3, running: 3 });
        assert_eq!(sample.kinds["b"].waiting, 9);
        assert_eq!((sample.workers[0].slots, sample.workers[0].cpu), (4, Some(0.5)));
        drop(chair);
        board.run(BTreeMap::new(), std::iter::empty());
        let sample = board.sample();
        assert_eq!(sample.kinds["a"], Counts { started: 10, ended: 7, failed: 2, waiting: 3, running: 0 });
        assert!(sample.workers.is_empty());
    }

    #[test]
    fn ends_of_a_worker_of_two_kinds_are_shared_out_as_its_starts() {
        let board = Board::default();
        let hello = Hello { kinds: vec!["a".into(), "b".into()], ..Hello::default() };
        let chair = board.join(&hello);
        chair.said(&leases("a", 30));
        chair.said(&leases("b", 10));
        chair.heard(&Heard::Results(Results {
            completions: vec![Completion::default(); 20],
            ..Results::default()
        }));
        let sample = board.sample();
        assert_eq!((sample.kinds["a"].ended, sample.kinds["b"].ended), (15, 5));
    }

    #[test]
    fn what_other_schedulers_tell_is_added_from_when_they_were_heard_first() {
        let board = Board::default();
        let told = |started, ended, running| {
            let counts = Counts { started, ended, failed: 0, waiting: 0, running };
            BTreeMap::from([("a".to_owned(), counts)])
        };
        let counts = || {
            let counts = board.sample().kinds["a"];
            (counts.started, counts.ended, counts.running)
        };
        board.run(BTreeMap::from([("a".into(), 2)]), std::iter::empty());
        board.hear("one".into(), told(1_000, 990, 10));
        assert_eq!(counts(), (0, 0, 12), "what it did before is no load of now");
        board.hear("one".into(), told(1_040, 1_015, 25));
        board.hear("two".into(), told(7, 7, 0));
        assert_eq!(counts(), (40, 25, 27));
        board.hear("two".into(), told(17, 12, 5));
        assert_eq!(counts(), (50, 30, 32));
        board.run(BTreeMap::from([("a".into(), 12)]), ["two".to_owned()].into_iter());
        assert_eq!(counts(), (50, 30, 17), "one is gone: what it did stays done, its shards run elsewhere");
        assert_eq!(board.own()["a"], Counts { running: 12, ..Counts::default() });
    }
}
