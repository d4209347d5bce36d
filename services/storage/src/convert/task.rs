//! Tasks as they are submitted, as they stand, and as the scheduler sees them.

use std::time::Duration;

use tidemill_kernel::Timestamp;
use tidemill_proto::storage::v1 as api;
use tidemill_proto::time::duration as length;
use tidemill_proto::types::v1 as types;
use tidemill_store::task::{
    AppendedTask, Group, NewTask, QueueDepth, Task, TaskCount, TaskState, TenantTasks,
};

use super::{options, rule, time};
use crate::error::Within;
use crate::{Error, Result};

/// When tasks arrive, and what holds for those that do not say otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Now.
    pub now: Timestamp,
    /// How long keys are remembered.
    pub keep_keys: Duration,
}

/// The message of a new task that arrives `now`.
pub fn encode_new_task(task: NewTask, now: Timestamp) -> types::NewTask {
    let is_keyless = task.key.is_empty();
    types::NewTask {
        kind: task.kind,
        priority: task.priority.number(),
        payload: task.payload,
        key: task.key,
        run_at: Some(time::encode(task.run_at)),
        max_attempts: signed(task.max_attempts),
        trace_parent: task.trace_parent,
        keep: task.keep.map(length),
        options: options::encode(&task.options).map(Box::new),
        unique: task.unique,
        group: task.group,
        key_for: (!is_keyless).then(|| length(task.key_until.since(now))),
    }
}

/// The new task of a message. It runs from now on where it names no other time.
pub fn decode_new_task(message: types::NewTask, arrival: &Arrival) -> Result<NewTask> {
    let key_for = time::decode_length("key_for", message.key_for)?.unwrap_or(arrival.keep_keys);
    if message.unique && message.key.is_empty() {
        return Err(Error::field("unique", "needs a `key`: it says what there is to be only one of"));
    }
    // Without a key there is nothing to remember.
    let key_until = if message.key.is_empty() { Timestamp::default() } else { arrival.now + key_for };
    Ok(NewTask {
        kind: rule::name("kind", message.kind)?,
        priority: rule::priority("priority", message.priority)?,
        payload: rule::text("payload", message.payload, rule::MAX_PAYLOAD)?,
        key: rule::text("key", message.key, rule::MAX_KEY)?,
        unique: message.unique,
        key_until,
        run_at: time::decode_or("run_at", message.run_at, arrival.now)?,
        max_attempts: rule::attempts("max_attempts", message.max_attempts)?,
        trace_parent: rule::text("trace_parent", message.trace_parent, rule::MAX_LABEL)?,
        keep: time::decode_length("keep", message.keep)?,
        options: message
            .options
            .map(|options| options::decode(*options))
            .transpose()
            .within("options")?
            .unwrap_or_default(),
        group: rule::group_or_none("group", message.group)?,
    })
}

/// The new tasks of a list of at most [`rule::MAX_BATCH`].
pub fn decode_new_tasks(
    field: &str,
    messages: Vec<types::NewTask>,
    arrival: &Arrival,
) -> Result<Vec<NewTask>> {
    rule::at_most(field, messages.len(), rule::MAX_BATCH)?;
    decode_all(field, messages, arrival)
}

fn decode_all(field: &str, messages: Vec<types::NewTask>, arrival: &Arrival) -> Result<Vec<NewTask>> {
    let decode = |(index, message)| decode_new_task(message, arrival).within_item(field, index);
    messages.into_iter().enumerate().map(decode).collect()
}

/// Batches of new tasks; together at most [`rule::MAX_LEASES`] tasks.
pub fn decode_batches(messages: Vec<api::TenantTasks>, arrival: &Arrival) -> Result<Vec<TenantTasks>> {
    let tasks = messages.iter().map(|batch| batch.tasks.len()).sum();
    rule::at_most("batches", tasks, rule::MAX_LEASES)?;
    let decode = |(index, batch): (usize, api::TenantTasks)| {
        let tenant = rule::tenant("tenant", &batch.tenant).within_item("batches", index)?;
        let tasks = decode_all("tasks", batch.tasks, arrival).within_item("batches", index)?;
        Ok(TenantTasks { tenant, tasks })
    };
    messages.into_iter().enumerate().map(decode).collect()
}

