//! Why a task waits, and how schedules stand, in the words of the contract.

use pbjson_types::Timestamp as Message;
use prost::Message as _;
use tidemill_kernel::Timestamp;
use tidemill_policy::{Explanation, Reason};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::{from_micros, to_micros};
use tidemill_proto::types::v1::{Task, TaskState};

use super::{limit, scope};
use crate::convert;
use crate::schedule::Times;

/// The answer for a task: what it depends on that is open, what its owner knows of it, if it is in his memory.
pub(crate) fn response(
    task: Task,
    open: Option<String>,
    explained: Option<Explanation>,
    now: Timestamp,
) -> api::ExplainTaskResponse {
    let waits = task.state() == TaskState::Waiting;
    let run_at = task.run_at.as_ref().map_or(0, to_micros);
    let mut answer = api::ExplainTaskResponse { task: Some(task), ..Default::default() };
    if !waits {
        return answer;
    }
    if run_at > now.as_micros() {
        let moment = Timestamp::from_micros(run_at);
        answer.reasons.push(format!("its time has not come: it may run from {moment} on"));
        answer.expected_at = Some(time(moment));
        return answer;
    }
    if let Some(open) = open {
        answer.reasons.push(open);
        return answer;
    }
    let Some(Explanation { reasons, starts_in, .. }) = explained else {
        let why = "tasks of its queue that came before it fill the memory of the scheduler; it is read when their turn has come";
        answer.reasons.push(why.to_owned());
        return answer;
    };
    if let Some(Reason::Turn { ahead, rivals }) =
        reasons.iter().find(|reason| matches!(reason, Reason::Turn { .. }))
    {
        // Tenants take turns, so each of the others has as many before it.
        let before = ahead.saturating_mul(rivals.saturating_add(1));
        answer.before_it = Some(u64::try_from(before).unwrap_or(u64::MAX));
    }
    answer.expected_at = starts_in.map(|wait| time(now + wait));
    answer.reasons = reasons.iter().map(words).collect();
    if answer.reasons.is_empty() {
        answer.reasons.push("nothing holds it back: it is next".to_owned());
    }
    answer
}

fn words(reason: &Reason) -> String {
    match reason {
        Reason::Runs => "a worker holds it".to_owned(),
        Reason::Postponed => "it waits for its next attempt".to_owned(),
        Reason::Limit { scope, verdict } => {
            format!("{} are held back: {}", scope::words(scope), limit::words(verdict))
        }
        Reason::TenantFull { running, cap } => {
            format!("its tenant runs {running} tasks, of at most {cap} at once")
        }
        Reason::OrderKey { key, first, ahead } => {
            format!("{ahead} tasks of its order key {key} come first, the next of them {first}")
        }
        Reason::Memory { needed, free, is_kept } => {
            let kept = if *is_kept {
                "one worker is given no more that needs memory until it fits there"
            } else {
                "if it is passed over for 10 s, memory of one worker is kept for it"
            };
            let (needed, free) = (needed.div_ceil(1 << 20), free >> 20);
            format!("it needs {needed} MiB of memory, and no worker has more than {free} MiB free; {kept}")
        }
        Reason::NoWorker(lacks) => {
            format!("no worker that is connected can run it; of the nearest: {}", convert::lacks(lacks))
        }
        Reason::Turn { ahead, rivals } => format!(
            "it is not its turn: {ahead} tasks of its tenant and priority come first, and {rivals} other tenants \
             take turns with it"
        ),
    }
}

/// What a schedule must have besides its times.
///
/// # Errors
/// The field at fault and what would be right.
pub(crate) fn check_schedule(schedule: &api::Schedule) -> Result<(), (&'static str, String)> {
    let fits = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    if !(1..=63).contains(&schedule.name.len()) || !schedule.name.bytes().all(fits) {
        let rule = format!("is `{}`; use 1 to 63 of a-z, 0-9, `-`, `_` and `.`", schedule.name);
        return Err(("name", rule));
    }
    let Some(task) = &schedule.task else {
        return Err(("task", "is missing; say what is to be done each time".to_owned()));
    };
    if task.kind.is_empty() || task.kind.len() > 63 || !task.kind.bytes().all(fits) {
        let rule = format!("is `{}`; use 1 to 63 of a-z, 0-9, `-`, `_` and `.`", task.kind);
        return Err(("task.kind", rule));
    }
    if task.payload.len() > 256 << 10 {
        return Err(("task.payload", format!("has {} bytes; at most 262144", task.payload.len())));
    }
    if !task.key.is_empty() || task.run_at.is_some() {
        return Err(("task", "has a key or a `run_at`; both are the schedule's to set".to_owned()));
    }
    Ok(())
}

/// The schedules among settings, with their next times.
pub(crate) fn schedules(settings: &[store::Setting], now: Timestamp) -> Vec<api::Schedule> {
    let read = |setting: &store::Setting| api::Schedule::decode(setting.value.as_slice()).ok();
    let of = |sort: store::SettingSort| settings.iter().filter(move |setting| setting.sort() == sort);
    let with_times = |setting: &store::Setting| {
        let mut schedule = read(setting)?;
        let state = of(store::SettingSort::ScheduleState).find(|state| state.name == setting.name);
        if let Some(state) = state.and_then(read) {
            (schedule.last_at, schedule.last_task_id) = (state.last_at, state.last_task_id);
        }
        let times = Times::parse(&schedule.cron, &schedule.time_zone).ok()?;
        schedule.next_at = times.next(now).map(time);
        Some(schedule)
    };
    of(store::SettingSort::Schedule).filter_map(with_times).collect()
}

/// The message of a moment.
pub(crate) fn time(moment: Timestamp) -> Message {
    from_micros(moment.as_micros())
}
