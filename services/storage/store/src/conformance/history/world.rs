//! One store with what its callers remember of it: the tasks that came, by number, and the boards that owners saw.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Debug;
use std::time::Duration;

use tidemill_kernel::{Id, Priority, Shard, TenantName, Timestamp};

use super::{Done, Failed, New, Wish};
use crate::conformance::fixture::{
    Shared, analysis, attempt, claim, completion, document, failure, keyed, lease, moved, name, page, query,
    unknown,
};
use crate::conformance::selecting;
use crate::task::{
    Attempt, Board, Claim, Completion, Failure, Fence, NewTask, Progress, RecordedLease, Reference, Steering,
    TaskFilter, TaskState, TenantTasks,
};
use crate::{Error, Result};

/// Far longer than any store is late with what it sweeps.
pub(super) const MONTH: Duration = Duration::from_hours(30 * 24);

/// One store and what its callers know.
pub(super) struct World {
    pub(super) store: Shared,
    /// By number.
    tasks: Vec<Id>,
    numbers: HashMap<Id, usize>,
    /// Those whose lease may have been recorded.
    recorded: HashSet<Id>,
    /// Up to where each shard was looked at.
    seen: BTreeMap<Shard, i64>,
    /// What each owner saw last, and what anybody did.
    boards: HashMap<u8, Board>,
    latest: Board,
}

pub(super) fn tenant(number: u8) -> TenantName {
    name(&format!("t{number}"))
}

fn shards() -> [Shard; 3] {
    [0, 1, 2].map(|number| Shard::of_tenant(&tenant(number)))
}

/// The groups, and none.
const GROUPS: [&str; 4] = ["", "", "g", "h"];

/// Some without a key, some whose key is soon swept, some whose key stays for some months; some are kept, some not.
fn new_task(&(key, keep, priority, group): &New, number: usize, now: Timestamp) -> NewTask {
    let keys = [("", 0), ("a", 5), ("b", 5), ("c", 8_000_000), ("", 0), ("b", 8_000_000), ("c", 5)];
    let (unique, (key, until)) = (key > 4, keys[usize::from(key)]);
    let keep = [None, None, Some(0), Some(1), Some(9_000_000)][usize::from(keep % 5)];
    NewTask {
        keep: keep.map(Duration::from_secs),
        key_until: if key.is_empty() { Timestamp::default() } else { now + Duration::from_secs(until) },
        run_at: now,
        unique,
        priority: Priority::ALL[usize::from(priority)],
        group: GROUPS[usize::from(group % 4)].to_owned(),
        options: if number.is_multiple_of(3) { Vec::new() } else { vec![16, priority + 1] },
        ..keyed(number as u128, key)
    }
}

impl World {
    pub(super) fn new(store: Shared) -> Self {
        let seen = shards().map(|shard| (shard, shard.place(0)));
        let empty = || (HashMap::new(), HashSet::new());
        let ((numbers, recorded), seen) = (empty(), seen.into());
        Self {
            store,
            tasks: Vec::new(),
            numbers,
            recorded,
            seen,
            boards: HashMap::new(),
            latest: Board::default(),
        }
    }

    /// Gives numbers to the tasks that came since the last look.
    pub(super) async fn look(&mut self) {
        for (shard, seen) in &mut self.seen {
            for task in self.store.load_new(*shard, *seen, 1_000).await.unwrap() {
                assert!(task.id.place() > *seen);
                *seen = task.id.place();
                self.numbers.insert(task.id, self.tasks.len());
                self.tasks.push(task.id);
            }
        }
    }

    /// All names of tasks and groups.
    pub(super) fn references(&self) -> Vec<Reference> {
        let by_id = self.tasks.iter().copied().map(Reference::Task);
        let by_key = ["a", "b", "c"].map(|key| Reference::Key(key.to_owned()));
        let groups = GROUPS[2..].iter().map(|group| Reference::Group((*group).to_owned()));
        by_id.chain(by_key).chain(groups).collect()
    }

    /// Its tasks by numbers; now and then none that there is.
    pub(super) fn task(&self, number: u8) -> Id {
        match self.tasks.len() {
            0 => unknown(&tenant(0)),
            count if number < 60 => self.tasks[usize::from(number) % count],
            count => moved(self.tasks[usize::from(number) % count]),
        }
    }

