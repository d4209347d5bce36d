//! Random histories of a division: schedulers that come, go, stand still and lose their shards, questions and answers that
//! are late or lost, dividers that change, limits that change and are heard of one after the other. What really runs never exceeds
//! the limit, or the highest that it had.

mod one_by_one;

use proptest::prelude::*;

use super::*;

const SCHEDULERS: usize = 3;

/// The fate of a question that is answered at once.
const ANSWERED: u8 = 9;

#[derive(Debug, Clone)]
enum Step {
    /// A scheduler sends a question. It gets lost or is late, or its answer is, or that comes at once.
    Ask(usize, u8),
    /// Everybody asks and is answered.
    Round(u8),
    /// The answers that are late come, then the questions.
    Late,
    /// Tasks start as far as that is allowed.
    Start(usize, u8),
    /// A task ends.
    End(usize, usize),
    /// A shard goes to another scheduler, which knows of it at once; the old one may not know yet.
    Move(usize, usize, bool),
    /// A scheduler learns what it has lost.
    Learn(usize),
    /// Another divider begins, with nothing.
    Divider,
    /// The divider hears of another limit.
    Change(u32),
    /// A scheduler hears of it.
    Hear(usize),
    Wait(u64),
}

/// A shard as the store has it: who owns it at which epoch, and what runs of it.
#[derive(Debug, Clone)]
struct Place {
    owner: usize,
    epoch: i64,
    running: u32,
}

/// A scheduler, which keeps the four rules.
#[derive(Debug, Clone, Default)]
struct Node {
    share: u32,
    /// The limit, as far as it has heard.
    cap: u32,
    number: u64,
    /// What it believes to own, at which epoch, and whether an answered question named it.
    shards: BTreeMap<usize, (i64, bool)>,
    /// What runs of its shards, as far as it knows.
    running: BTreeMap<usize, u32>,
}

/// An answer that is on its way: to whom, to which of his questions, what that named.
type Late = (usize, u64, Vec<(usize, i64)>, Share);

struct World {
    /// As the divider knows it, and the highest that it was.
    cap: u32,
    highest: u32,
    now: Timestamp,
    places: Vec<Place>,
    nodes: Vec<Node>,
    division: Division,
    late: Vec<Late>,
    /// With the divider that they were for.
    late_asks: Vec<(u32, Ask)>,
    divider: u32,
}

fn limit(cap: u32) -> Limit {
    Limit { concurrency: Some(cap), ..Limit::default() }
}

fn slots(concurrency: u32) -> Share {
    Share { concurrency, ..Share::NONE }
}

impl World {
    fn new(cap: u32) -> Self {
        let places: Vec<Place> =
            (0..16).map(|index| Place { owner: index % SCHEDULERS, epoch: 1, running: 0 }).collect();
        let mut nodes = vec![Node { cap, ..Node::default() }; SCHEDULERS];
        places
            .iter()
            .enumerate()
            .for_each(|(index, place)| _ = nodes[place.owner].shards.insert(index, (1, false)));
        Self {
            cap,
            highest: cap,
            now: Timestamp::from_micros(0),
            places,
            nodes,
            division: Division::default(),
            late: Vec::new(),
            late_asks: Vec::new(),
            divider: 0,
        }
    }

    fn ask(&mut self, node: usize, wants: u32, fate: u8) {
        self.nodes[node].number += 1;
        let one = &self.nodes[node];
        let named: Vec<(usize, i64)> = one.shards.iter().map(|(index, shard)| (*index, shard.0)).collect();
        let shard =
            |(index, epoch): &(usize, i64)| (Shard::new(u16::try_from(*index).unwrap()).unwrap(), *epoch);
        let ask = Ask {
            owner: format!("s{node}"),
            number: one.number,
            shards: named.iter().map(shard).collect(),
            holds: slots(one.share),
            running: one.running.values().sum(),
            wants: slots(wants),
        };
        match fate {
            0 => return,
            1 => return self.late_asks.push((self.divider, ask)),
            _ => {}
        }
        let answer = self.division.ask(&ask, limit(self.cap), self.now);
        match fate {
            2 => {}
            3 => self.late.push((node, ask.number, named, answer)),
            _ => self.answer(node, ask.number, &named, answer),
        }
    }

