//! What a seed stands for: who takes part, how the network is, what is submitted, what fails when.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use tidemill_proto::types::v1::DependencyFailure;

use super::faults::Fault;
use super::mutants::Mutant;
use crate::checker::{Idle, Rules};
use crate::config::{Config, SharedLimit};

/// Simulated time, in microseconds since the run began.
pub(super) type Micros = u64;

pub(super) const MS: Micros = 1_000;
pub(super) const SECOND: Micros = 1_000_000;

/// For how long tasks come and faults happen.
pub(super) const BUSY: Micros = 8 * SECOND;

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Nothing; schedulers come and go in good order.
    Calm,
    /// Processes stop, die and are cut off; the store and the clocks are good.
    Crashes,
    /// Everything.
    Storm,
}

/// One call of a client: tasks of one tenant.
#[derive(Debug, Clone)]
pub(super) struct Submission {
    pub(super) at: Micros,
    pub(super) tenant: String,
    pub(super) count: u32,
    pub(super) priority: i32,
    pub(super) kind: &'static str,
    pub(super) delay: Option<Micros>,
    pub(super) max_attempts: i32,
    /// What its tasks wait for, by their numbers; empty if they are no graph.
    pub(super) links: Vec<Links>,
    /// The group that its tasks belong to, but for those that wait for it.
    pub(super) group: Option<u8>,
    /// After so long one of the tasks is cancelled; after twice that it is put back.
    pub(super) cancel_after: Option<Micros>,
}

/// What a task waits for.
#[derive(Debug, Clone)]
pub(super) struct Links {
    /// Others of its submission, by their numbers.
    pub(super) inside: Vec<u32>,
    /// How many tasks of other submissions besides, as far as their clients have been answered by then.
    pub(super) outside: u32,
    /// Groups of the tenant, if they are there by then.
    pub(super) groups: Vec<u8>,
    /// Whatever it waits for waits only for groups before this one.
    pub(super) level: u8,
    pub(super) on_failure: DependencyFailure,
}

impl Submission {
    /// The group of one of its tasks.
    pub(super) fn group_of(&self, number: usize) -> Option<u8> {
        let waits = |group: &u8| self.links.get(number).is_some_and(|links| links.groups.contains(group));
        self.group.filter(|group| !waits(group))
    }

    /// The groups are in an order: a task waits only for groups before this one, whoever it waits for. So no group waits for itself.
    pub(super) fn level(&self, number: usize) -> u8 {
        let waits = self.links.get(number).map_or(0, |links| links.level);
        self.group_of(number).unwrap_or(waits)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) weather: Weather,
    pub(super) config: Config,
    pub(super) schedulers: usize,
    pub(super) workers: usize,
    pub(super) slots: u32,
    /// Names and tiers.
    pub(super) tenants: Vec<(String, i32)>,
    pub(super) submissions: Vec<Submission>,
    pub(super) faults: Vec<(Micros, Fault)>,
    /// How many rows the schedulers read at once.
    pub(super) page: i32,
    /// The usual delay of a message.
    pub(super) delay: Micros,
    /// How long an attempt takes, at most, but for a few long ones.
    pub(super) work: Micros,
    /// Whether attempts may fail, hang or be put off.
    pub(super) is_smooth: bool,
    pub(super) weights: Vec<(String, u32)>,
    /// What its engines get wrong.
    pub(super) mutant: Option<Mutant>,
}

/// How many groups each tenant has.
pub(super) const GROUPS: u8 = 3;

/// One of the tenants' tiers: free, pro, enterprise.
const WEIGHTS: [u32; 3] = [1, 4, 16];