/// The message of a task.
pub fn encode_task(task: Task) -> types::Task {
    let is_keyless = task.new.key.is_empty();
    types::Task {
        id: task.id.to_string(),
        tenant: task.tenant.to_string(),
        kind: task.new.kind,
        priority: task.new.priority.number(),
        payload: task.new.payload,
        key: task.new.key,
        state: task.state.number(),
        attempt: signed(task.attempt),
        max_attempts: signed(task.new.max_attempts),
        run_at: Some(time::encode(task.new.run_at)),
        created_at: Some(time::encode(task.id.moment())),
        started_at: task.started_at.map(time::encode),
        finished_at: task.finished_at.map(time::encode),
        worker: task.worker,
        error: task.error,
        result: task.result,
        trace_parent: task.new.trace_parent,
        keep: task.new.keep.map(length),
        options: options::encode(&task.new.options).map(Box::new),
        progress: task.progress,
        checkpoint: task.checkpoint,
        group: task.new.group,
        key_until: (!is_keyless).then(|| time::encode(task.new.key_until)),
    }
}

/// The task of a message.
pub fn decode_task(message: types::Task) -> Result<Task> {
    let new = types::NewTask {
        kind: message.kind,
        priority: message.priority,
        payload: message.payload,
        key: message.key,
        run_at: message.run_at,
        max_attempts: message.max_attempts,
        trace_parent: message.trace_parent,
        keep: message.keep,
        options: message.options,
        key_for: None,
        unique: false,
        group: message.group,
    };
    let id = rule::id("id", &message.id)?;
    let key_until = time::decode_or("key_until", message.key_until, Timestamp::default())?;
    let new = decode_new_task(new, &Arrival { now: id.moment(), keep_keys: Duration::ZERO })?;
    Ok(Task {
        id,
        new: NewTask { key_until, ..new },
        tenant: rule::tenant("tenant", &message.tenant)?,
        state: rule::present("state", decode_state("state", message.state)?)?,
        attempt: rule::natural("attempt", message.attempt)?,
        started_at: time::decode_optional("started_at", message.started_at)?,
        finished_at: time::decode_optional("finished_at", message.finished_at)?,
        worker: message.worker,
        error: message.error,
        result: message.result,
        progress: message.progress,
        checkpoint: message.checkpoint,
    })
}

/// A state; none when not said.
pub fn decode_state(field: &str, number: i32) -> Result<Option<TaskState>> {
    if number == 0 {
        return Ok(None);
    }
    TaskState::from_number(number).map(Some).ok_or_else(|| {
        let states = TaskState::ALL.map(|state| format!("{} ({})", state.number(), state.name())).join(", ");
        Error::field(field, format!("is {number}; use one of {states}"))
    })
}

/// The message of what became of an appended task.
pub fn encode_appended_task(task: AppendedTask) -> api::AppendedTask {
    api::AppendedTask { id: task.id.to_string(), duplicate: task.duplicate }
}

/// What became of an appended task.
pub fn decode_appended_task(message: &api::AppendedTask) -> Result<AppendedTask> {
    Ok(AppendedTask { id: rule::id("id", &message.id)?, duplicate: message.duplicate })
}

/// The message of a queue's depth.
pub fn encode_depth(depth: QueueDepth) -> api::QueueDepth {
    api::QueueDepth {
        tenant: depth.tenant.to_string(),
        priority: depth.priority.number(),
        kind: depth.kind,
        waiting: depth.waiting,
    }
}

/// The queue's depth of a message.
pub fn decode_depth(message: api::QueueDepth) -> Result<QueueDepth> {
    Ok(QueueDepth {
        tenant: rule::tenant("tenant", &message.tenant)?,
        priority: rule::priority("priority", message.priority)?,
        kind: rule::name("kind", message.kind)?,
        waiting: message.waiting,
    })
}

/// The message of a count of tasks.
pub fn encode_task_count(count: TaskCount) -> api::TaskCount {
    api::TaskCount { priority: count.priority.number(), state: count.state.number(), count: count.count }
}

/// The count of tasks of a message.
pub fn decode_task_count(message: &api::TaskCount) -> Result<TaskCount> {
    Ok(TaskCount {
        priority: rule::priority("priority", message.priority)?,
        state: rule::present("state", decode_state("state", message.state)?)?,
        count: message.count,
    })
}

/// The message of a group.
pub fn encode_group(group: Group) -> types::TaskGroup {
    let open = group.open();
    types::TaskGroup {
        name: group.name,
        total: group.total,
        open,
        succeeded: group.succeeded,
        dead: group.dead,
        cancelled: group.cancelled,
        first_submitted_at: Some(time::encode(group.first_at)),
        changed_at: Some(time::encode(group.changed_at)),
    }
}

/// The group of a message.
pub fn decode_group(message: types::TaskGroup) -> Result<Group> {
    Ok(Group {
        name: rule::group("name", message.name)?,
        total: message.total,
        succeeded: message.succeeded,
        dead: message.dead,
        cancelled: message.cancelled,
        first_at: time::decode_required("first_submitted_at", message.first_submitted_at)?,
        changed_at: time::decode_required("changed_at", message.changed_at)?,
    })
}

/// Counts of attempts are small; one that is not is shown as the largest.
pub(super) fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
