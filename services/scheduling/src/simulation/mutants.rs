//! Engines with a fault, each of which the checker has to name: a rule that nothing ever breaks may be one that sees nothing.
//!
//! A fault is put between the engine and those that it speaks to, so that the engine itself has no trace of it: what it asks for
//! and what it hears is bent as if it had got that wrong by itself. Mutation analysis of the checker (R. DeMillo, R. Lipton,
//! F. Sayward, "Hints on test data selection", 1978).

use tidemill_kernel::Timestamp;
use tidemill_policy::Share;
use tidemill_proto::storage::v1::FoundTask;
use tidemill_proto::types::v1::{Priority, TaskState};

use super::calls::{Call, Reply};
use super::plan::{Plan, Weather};
use super::world::World;
use crate::checker::{self, Broken};
use crate::config::Config;
use crate::engine::{Ending, Event};

/// What an engine gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutant {
    /// It takes tasks that others wait for to have succeeded.
    Hasty,
    /// It takes groups that are waited for to be over.
    HastyWithGroups,
    /// It takes tasks and groups that have succeeded to be dead.
    Gloomy,
    /// It takes groups with an open task for dead ones.
    GloomyWithGroups,
    /// It misses an end in every group that is waited for.
    Deaf,
    /// It submits to no group.
    Ungrouped,
    /// It lets what follows from a result out of its group.
    Forgetful,
    /// It takes every part of a limit for all of it.
    Greedy,
    /// It has no cap of a tenant.
    Uncapped,
    /// It says of some tasks that they are stored.
    Careless,
    /// It submits without keys.
    Keyless,
    /// It says twice what follows from a result.
    Repeating,
    /// It stores results of its own.
    Inventive,
    /// It tries more often than it may.
    Stubborn,
    /// It hears no heartbeats.
    Inattentive,
    /// It stores results as failures that are to be tried again.
    Undecided,
    /// It queues some tasks as less urgent than they are.
    Moody,
}

impl Mutant {
    /// What it goes by.
    pub(super) fn config(self, config: Config) -> Config {
        if self == Self::Uncapped { Config { tenant_concurrency: None, ..config } } else { config }
    }