    /// One of its tasks and its tenant, or another tenant.
    pub(super) fn task_of(&self, number: u8, foreign: bool) -> (TenantName, Id) {
        let id = self.task(number);
        let own =
            (0..3).find(|of| Shard::of_tenant(&tenant(*of)) == Shard::of_place(id.place())).unwrap_or(0);
        (tenant((own + u8::from(foreign)) % 3), id)
    }

    /// One that is finished, where there is one, and its tenant, or another tenant.
    pub(super) async fn finished(&self, number: u8, foreign: bool) -> (TenantName, Id) {
        let state = TaskState::ALL[2 + usize::from(number / 3) % 3];
        let tasks =
            self.store.page_tasks(&tenant(number % 3), Some(state), None, page(20)).await.unwrap().items;
        if tasks.is_empty() {
            return self.task_of(number, foreign);
        }
        (tenant((number + u8::from(foreign)) % 3), tasks[usize::from(number) % tasks.len()].id)
    }

    /// Steers a tenant's tasks, in steps of a size.
    pub(super) async fn steer(
        &self,
        number: u8,
        (revive, state): (bool, u8),
        (error, group): (bool, u8),
        step: (u32, bool),
        now: Timestamp,
    ) -> String {
        let steering = if revive { Steering::Revive } else { Steering::Cancel };
        let state = steering.states().get(usize::from(state)).copied();
        let error = if error { "no luck".to_owned() } else { String::new() };
        let group = GROUPS.get(usize::from(group)).copied().unwrap_or("").to_owned();
        let filter = TaskFilter { state, error, group, ..TaskFilter::default() };
        format!("{:?}", selecting::steer(&self.store, &tenant(number), steering, &filter, step, now).await)
    }

    /// The same text with the numbers of tasks instead of their ids.
    pub(super) fn plain(&self, text: &str) -> String {
        let (mut plain, mut rest) = (String::new(), text);
        while let Some(dash) = rest.find('-') {
            let start = dash.saturating_sub(8);
            let id: Option<Id> = rest.get(start..start + 36).and_then(|text| text.parse().ok());
            let number = id.and_then(|id| Some((id.moment(), self.numbers.get(&self.unmoved(id))?)));
            if let Some((moment, number)) = number {
                plain += &format!("{}#{number} of {moment}", &rest[..start]);
                rest = &rest[start + 36..];
            } else {
                plain += &rest[..=dash];
                rest = &rest[dash + 1..];
            }
        }
        plain + rest
    }

    /// Undoes [`moved`].
    fn unmoved(&self, id: Id) -> Id {
        let before = Id::placed(id.moment() - Duration::from_micros(1), id.place());
        if self.numbers.contains_key(&before) { before } else { id }
    }

    /// What the owner believes to hold.
    fn held(&self, owner: u8) -> Vec<(Shard, i64)> {
        let board = self.boards.get(&owner).into_iter().flat_map(|board| &board.shards);
        let held = board.filter(|lease| lease.owner == format!("o{owner}"));
        held.map(|lease| (lease.shard, lease.epoch)).collect()
    }

    fn fence(&self, owner: u8) -> Fence {
        Fence(self.held(owner))
    }

    pub(super) async fn append(&mut self, tasks: &[Vec<New>; 3], now: Timestamp) -> String {
        let batches = (0..).zip(tasks).filter(|(_, tasks)| !tasks.is_empty()).map(|(of, tasks)| {
            let tasks = (self.tasks.len()..).zip(tasks).map(|(number, task)| new_task(task, number, now));
            TenantTasks { tenant: tenant(of), tasks: tasks.collect() }
        });
        let appended = self.store.append_tasks(batches.collect(), now).await;
        self.look().await;
        format!("{appended:?}")
    }

    pub(super) async fn claim(
        &mut self,
        owner: u8,
        wishes: [Wish; 3],
        (informed, force): (bool, bool),
        seconds: u8,
        now: Timestamp,
    ) -> String {
        let held = self.held(owner);
        let board = if informed { Some(&self.latest) } else { self.boards.get(&owner) };
        let epochs: HashMap<Shard, i64> = board
            .into_iter()
            .flat_map(|board| &board.shards)
            .map(|lease| (lease.shard, lease.epoch))
            .collect();
        let until = now + Duration::from_secs(u64::from(seconds));
        let mut asked = Claim { force, until, ..claim(&format!("o{owner}")) };
        for (shard, wish) in shards().into_iter().zip(wishes) {
            let mine = held.iter().find(|(held, _)| *held == shard).copied();
            match wish {
                Wish::Nothing => {}
                Wish::Take => asked.take.push((shard, epochs.get(&shard).copied().unwrap_or(0))),
                Wish::Renew => asked.renew.extend(mine),
                Wish::Leave => asked.leave.extend(mine),
            }
        }
        let mut board = self.store.claim_shards(asked, now).await.unwrap();
        // A time that is over may be told as any that is.
        for lease in board.shards.iter_mut().filter(|lease| lease.until <= now) {
            lease.until = Timestamp::default();
        }
        self.boards.insert(owner, board.clone());
        self.latest = board.clone();
        format!("{board:?}")
    }

