//! Decisions per second of the policy alone, without store and wire: what enqueueing, picking and finishing a task costs
//! with one tenant, with 100,000 tenants and ten million tasks, with windows over a store, and with every limit set; and
//! the memory that a waiting task takes.
//!
//! Times are of the thread on its core, the median of many stretches, so that other work on the machine counts less.
//! Everything is a ratio to the case without what it is about, of the same run: mostly 100,000 tenants with one kind and no
//! limits. Each case runs in a process of its own.

mod report;

use std::collections::VecDeque;
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use report::{Size, Table, ratio, say};
use tidemill_kernel::{Id, Priority, TenantName, Timestamp};
use tidemill_policy::{
    Candidate, Kind, Limit, OnFull, Policy, PolicyConfig, Rate, Scope, Shares, TenantLimits, Traits, Worker,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a worker is given at once.
const BATCH: usize = 64;
/// At least so many run at once.
const RUNNING: usize = 1_024;

fn main() -> Result<()> {
    let Some(size) = report::begin("policy") else { return Ok(()) };
    let many = size.of(1_000_000, 10_000_000);
    let tenants = size.of(10_000, 100_000);
    let plain = Case { tasks: many, tenants, ..Case::new("100,000 tenants") };
    let cases = [
        plain,
        Case { tasks: many / 10, tenants: 1, ..Case::new("one tenant") },
        Case { tasks: many / 10, tenants: 100, ..Case::new("100 tenants") },
        Case {
            tasks: many / 10,
            tenants: 100,
            limits: Limits::Set,
            base: 2,
            ..Case::new("100 tenants, every limit set, none reached")
        },
        Case {
            tasks: many / 10,
            tenants: 100,
            limits: Limits::Keys,
            base: 2,
            ..Case::new("100 tenants, keys with limits on every task")
        },
        Case { window: 16, ..Case { name: "100,000 tenants, windows of 16 over a store", ..plain } },
        Case { kinds: 4, ..Case { name: "4 kinds, one worker for all", ..plain } },
        Case { limits: Limits::Set, ..Case { name: "every limit set, none reached", ..plain } },
        Case { limits: Limits::Reached, ..Case { name: "half of the tenants at their limits", ..plain } },
        Case { limits: Limits::Keys, ..Case { name: "keys with limits on every task", ..plain } },
    ];
    let asked = std::env::args().find_map(|argument| argument.strip_prefix("--case=")?.parse::<usize>().ok());
    if let Some(number) = asked {
        say(cases.get(number).context("no such case")?.measure(size)?);
        return Ok(());
    }
    let mut table = Table::new([
        "case",
        "enqueue ns",
        "pick ns",
        "finish ns",
        "sum",
        "to the same without",
        "bytes a task",
    ]);
    let mut sums = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let figures = in_own_process(number)?;
        sums.push(figures.sum());
        table.row([
            case.name.to_owned(),
            nanos(figures.enqueue),
            nanos(figures.pick),
            nanos(figures.finish),
            nanos(figures.sum()),
            ratio(figures.sum(), sums[case.base]),
            if case.window > 16 { nanos(figures.bytes) } else { "-".to_owned() },
        ]);
    }
    let title =
        format!("{many} tasks (a tenth with few tenants), {BATCH} a pick; nanoseconds of one core a task");
    table.print(&title);
    Ok(())
}

/// Each case has a heap and caches of its own.
fn in_own_process(number: usize) -> Result<Figures> {
    let arguments = std::env::args().skip(1).chain([format!("--case={number}")]);
    let output = Command::new(std::env::current_exe()?).args(arguments).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    let figures: Vec<f64> = line.split(' ').filter_map(|figure| figure.parse().ok()).collect();
    let [enqueue, pick, finish, bytes] = figures[..] else {
        bail!("the case did not end: {}", String::from_utf8_lossy(&output.stderr));
    };
    Ok(Figures { enqueue, pick, finish, bytes })
}

/// Which limits are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limits {
    None,
    /// On every tenant, on the kind, on the tenant's kind, with rates; so high that nothing is held back.
    Set,
    /// Half of the tenants may run nothing.
    Reached,
    /// Each task has a key of its tenant that is limited, and one of all tenants.
    Keys,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    name: &'static str,
    tasks: usize,
    tenants: usize,
    kinds: usize,
    window: usize,
    limits: Limits,
    /// The case without what this one has.
    base: usize,
}