    fn answer(&mut self, node: usize, number: u64, named: &[(usize, i64)], answer: Share) {
        let one = &mut self.nodes[node];
        if one.number != number {
            return;
        }
        one.share = answer.concurrency;
        for (index, epoch) in named {
            one.shards.get_mut(index).into_iter().for_each(|shard| shard.1 |= shard.0 == *epoch);
        }
    }

    fn start(&mut self, node: usize, count: u8) {
        let one = &mut self.nodes[node];
        if one.shards.values().any(|shard| !shard.1) {
            return;
        }
        for (index, (epoch, _)) in one.shards.clone() {
            // Its lease fences a shard that it believes to own in vain.
            let place = &mut self.places[index];
            let is_held = place.owner == node && place.epoch == epoch;
            for _ in 0..count {
                if is_held && one.running.values().sum::<u32>() < one.share.min(one.cap) {
                    place.running += 1;
                    *one.running.entry(index).or_default() += 1;
                }
            }
        }
    }

    fn end(&mut self, node: usize, index: usize) {
        let place = &mut self.places[index];
        let owner = if self.nodes[node].shards.contains_key(&index) { node } else { place.owner };
        if place.running > 0 && place.owner == owner {
            place.running -= 1;
            *self.nodes[owner].running.get_mut(&index).unwrap() -= 1;
        }
    }

    fn give(&mut self, index: usize, to: usize, is_known: bool) {
        let from = self.places[index].owner;
        if from == to {
            return;
        }
        let place = &mut self.places[index];
        (place.owner, place.epoch) = (to, place.epoch + 1);
        let (epoch, running) = (place.epoch, place.running);
        if is_known {
            self.learn(from);
        }
        self.lose(to, index);
        self.nodes[to].shards.insert(index, (epoch, false));
        self.nodes[to].running.insert(index, running);
    }

    fn learn(&mut self, node: usize) {
        let shards = self.nodes[node].shards.clone().into_iter();
        let lost = shards.filter(|(index, (epoch, _))| {
            self.places[*index].owner != node || self.places[*index].epoch != *epoch
        });
        for (index, _) in lost.collect::<Vec<_>>() {
            self.lose(node, index);
        }
    }

    /// What is lost takes what runs of it along; an answer that is on its way counts no more.
    fn lose(&mut self, node: usize, index: usize) {
        let one = &mut self.nodes[node];
        if one.shards.remove(&index).is_none() {
            return;
        }
        one.number += 1;
        one.share = one.share.saturating_sub(one.running.remove(&index).unwrap_or(0));
        if !one.shards.values().any(|shard| shard.1) {
            one.share = 0;
        }
    }

    /// Of a limit that was lowered it keeps what runs, and no answer counts that is on its way.
    fn hear(&mut self, node: usize) {
        let one = &mut self.nodes[node];
        if self.cap < std::mem::replace(&mut one.cap, self.cap) {
            one.share = one.share.min(one.running.values().sum());
            one.number += 1;
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Ask(node, fate) => {
                let wants = self.nodes[node].running.values().sum::<u32>() + u32::from(fate / 10);
                self.ask(node, wants, fate % 10);
            }
            Step::Round(wants) => {
                (0..SCHEDULERS).for_each(|node| self.ask(node, u32::from(wants), ANSWERED));
            }
            Step::Late => {
                for (node, number, named, answer) in std::mem::take(&mut self.late) {
                    self.answer(node, number, &named, answer);
                }
                for (divider, ask) in std::mem::take(&mut self.late_asks) {
                    if divider == self.divider {
                        self.division.ask(&ask, limit(self.cap), self.now);
                    }
                }
            }
            Step::Start(node, count) => self.start(node, count),
            Step::End(node, index) => self.end(node, index),
            Step::Move(index, to, is_known) => self.give(index, to, is_known),
            Step::Learn(node) => self.learn(node),
            Step::Divider => (self.division, self.divider) = (Division::default(), self.divider + 1),
            Step::Change(cap) => (self.cap, self.highest) = (cap, self.highest.max(cap)),
            Step::Hear(node) => self.hear(node),
            Step::Wait(millis) => self.now = self.now + Duration::from_millis(millis),
        }
    }

