//! Attempts: recorded, and ended.

use tidemill_kernel::{Id, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;
use tidemill_store::content::Analysis;
use tidemill_store::task::{Attempt, Completion, Failure, Progress, RecordedLease};

use super::found::{decode_analysis, encode_analysis};
use super::task::{Arrival, decode_new_tasks, encode_new_task};
use super::{rule, time};
use crate::Result;
use crate::error::Within;

/// The message of an attempt.
pub fn encode_attempt(attempt: Attempt) -> api::Attempt {
    api::Attempt {
        task_id: attempt.task.to_string(),
        number: attempt.number,
        worker: attempt.worker,
        started_at: Some(time::encode(attempt.started_at)),
        recorded: attempt.recorded,
    }
}

/// The attempt of a message.
pub fn decode_attempt(message: Option<api::Attempt>) -> Result<Attempt> {
    let message = rule::present("attempt", message)?;
    let decode = || {
        Ok(Attempt {
            task: rule::id("task_id", &message.task_id)?,
            number: message.number,
            worker: rule::text("worker", message.worker, rule::MAX_LABEL)?,
            started_at: time::decode_required("started_at", message.started_at)?,
            recorded: message.recorded,
        })
    };
    decode().within("attempt")
}

/// The message of a lease to be recorded.
pub fn encode_recorded_lease(lease: RecordedLease) -> api::RecordedLease {
    api::RecordedLease { attempt: Some(encode_attempt(lease.attempt)), token: lease.token.to_string() }
}

/// The leases to be recorded, at most [`rule::MAX_LEASES`].
pub fn decode_recorded_leases(messages: Vec<api::RecordedLease>) -> Result<Vec<RecordedLease>> {
    rule::at_most("leases", messages.len(), rule::MAX_LEASES)?;
    let decode = |(index, message)| decode_recorded_lease(message).within_item("leases", index);
    messages.into_iter().enumerate().map(decode).collect()
}

fn decode_recorded_lease(message: api::RecordedLease) -> Result<RecordedLease> {
    Ok(RecordedLease { attempt: decode_attempt(message.attempt)?, token: rule::id("token", &message.token)? })
}

/// The message of how far a task is.
pub fn encode_progress(progress: Progress) -> api::TaskProgress {
    let Progress { task, progress, checkpoint } = progress;
    api::TaskProgress { task_id: task.to_string(), progress, checkpoint }
}

/// How far tasks are, at most [`rule::MAX_LEASES`].
pub fn decode_progress(messages: Vec<api::TaskProgress>) -> Result<Vec<Progress>> {
    rule::at_most("progress", messages.len(), rule::MAX_LEASES)?;
    let decode = |(index, message): (usize, api::TaskProgress)| {
        let decode = || {
            Ok(Progress {
                task: rule::id("task_id", &message.task_id)?,
                progress: rule::text("progress", message.progress, rule::MAX_LABEL)?,
                checkpoint: message
                    .checkpoint
                    .map(|bytes| rule::bytes("checkpoint", bytes, rule::MAX_PAYLOAD))
                    .transpose()?,
            })
        };
        decode().within_item("progress", index)
    };
    messages.into_iter().enumerate().map(decode).collect()
}

/// The message of a completion that is settled `now`.
pub fn encode_completion(completion: Completion, now: Timestamp) -> Result<api::SettledCompletion> {
    let analysis = match completion.analysis {
        Some((query, document, analysis)) => Some(types::NewAnalysis {
            query_id: query.to_string(),
            document_id: document.to_string(),
            analysis: Some(encode_analysis(analysis)?),
        }),
        None => None,
    };
    let follow_ups = completion.follow_ups.into_iter().map(|task| encode_new_task(task, now)).collect();
    let completion_of = |task: Id| types::Completion {
        task_id: task.to_string(),
        token: String::new(),
        result: completion.result,
        analysis: analysis.map(Box::new),
        follow_ups,
    };
    Ok(api::SettledCompletion {
        completion: Some(completion_of(completion.attempt.task)),
        attempt: Some(encode_attempt(completion.attempt)),
    })
}

/// Completions, at most [`rule::MAX_LEASES`].
pub fn decode_completions(
    messages: Vec<api::SettledCompletion>,
    arrival: &Arrival,
) -> Result<Vec<Completion>> {
    rule::at_most("completions", messages.len(), rule::MAX_LEASES)?;
    let decode = |(index, message)| decode_completion(message, arrival).within_item("completions", index);
    messages.into_iter().enumerate().map(decode).collect()
}

fn decode_completion(message: api::SettledCompletion, arrival: &Arrival) -> Result<Completion> {
    let attempt = decode_attempt(message.attempt)?;
    let completion = rule::present("completion", message.completion)?;
    let analysis = match completion.analysis {
        Some(analysis) => Some(decode_new_analysis(*analysis, arrival.now).within("analysis")?),
        None => None,
    };
    Ok(Completion {
        attempt,
        result: rule::text("result", completion.result, rule::MAX_PAYLOAD)?,
        analysis,
        follow_ups: decode_new_tasks("follow_ups", completion.follow_ups, arrival)?,
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
        attempt: Some(encode_attempt(failure.attempt)),
        error: failure.error,
        retry_at: failure.retry_at.map(time::encode),
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
        attempt: decode_attempt(message.attempt)?,
        error: rule::text("error", message.error, rule::MAX_PAYLOAD)?,
        retry_at: time::decode_optional("retry_at", message.retry_at)?,
    })
}
