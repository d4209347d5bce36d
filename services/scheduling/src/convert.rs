//! Messages of the task store as the engine's own words. What cannot be read is left out: the store wrote it, so it
//! can only come from a newer one.

use tidemill_kernel::{Priority, Shard};
use tidemill_policy::{Kind, QueueKey};
use tidemill_proto::storage::v1 as store;

use crate::engine::{Ending, Epoch, Running, Settlement};

/// A recorded lease.
pub(crate) fn running(running: store::RunningTask) -> Option<Running> {
    Some(Running { task: running.task?, token: running.token.parse().ok()? })
}

/// A queue's name.
pub(crate) fn queue(depth: &store::QueueDepth) -> Option<QueueKey> {
    Some(QueueKey {
        tenant: depth.tenant.parse().ok()?,
        priority: Priority::from_number(depth.priority)?,
        kind: Kind::new(&depth.kind),
    })
}

/// A fence.
pub(crate) fn fence(fence: &[Epoch]) -> Vec<store::ShardEpoch> {
    let epoch =
        |(shard, epoch): &(Shard, i64)| store::ShardEpoch { shard: shard.number().into(), epoch: *epoch };
    fence.iter().map(epoch).collect()
}

/// A settlement as the store reads it, with the place of each ending in the store's answer.
pub(crate) fn settlement(settlement: &Settlement) -> (store::SettleTasksRequest, Vec<usize>) {
    let mut request =
        store::SettleTasksRequest { fence: fence(&settlement.fence), ..store::SettleTasksRequest::default() };
    let completed =
        settlement.endings.iter().filter(|ended| matches!(ended.ending, Ending::Completed(_))).count();
    let mut places = Vec::with_capacity(settlement.endings.len());
    for ended in &settlement.endings {
        let attempt = Some(ended.attempt.clone());
        match &ended.ending {
            Ending::Completed(completion) => {
                places.push(request.completions.len());
                let completion = Some(completion.as_ref().clone());
                request.completions.push(store::SettledCompletion { attempt, completion });
            }
            Ending::Failed { error, retry_at } => {
                places.push(completed + request.failures.len());
                request.failures.push(store::SettledFailure {
                    attempt,
                    error: error.clone(),
                    retry_at: retry_at.map(|moment| tidemill_proto::time::from_micros(moment.as_micros())),
                });
            }
        }
    }
    (request, places)
}