impl Plan {
    pub(super) fn new(seed: u64, weather: Weather) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let schedulers = rng.random_range(1..=3);
        let workers = rng.random_range(1..=3);
        let tenants: Vec<_> = (0..rng.random_range(2..7))
            .map(|number| (format!("t{number}"), rng.random_range(1..=3)))
            .collect();
        let submissions = (0..rng.random_range(20..80)).map(|_| submission(&mut rng, &tenants)).collect();
        let config = Config {
            lease_ms: *pick(&mut rng, &[1_000, 3_000, 10_000]),
            keep_ms: *pick(&mut rng, &[500, 2_000]),
            shard_lease_ms: *pick(&mut rng, &[500, 2_000]),
            quarantine_after: 3,
            memory_bytes: *pick(&mut rng, &[0, 5_000, 16 << 20]),
            window: *pick(&mut rng, &[1, 2, 5, 50, 4_096]),
            tenant_concurrency: *pick(&mut rng, &[None, None, Some(1), Some(3)]),
            ..Config::default()
        };
        let page = *pick(&mut rng, &[1, 3, 20, 1_000]);
        let (delay, work) =
            (*pick(&mut rng, &[200, 1_000, 5_000]), *pick(&mut rng, &[2 * MS, 20 * MS, 200 * MS]));
        let faults = super::faults::plan(&mut rng, weather, schedulers, workers);
        Self {
            seed,
            weather,
            config,
            schedulers,
            workers,
            slots: rng.random_range(4..=8),
            tenants,
            submissions,
            faults,
            page,
            delay,
            work,
            is_smooth: false,
            weights: Vec::new(),
            mutant: None,
        }
    }

    /// One scheduler, one worker, and three tenants of different tiers that submit more than can be run.
    pub(super) fn backlog(seed: u64) -> Self {
        let tenants: Vec<(String, i32)> = (1..=3).map(|tier| (format!("t{tier}"), tier)).collect();
        let submission = |tenant: &str| Submission {
            at: MS,
            tenant: tenant.to_owned(),
            count: 300,
            priority: 2,
            kind: "a",
            delay: None,
            max_attempts: 3,
            links: Vec::new(),
            group: None,
            cancel_after: None,
        };
        let weights = tenants.iter().zip(WEIGHTS).map(|((name, _), weight)| (name.clone(), weight)).collect();
        Self {
            config: Config::default(),
            schedulers: 1,
            workers: 1,
            submissions: tenants.iter().map(|(name, _)| submission(name)).collect(),
            tenants,
            faults: Vec::new(),
            is_smooth: true,
            weights,
            page: 1_000,
            delay: 200,
            work: 20 * MS,
            ..Self::new(seed, Weather::Calm)
        }
    }

    /// Two or three schedulers that share a cap on tasks of all tenants, and perhaps a rate.
    pub(super) fn shared(seed: u64, weather: Weather) -> Self {
        let mut rng = StdRng::seed_from_u64(!seed);
        let plan = Self::new(seed, weather);
        let (schedulers, cap) = (rng.random_range(2..=3), *pick(&mut rng, &[1, 2, 3, 7]));
        let faults = super::faults::plan(&mut rng, weather, schedulers, plan.workers);
        let (concurrency, per_second) = (Some(cap), *pick(&mut rng, &[None, Some(10), Some(50)]));
        let limit = SharedLimit { kind: "a".into(), concurrency, per_second, ..SharedLimit::default() };
        let config = Config { limits: vec![limit], ..plan.config };
        Self { schedulers, faults, config, ..plan }
    }

    /// What holds in this weather.
    pub(super) fn rules(&self) -> Rules {
        let cap = |limit: &SharedLimit| Some((limit.kind.clone(), limit.concurrency?));
        let rate = |limit: &SharedLimit| {
            let per_second = limit.per_second?;
            Some((limit.kind.clone(), per_second, limit.burst.unwrap_or(per_second)))
        };
        let limits = self.config.limits.iter().filter_map(cap);
        Rules {
            slots: self.slots,
            tenant_concurrency: self.config.tenant_concurrency,
            kind_concurrency: limits.collect(),
            kind_rate: self.config.limits.iter().filter_map(rate).collect(),
            recorded_within: Duration::from_millis(225),
            order_within: Duration::from_millis(200),
            heard_within: Duration::ZERO,
            weights: self.weights.clone(),
            in_flight: 1,
            idle: Some(self.idle()),
        }
    }

    /// When what may run does. What is not heard of because of a fault is asked for again after half a minute.
    fn idle(&self) -> Idle {
        let within = match (self.weather, self.config.limits.is_empty()) {
            (Weather::Calm, true) => 3,
            (Weather::Calm, false) => 12,
            _ => 60,
        };
        let since = Duration::from_micros(2 * BUSY + 4 * SECOND);
        Idle { since, within: Duration::from_secs(within), lease: self.config.lease() }
    }
}

/// A graph of so many tasks: each may wait for up to three that come before it in an order of their own, and for groups; those
/// that come late in that order perhaps for the group of the others.
fn links(rng: &mut StdRng, count: u32, group: Option<u8>) -> Vec<Links> {
    use DependencyFailure::{Die, Run, Unspecified, Wait};
    let mut order: Vec<u32> = (0..count).collect();
    order.shuffle(rng);
    let mut links = vec![None; count as usize];
    let joined = if group.is_some() { rng.random_range(0..=order.len()) } else { order.len() };
    for (place, number) in order.iter().enumerate() {
        let most = rng.random_range(0..=3);
        let inside: Vec<u32> = order[..place].choose_multiple(rng, most).copied().collect();
        let outside = rng.random_range(0..=1);
        let level = if place < joined { group.unwrap_or(GROUPS) } else { GROUPS };
        let before = (0..level).filter(|_| rng.random_bool(0.25));
        let groups = before.chain(group.filter(|_| place >= joined)).collect::<BTreeSet<_>>();
        let on_failure = *pick(rng, &[Unspecified, Die, Run, Wait]);
        let groups = groups.into_iter().collect();
        links[*number as usize] = Some(Links { inside, outside, groups, level, on_failure });
    }
    links.into_iter().flatten().collect()
}

fn submission(rng: &mut StdRng, tenants: &[(String, i32)]) -> Submission {
    let count = *pick(rng, &[1, 1, 1, 2, 5, 20]);
    let group = rng.random_bool(0.4).then(|| rng.random_range(0..GROUPS));
    Submission {
        at: rng.random_range(0..BUSY),
        tenant: pick(rng, tenants).0.clone(),
        count,
        priority: *pick(rng, &[1, 2, 2, 3]),
        kind: ["a", "a", "b"][rng.random_range(0..3)],
        delay: rng.random_bool(0.1).then(|| rng.random_range(0..4 * SECOND)),
        max_attempts: *pick(rng, &[1, 3, 5, 50]),
        links: if rng.random_bool(0.35) { links(rng, count, group) } else { Vec::new() },
        group,
        cancel_after: rng.random_bool(0.1).then(|| rng.random_range(0..2 * SECOND)),
    }
}

pub(super) fn pick<'a, T>(rng: &mut StdRng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}
