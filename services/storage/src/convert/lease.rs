//! Leases and the ends of attempts.

use tidemill_kernel::{Id, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;
use tidemill_store::content::Analysis;
use tidemill_store::task::{Completion, Failure, Grant, LeaseRef, Running, Task};

use super::found::{decode_analysis, encode_analysis};
use super::task::{
    decode_new_tasks, decode_task, decode_waiting, encode_new_task, encode_task, encode_waiting, signed,
};
use super::{rule, time};
use crate::Result;
use crate::error::Within;

/// The message of a lease to be made.
pub fn encode_grant(grant: Grant) -> api::Grant {
    api::Grant { task_id: grant.task.to_string(), worker: grant.worker, token: grant.token.to_string() }
}

/// The leases to be made, at most [`rule::MAX_LEASES`].
pub fn decode_grants(messages: Vec<api::Grant>) -> Result<Vec<Grant>> {
    rule::at_most("grants", messages.len(), rule::MAX_LEASES)?;
    let decode = |(index, message)| decode_grant(message).within_item("grants", index);
    messages.into_iter().enumerate().map(decode).collect()
}

fn decode_grant(message: api::Grant) -> Result<Grant> {
    let LeaseRef { task, token } = lease_ref(&message.task_id, &message.token)?;
    Ok(Grant { task, worker: rule::filled("worker", message.worker, rule::MAX_LABEL)?, token })
}

/// The message of a lease by task and token.
pub fn encode_lease_ref(lease: LeaseRef) -> api::LeaseRef {
    api::LeaseRef { task_id: lease.task.to_string(), token: lease.token.to_string() }
}

/// Leases by task and token, at most [`rule::MAX_LEASES`].
pub fn decode_lease_refs(messages: &[api::LeaseRef]) -> Result<Vec<LeaseRef>> {
    rule::at_most("leases", messages.len(), rule::MAX_LEASES)?;
    let decode = |(index, message): (usize, &api::LeaseRef)| {
        lease_ref(&message.task_id, &message.token).within_item("leases", index)
    };
    messages.iter().enumerate().map(decode).collect()
}

fn lease_ref(task: &str, token: &str) -> Result<LeaseRef> {
    Ok(LeaseRef { task: rule::id("task_id", task)?, token: rule::id("token", token)? })
}

/// The message of a lease.
pub fn encode_lease(task: Task, token: Id, expires_at: Timestamp) -> types::Lease {
    types::Lease {
        task: Some(encode_task(task)),
        token: token.to_string(),
        expires_at: Some(time::encode(expires_at)),
        ..types::Lease::default()
    }
}

/// The task, the token and the end of a lease.
pub fn decode_lease(message: types::Lease) -> Result<(Task, Id, Timestamp)> {
    let task = decode_task(rule::present("task", message.task)?).within("task")?;
    let expires_at = time::decode_required("expires_at", message.expires_at)?;
    Ok((task, rule::id("token", &message.token)?, expires_at))
}

/// The message of a running task.
pub fn encode_running(running: Running) -> api::RunningTask {
    api::RunningTask {
        task: Some(encode_waiting(running.waiting)),
        worker: running.worker,
        token: running.token.to_string(),
        expires_at: Some(time::encode(running.expires_at)),
        attempt: signed(running.attempt),
        max_attempts: signed(running.max_attempts),
    }
}

/// The running task of a message.
pub fn decode_running(message: api::RunningTask) -> Result<Running> {
    Ok(Running {
        waiting: decode_waiting(rule::present("task", message.task)?).within("task")?,
        worker: message.worker,
        token: rule::id("token", &message.token)?,
        expires_at: time::decode_required("expires_at", message.expires_at)?,
        attempt: rule::natural("attempt", message.attempt)?,
        max_attempts: rule::natural("max_attempts", message.max_attempts)?,
    })
}

/// The message of a completion. The ids of its follow-ups do not travel.
pub fn encode_completion(completion: Completion) -> Result<types::Completion> {
    let analysis = match completion.analysis {
        Some((query, document, analysis)) => Some(types::NewAnalysis {
            query_id: query.to_string(),
            document_id: document.to_string(),
            analysis: Some(encode_analysis(analysis)?),
        }),
        None => None,
    };
    Ok(types::Completion {
        task_id: completion.lease.task.to_string(),
        token: completion.lease.token.to_string(),
        result: completion.result,
        analysis,
        follow_ups: completion.follow_ups.into_iter().map(encode_new_task).collect(),
    })
}

/// Completions, at most [`rule::MAX_BATCH`]; `new_id` makes the ids of their follow-ups, in the order of the messages.
pub fn decode_completions(
    messages: Vec<types::Completion>,
    now: Timestamp,
    new_id: &dyn Fn() -> Id,
) -> Result<Vec<Completion>> {
    rule::at_most("completions", messages.len(), rule::MAX_BATCH)?;
    let decode = |(index, message)| decode_completion(message, now, new_id).within_item("completions", index);
    messages.into_iter().enumerate().map(decode).collect()
}

fn decode_completion(
    message: types::Completion,
    now: Timestamp,
    new_id: &dyn Fn() -> Id,
) -> Result<Completion> {
    let analysis = match message.analysis {
        Some(analysis) => Some(decode_new_analysis(analysis, now).within("analysis")?),
        None => None,
    };
    Ok(Completion {
        lease: lease_ref(&message.task_id, &message.token)?,
        result: rule::text("result", message.result, rule::MAX_PAYLOAD)?,
        analysis,
        follow_ups: decode_new_tasks("follow_ups", message.follow_ups, now, new_id)?,
    })
}

fn decode_new_analysis(message: types::NewAnalysis, now: Timestamp) -> Result<(Id, Id, Analysis)> {
    let query = rule::id("query_id", &message.query_id)?;
    let document = rule::id("document_id", &message.document_id)?;
    let analysis = rule::present("analysis", message.analysis)?;
    Ok((query, document, decode_analysis(analysis, now).within("analysis")?))
}

/// The message of a failure and what comes next.
pub fn encode_failure(failure: Failure) -> api::SettledFailure {
    api::SettledFailure {
        task_id: failure.lease.task.to_string(),
        token: failure.lease.token.to_string(),
        error: failure.error,
        retry_at: failure.retry_at.map(time::encode),
        only_if_expired: failure.only_if_expired,
    }
}

/// Failures, at most [`rule::MAX_LEASES`]: after a long silence all leases can end at once.
pub fn decode_failures(messages: Vec<api::SettledFailure>) -> Result<Vec<Failure>> {
    rule::at_most("failures", messages.len(), rule::MAX_LEASES)?;
    let decode = |(index, message)| decode_failure(message).within_item("failures", index);
    messages.into_iter().enumerate().map(decode).collect()
}

fn decode_failure(message: api::SettledFailure) -> Result<Failure> {
    Ok(Failure {
        lease: lease_ref(&message.task_id, &message.token)?,
        error: rule::text("error", message.error, rule::MAX_PAYLOAD)?,
        retry_at: time::decode_optional("retry_at", message.retry_at)?,
        only_if_expired: message.only_if_expired,
    })
}