/// Nanoseconds a task, bytes a task.
#[derive(Debug, Clone, Copy)]
struct Figures {
    enqueue: f64,
    pick: f64,
    finish: f64,
    bytes: f64,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {} {}", self.enqueue, self.pick, self.finish, self.bytes)
    }
}

impl Figures {
    fn sum(&self) -> f64 {
        self.enqueue + self.pick + self.finish
    }
}

fn nanos(value: f64) -> String {
    format!("{value:.0}")
}

impl Case {
    fn new(name: &'static str) -> Self {
        Self { name, tasks: 0, tenants: 1, kinds: 1, window: usize::MAX / 4, limits: Limits::None, base: 0 }
    }

    fn measure(&self, size: Size) -> Result<Figures> {
        let source = Source::new(self)?;
        let before = resident();
        let mut policy = self.policy(&source)?;
        let mut enqueueing = Stretches::default();
        let stretch = self.tasks.div_ceil(STRETCHES);
        for first in (0..self.tasks).step_by(stretch) {
            let last = (first + stretch).min(self.tasks);
            enqueueing.time(last - first, || {
                (first..last).for_each(|place| _ = policy.enqueue(source.task(place)));
            });
        }
        let enqueue = enqueueing.median() - source.own_cost();
        let bytes = (resident() - before) as f64 / self.tasks as f64;
        let rounds = size.of(200_000, 2_000_000).min(self.tasks / 3);
        let (pick, finish) = self.drain(&mut policy, &source, rounds)?;
        Ok(Figures { enqueue, pick, finish, bytes })
    }

    fn policy(&self, source: &Source) -> Result<Policy> {
        let shares = Shares::default();
        let mut policy =
            Policy::new(PolicyConfig { window: self.window, shares, ..PolicyConfig::default() })?;
        let now = Timestamp::from_micros(0);
        let most = Limit {
            concurrency: Some(1_000_000),
            rate: Some(Rate { per_second: 1_000_000_000, burst: 1_000_000_000 }),
            on_full: OnFull::Queue,
        };
        let cap = |concurrency| Limit { concurrency: Some(concurrency), ..Limit::default() };
        for tenant in &source.tenants {
            match self.limits {
                Limits::None => {}
                Limits::Set => {
                    let limits = TenantLimits { weight: 3, concurrency: Some(1_000_000) };
                    policy.set_tenant(tenant, limits);
                    policy.set_limit(&Scope::Tenant(tenant.clone()), most, now);
                    for kind in &source.kinds {
                        policy.set_limit(&Scope::TenantKind(tenant.clone(), kind.clone()), most, now);
                    }
                }
                Limits::Reached => {}
                Limits::Keys => {
                    policy.set_limit(&Scope::TenantKey(tenant.clone(), source.own_key()), cap(1_000), now);
                }
            }
        }
        if self.limits == Limits::Reached {
            for tenant in source.tenants.iter().step_by(2) {
                policy.set_limit(&Scope::Tenant(tenant.clone()), cap(0), now);
            }
        }
        if self.limits == Limits::Set {
            source.kinds.iter().for_each(|kind| policy.set_limit(&Scope::Kind(kind.clone()), most, now));
        }
        if self.limits == Limits::Keys {
            policy.set_limit(&Scope::Key(source.global_key()), most, now);
        }
        Ok(policy)
    }