    /// What it asks the store for.
    pub(super) fn asks(self, mut call: Call) -> Call {
        match &mut call {
            Call::Append { tasks, .. } => {
                for task in tasks {
                    match self {
                        Self::Ungrouped => task.group.clear(),
                        Self::Keyless => task.key.clear(),
                        Self::Stubborn => task.max_attempts *= 10,
                        Self::Moody if task.payload.bytes().fold(0, u8::wrapping_add) % 2 == 0 => {
                            task.set_priority(Priority::Background);
                        }
                        _ => {}
                    }
                }
            }
            Call::Settle(settlement, _) => {
                for ended in &mut settlement.endings {
                    if self == Self::Undecided && matches!(ended.ending, Ending::Completed(_)) {
                        let retry_at = Some(Timestamp::default());
                        ended.ending = Ending::Failed { error: "undecided".to_owned(), retry_at };
                    }
                    let Ending::Completed(completion) = &mut ended.ending else { continue };
                    match self {
                        Self::Repeating => completion.follow_ups.extend(completion.follow_ups.clone()),
                        Self::Forgetful => {
                            completion.follow_ups.iter_mut().for_each(|task| task.group.clear())
                        }
                        Self::Inventive => completion.result = completion.task_id.clone(),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        call
    }

    /// What it hears of the store.
    pub(super) fn hears(self, mut reply: Reply) -> Reply {
        let events = match &mut reply {
            Reply::Events(events) => events,
            Reply::Stored(stored) if self == Self::Careless => {
                let first = stored.first_mut();
                first
                    .into_iter()
                    .for_each(|task| task.id = tidemill_kernel::Id::from_bytes([9; 16]).to_string());
                return reply;
            }
            _ => return reply,
        };
        for event in events {
            let Event::Found { asked, found: Some(found) } = event else { continue };
            // Of each task: itself, then what it waits for.
            let mut next = 0;
            for (_, count) in &asked.tasks {
                found[next + 1..=next + count].iter_mut().for_each(|one| self.mistakes(one));
                next += count + 1;
            }
        }
        reply
    }

    /// How it takes something that is waited for to stand.
    fn mistakes(self, found: &mut FoundTask) {
        let is_group = found.id.is_empty();
        let is_over = !matches!(found.state(), TaskState::Waiting | TaskState::Running);
        let taken = match self {
            Self::Hasty if !is_group => TaskState::Succeeded,
            Self::HastyWithGroups if is_group => TaskState::Succeeded,
            Self::Gloomy if found.state() == TaskState::Succeeded => TaskState::Dead,
            Self::GloomyWithGroups if is_group && !is_over => TaskState::Dead,
            Self::Deaf if is_group && !is_over => {
                found.open += 1;
                return;
            }
            _ => return,
        };
        found.set_state(taken);
    }

    /// What it hears of a worker.
    pub(super) fn hears_worker(self, event: &mut Event) {
        if let (Self::Inattentive, Event::Heartbeat { beat, .. }) = (self, event) {
            beat.running.clear();
        }
    }

    /// What it takes its part of a limit for.
    pub(super) fn share(self, share: Share) -> Share {
        if self == Self::Greedy { Share::ALL } else { share }
    }
}

/// The rules that a mutant breaks in a few seeds.
fn broken_by(mutant: Mutant, weather: Weather, plan: fn(u64, Weather) -> Plan, expected: Broken) {
    const SEEDS: u64 = 40;
    let named = |seed| {
        let mut world = World::new(Plan { mutant: Some(mutant), ..plan(seed, weather) });
        world.limit = 60 * super::plan::SECOND;
        let _ = world.run();
        let rules = world.plan.rules();
        let violations = checker::check(&world.history, &rules);
        violations.iter().any(|violation| violation.broken == expected)
    };
    assert!((0..SEEDS).any(named), "{mutant:?} in {SEEDS} seeds never was {expected:?}");
}

#[test]
fn engines_that_start_or_give_up_what_waits_too_early_are_found_out() {
    broken_by(Mutant::Hasty, Weather::Calm, Plan::new, Broken::TooEarly);
    broken_by(Mutant::HastyWithGroups, Weather::Calm, Plan::new, Broken::BeforeGroup);
    broken_by(Mutant::Gloomy, Weather::Calm, Plan::new, Broken::GivenUp);
    broken_by(Mutant::GloomyWithGroups, Weather::Calm, Plan::new, Broken::BeforeGroup);
}

#[test]
fn engines_that_miss_the_end_of_a_group_or_who_is_in_it_are_found_out() {
    broken_by(Mutant::Deaf, Weather::Calm, Plan::new, Broken::LeftWaiting);
    broken_by(Mutant::Ungrouped, Weather::Calm, Plan::new, Broken::Miscounted);
    broken_by(Mutant::Forgetful, Weather::Calm, Plan::new, Broken::Miscounted);
}

#[test]
fn engines_that_mind_no_limit_are_found_out() {
    broken_by(Mutant::Greedy, Weather::Calm, Plan::shared, Broken::OverRate);
    broken_by(Mutant::Greedy, Weather::Calm, Plan::shared, Broken::OverCap);
    broken_by(Mutant::Uncapped, Weather::Calm, Plan::new, Broken::OverCap);
}

#[test]
fn engines_that_lose_repeat_or_make_up_work_are_found_out() {
    broken_by(Mutant::Careless, Weather::Calm, Plan::new, Broken::Lost);
    broken_by(Mutant::Keyless, Weather::Storm, Plan::new, Broken::KeyTwice);
    broken_by(Mutant::Repeating, Weather::Calm, Plan::new, Broken::CountedTwice);
    broken_by(Mutant::Inventive, Weather::Calm, Plan::new, Broken::Invented);
    broken_by(Mutant::Stubborn, Weather::Calm, Plan::new, Broken::TooOften);
    broken_by(Mutant::Inattentive, Weather::Calm, Plan::new, Broken::HeldTwice);
    broken_by(Mutant::Undecided, Weather::Calm, Plan::new, Broken::RunAgain);
}

#[test]
fn engines_that_mind_no_order_are_found_out() {
    broken_by(Mutant::Moody, Weather::Calm, Plan::new, Broken::OutOfOrder);
}