    /// Everybody learns, asks and ends what runs, round after round.
    fn settle(&mut self, wants: [u32; SCHEDULERS]) {
        (0..SCHEDULERS).for_each(|node| self.hear(node));
        for _ in 0..6 {
            for index in 0..16 {
                while self.places[index].running > 0 {
                    self.learn(self.places[index].owner);
                    self.end(self.places[index].owner, index);
                }
            }
            for (node, wanted) in wants.into_iter().enumerate() {
                self.learn(node);
                self.ask(node, wanted, ANSWERED);
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let node = 0..SCHEDULERS;
    prop_oneof![
        6 => (node.clone(), any::<u8>()).prop_map(|(node, fate)| Step::Ask(node, fate % 100)),
        2 => (0_u8..10).prop_map(Step::Round),
        2 => Just(Step::Late),
        6 => (node.clone(), 1_u8..6).prop_map(|(node, count)| Step::Start(node, count)),
        4 => (node.clone(), 0_usize..16).prop_map(|(node, index)| Step::End(node, index)),
        2 => (0_usize..16, node.clone(), any::<bool>()).prop_map(|(index, to, known)| Step::Move(index, to, known)),
        2 => node.prop_map(Step::Learn),
        1 => Just(Step::Divider),
        1 => (0_u32..9).prop_map(Step::Change),
        2 => (0..SCHEDULERS).prop_map(Step::Hear),
        1 => (0_u64..4_000).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn what_runs_never_exceeds_the_limit_whatever_is_lost_late_or_moved(
        cap in 0_u32..9, steps in prop::collection::vec(step(), 1..120), wants in any::<[u8; SCHEDULERS]>(),
    ) {
        let mut world = World::new(cap);
        for step in &steps {
            world.apply(step);
            let running: u32 = world.places.iter().map(|place| place.running).sum();
            prop_assert!(running <= world.highest, "{} of {} run after {:?}", running, world.highest, step);
        }
        let cap = world.cap;
        // When all is calm again, what is wanted is given, as far as there is enough.
        let wants = wants.map(u32::from);
        world.settle(wants);
        let alive = |node: &usize| !world.nodes[*node].shards.is_empty();
        let wanted: u32 = (0..SCHEDULERS).filter(alive).map(|node| wants[node]).sum();
        let given: u32 = (0..SCHEDULERS).filter(alive).map(|node| world.nodes[node].share).sum();
        let is_alone = (0..SCHEDULERS).filter(alive).count() == 1;
        prop_assert_eq!(given, if is_alone { cap } else { wanted.min(cap) });
    }

    #[test]
    fn after_a_limit_was_lowered_nothing_starts_before_fewer_run_once_all_have_asked(
        before in 1_u32..9, after in 0_u32..9, steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(before);
        let is_calm = |step: &&Step| !matches!(step, Step::Change(_) | Step::Hear(_));
        steps.iter().filter(is_calm).for_each(|step| world.apply(step));
        (world.cap, world.highest) = (after, before.max(after));
        // Everybody learns of his shards and of the limit, in one order or another, and asks until the last one has been heard.
        world.late.clear();
        world.late_asks.clear();
        for node in (0..SCHEDULERS).chain(0..SCHEDULERS) {
            world.learn(node);
            world.apply(&Step::Hear(node));
            world.ask(node, 9, ANSWERED);
        }
        let running = |world: &World| world.places.iter().map(|place| place.running).sum::<u32>();
        let ran = running(&world);
        (0..SCHEDULERS).for_each(|node| world.start(node, 9));
        prop_assert!(running(&world) <= after.max(ran), "{} ran, {} run of {}", ran, running(&world), after);
    }

    #[test]
    fn the_parts_of_a_rate_add_up_to_no_more_than_the_rate_and_each_holds_something(
        per_second in 1_u64..100_000, burst in 1_u64..100_000, cuts in prop::collection::vec(0_u64..=PARTS, 0..5),
    ) {
        let limit = Limit { rate: Some(Rate { per_second, burst }), ..Limit::default() };
        let count = parts(limit.rate.unwrap());
        let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut.min(count)).chain([0, count]).collect();
        cuts.sort_unstable();
        let mut sum = Rate { per_second: 0, burst: 0 };
        for cut in cuts.windows(2) {
            let part = share([0, cut[1] - cut[0]], limit);
            prop_assert_eq!(units(part, limit)[1], cut[1] - cut[0]);
            prop_assert!(cut[1] == cut[0] || (part.rate.per_second > 0 && part.rate.burst > 0));
            sum = Rate { per_second: sum.per_second + part.rate.per_second, burst: sum.burst + part.rate.burst };
        }
        prop_assert!(sum.per_second <= per_second && sum.burst <= burst);
        prop_assert_eq!(share([0, count], limit).rate, limit.rate.unwrap());
    }
}