    /// Picks and finishes so many tasks; what is picked is finished when as many run as may.
    fn drain(&self, policy: &mut Policy, source: &Source, tasks: usize) -> Result<(f64, f64)> {
        let worker = Worker::of_kinds(&source.kinds, BATCH);
        let (mut picking, mut finishing) = (Stretches::default(), Stretches::default());
        let mut running = VecDeque::new();
        let mut micros = 1_000;
        let mut picked = Vec::new();
        for _ in 0..STRETCHES {
            let stretch = (tasks / STRETCHES).max(RUNNING);
            picking.time(stretch, || {
                while picked.len() < stretch {
                    micros += 100;
                    let before = picked.len();
                    policy.take_into(&worker, Timestamp::from_micros(micros), &mut picked);
                    // What the store would be asked for is part of picking.
                    while let Some(refill) = policy.next_refill() {
                        let (page, through, more) =
                            source.page(&refill.queue.tenant, refill.after, refill.room);
                        policy.refilled(&refill, page, through, more);
                    }
                    if picked.len() == before {
                        break;
                    }
                    // Caps on what runs at once are to be met, so all but the latest end here.
                    running.extend(picked[before..].iter().map(|candidate| candidate.id));
                }
            });
            anyhow::ensure!(picked.len() >= stretch, "too little is picked although much waits");
            finishing.time(picked.len(), || {
                while let Some(id) = running.pop_front() {
                    black_box(policy.finished(id));
                }
            });
            picked.clear();
        }
        Ok((picking.median(), finishing.median()))
    }
}

/// How many stretches are timed.
const STRETCHES: usize = 40;

/// Nanoseconds of the thread for one of the tasks of each stretch.
#[derive(Debug, Default)]
struct Stretches(Vec<f64>);

impl Stretches {
    fn time(&mut self, tasks: usize, work: impl FnOnce()) {
        let begin = on_core();
        work();
        self.0.push((on_core() - begin) as f64 / tasks as f64);
    }

    fn median(mut self) -> f64 {
        self.0.sort_by(f64::total_cmp);
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }
}

/// Nanoseconds that this thread has had a core.
fn on_core() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// Makes the tasks: tenant after tenant in turn.
struct Source {
    tenants: Vec<TenantName>,
    kinds: Vec<Kind>,
    traits: Option<Arc<Traits>>,
    tasks: usize,
}

impl Source {
    fn new(case: &Case) -> Result<Self> {
        let tenants = (0..case.tenants).map(|number| format!("tenant-{number}").parse());
        let mut source = Self {
            tenants: tenants.collect::<Result<_, _>>()?,
            kinds: (0..case.kinds).map(|number| Kind::new(&format!("kind-{number}"))).collect(),
            traits: None,
            tasks: case.tasks,
        };
        if case.limits == Limits::Keys {
            let keys = vec![source.own_key(), source.global_key()];
            source.traits = Some(Arc::new(Traits { keys, ..Traits::default() }));
        }
        Ok(source)
    }

    fn own_key(&self) -> Arc<str> {
        "model:large".into()
    }

    fn global_key(&self) -> Arc<str> {
        "provider:main".into()
    }

    fn task(&self, place: usize) -> Candidate {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&place.to_be_bytes());
        // As the store mints them: a time, then the place.
        bytes[..6].copy_from_slice(&(1_700_000_000_000_u64 + place as u64 / 1_000).to_be_bytes()[2..]);
        Candidate {
            id: Id::from_bytes(bytes),
            tenant: self.tenants[place % self.tenants.len()].clone(),
            kind: self.kinds[place / self.tenants.len() % self.kinds.len()].clone(),
            priority: Priority::Normal,
            sequence: i64::try_from(place).unwrap_or(i64::MAX),
            cost: 1,
            traits: self.traits.clone(),
        }
    }

    /// What the store would answer.
    fn page(&self, tenant: &TenantName, after: i64, room: usize) -> (Vec<Candidate>, i64, bool) {
        let next = usize::try_from(after.max(0)).unwrap_or(0) + self.tenants.len();
        let page: Vec<Candidate> =
            (next..self.tasks).step_by(self.tenants.len()).take(room).map(|place| self.task(place)).collect();
        debug_assert!(page.iter().all(|task| task.tenant == *tenant));
        let through = page.last().map_or(after, |task| task.sequence);
        (page, through, usize::try_from(through).unwrap_or(0) + self.tenants.len() < self.tasks)
    }

    /// Nanoseconds that making a task takes.
    fn own_cost(&self) -> f64 {
        let tasks = self.tasks.min(1_000_000);
        let mut stretches = Stretches::default();
        stretches.time(tasks, || (0..tasks).for_each(|place| drop(black_box(self.task(place)))));
        stretches.median()
    }
}

/// Resident bytes of this process.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<i64>().ok()).unwrap_or(0) * 4096
}