    pub(super) async fn record(
        &mut self,
        owner: u8,
        leases: &[(u8, u8, u8)],
        back: &[u8],
        now: Timestamp,
    ) -> String {
        let mut named = HashSet::new();
        let leases: Vec<RecordedLease> = leases
            .iter()
            .map(|&(task, number, token)| RecordedLease {
                attempt: self.attempt(owner, task, number, now),
                ..lease(self.task(task), u128::from(token))
            })
            .filter(|lease| named.insert(lease.attempt.task))
            .collect();
        let back: HashSet<Id> = back.iter().map(|task| self.task(*task)).collect();
        if leases.is_empty() && back.is_empty() {
            return String::new();
        }
        self.recorded.extend(named);
        let vain = self.store.record_leases(self.fence(owner), leases, back.into_iter().collect()).await;
        told(vain.map(|mut vain| {
            vain.sort_by_key(|id| self.numbers.get(id));
            vain
        }))
    }

    pub(super) async fn progress(&mut self, owner: u8, rows: &[(u8, bool)], now: Timestamp) -> String {
        let mut named = HashSet::new();
        let rows: Vec<Progress> = rows
            .iter()
            .map(|&(task, checkpoint)| Progress {
                task: self.task(task),
                progress: format!("{task} by {owner} at {now}"),
                checkpoint: checkpoint.then(|| vec![task, owner]),
            })
            .filter(|row| named.insert(row.task))
            .collect();
        if rows.is_empty() {
            return String::new();
        }
        told(self.store.save_progress(self.fence(owner), rows).await)
    }

    pub(super) async fn settle(
        &mut self,
        owner: u8,
        done: &[Done],
        failed: &[Failed],
        now: Timestamp,
    ) -> String {
        if done.is_empty() && failed.is_empty() {
            return String::new();
        }
        let completions = done.iter().map(|&(task, number, of, follows)| {
            let analysis = of.map(|(of, about)| {
                let output = analysis(&format!("{{\"by\":{task}}}"));
                (query(u128::from(of)).id, document(u128::from(about)).id, output)
            });
            let follow_ups = follows.map(|key| new_task(&(key, key, 1, key), self.tasks.len(), now));
            let follow_ups = follow_ups.into_iter().collect();
            Completion { analysis, follow_ups, ..completion(self.attempt(owner, task, number, now)) }
        });
        let failures = failed.iter().map(|&(task, number, again)| {
            let error = format!("no luck at {now}");
            let retry_at = again.then_some(now);
            Failure { retry_at, error, ..failure(self.attempt(owner, task, number, now)) }
        });
        let (completions, failures) = (completions.collect(), failures.collect());
        let settled = self.store.settle_tasks(self.fence(owner), completions, failures, now).await;
        self.look().await;
        told(settled)
    }

    fn attempt(&self, owner: u8, task: u8, number: u8, now: Timestamp) -> Attempt {
        let id = self.task(task);
        Attempt {
            worker: format!("w{owner}"),
            started_at: now,
            recorded: self.recorded.contains(&id) || task.is_multiple_of(3),
            ..attempt(id, u32::from(number))
        }
    }

    pub(super) async fn sweep(&self, now: Timestamp) -> String {
        // Far more often than there are tasks and keys.
        for _ in 0..1_000 {
            if self.store.sweep(Duration::from_hours(24), 3, now).await.unwrap() == 0 {
                return String::new();
            }
        }
        panic!("the sweep does not end")
    }
}

/// An answer as text. Which of several passed shards a fence names is the store's choice.
fn told(answer: Result<impl Debug>) -> String {
    match answer {
        Err(Error::Fenced { .. }) => "fenced".to_owned(),
        other => format!("{other:?}"),
    }
}
