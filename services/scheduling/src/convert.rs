//! Messages of the task store as the engine's own words. What cannot be read is left out: the store wrote it, so it
//! can only come from a newer one.

use tidemill_kernel::{Priority, Timestamp};
use tidemill_policy::{Candidate, Kind, QueueKey};
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::{from_micros, to_micros};

use crate::engine::{Ending, Held, Settlement, Settling, Waiting};

/// A waiting task.
pub(crate) fn waiting(task: store::WaitingTask) -> Option<Waiting> {
    let candidate = Candidate {
        id: task.id.parse().ok()?,
        tenant: task.tenant.parse().ok()?,
        kind: Kind::new(&task.kind),
        priority: Priority::from_number(task.priority)?,
        sequence: task.sequence,
        cost: 1,
        traits: None,
    };
    Some(Waiting { candidate, run_at: time(task.run_at.as_ref()) })
}

/// A running task, held by nobody that this scheduler knows.
pub(crate) fn held(running: store::RunningTask) -> Option<Held> {
    Some(Held {
        candidate: waiting(running.task?)?.candidate,
        token: running.token.parse().ok()?,
        worker: running.worker,
        session: None,
        until: time(running.expires_at.as_ref()),
        attempt: running.attempt,
        max_attempts: running.max_attempts,
        settling: Settling::No,
    })
}

/// A queue's name.
pub(crate) fn queue(depth: &store::QueueDepth) -> Option<QueueKey> {
    Some(QueueKey {
        tenant: depth.tenant.parse().ok()?,
        priority: Priority::from_number(depth.priority)?,
        kind: Kind::new(&depth.kind),
    })
}

/// A settlement as the store reads it, with the place of each ending in the store's answer.
pub(crate) fn settlement(settlement: &Settlement) -> (store::SettleTasksRequest, Vec<usize>) {
    let mut request = store::SettleTasksRequest::default();
    let completed =
        settlement.endings.iter().filter(|(_, _, ending)| matches!(ending, Ending::Completed(_))).count();
    let mut places = Vec::with_capacity(settlement.endings.len());
    for (task, token, ending) in &settlement.endings {
        match ending {
            Ending::Completed(completion) => {
                places.push(request.completions.len());
                request.completions.push(completion.as_ref().clone());
            }
            Ending::Failed { error, retry_at, only_if_expired } => {
                places.push(completed + request.failures.len());
                request.failures.push(store::SettledFailure {
                    task_id: task.to_string(),
                    token: token.to_string(),
                    error: error.clone(),
                    retry_at: retry_at.map(|moment| from_micros(moment.as_micros())),
                    only_if_expired: *only_if_expired,
                });
            }
        }
    }
    (request, places)
}

fn time(time: Option<&pbjson_types::Timestamp>) -> Timestamp {
    Timestamp::from_micros(time.map_or(0, to_micros))
}
