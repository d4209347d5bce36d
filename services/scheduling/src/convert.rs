//! Messages of the task store as the engine's own words. What cannot be read is left out: the store wrote it, so it
//! can only come from a newer one.

use std::sync::Arc;

use tidemill_kernel::{Priority, Shard, Timestamp};
use tidemill_policy::{Kind, Lack, QueueKey, Traits, Zone};
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::to_micros;
use tidemill_proto::types::v1::TaskOptions;
use tonic::Status;
use tonic_types::StatusExt;

use crate::engine::{Ending, Epoch, Event, Running, Settlement};

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

/// What a task asks for beyond its kind; none if nothing.
pub(crate) fn traits(options: &TaskOptions) -> Option<Arc<Traits>> {
    let text = |text: &String| Some(text.as_str()).filter(|text| !text.is_empty()).map(Arc::from);
    let mut labels: Vec<Arc<str>> =
        options.labels.iter().map(|(name, value)| Arc::from(format!("{name}={value}"))).collect();
    labels.sort();
    let traits = Traits {
        deadline: options.deadline.as_ref().map(|time| Timestamp::from_micros(to_micros(time))),
        keys: options.limit_keys.iter().map(|key| Arc::from(key.as_str())).collect(),
        memory: options.memory_bytes,
        labels,
        affinity: text(&options.affinity),
        zone: text(&options.zone).map(|name| Zone { name, required: false }),
        order_key: text(&options.order_key),
    };
    (traits != Traits::default()).then(|| Arc::new(traits))
}

/// What a worker lacks, in words.
pub(crate) fn lacks(lacks: &[Lack]) -> String {
    let words = lacks.iter().map(|lack| match lack {
        Lack::Kind(kind) => format!("it does not run tasks of kind {kind}"),
        Lack::Labels(labels) => format!("it does not have the labels {}", labels.join(", ")),
        Lack::Zone(zone) => format!("it is not in zone {zone}"),
        Lack::Memory { needed, has } => {
            format!("the task needs {} MiB of memory, it has {} MiB", needed.div_ceil(1 << 20), has >> 20)
        }
    });
    words.collect::<Vec<_>>().join("; ")
}

/// A fence.
pub(crate) fn fence(fence: &[Epoch]) -> Vec<store::ShardEpoch> {
    let epoch =
        |(shard, epoch): &(Shard, i64)| store::ShardEpoch { shard: shard.number().into(), epoch: *epoch };
    fence.iter().map(epoch).collect()
}

/// The shard of this fence that another scheduler runs by now, if that is why the store refused.
pub(crate) fn fenced(fault: &Status, fence: &[Epoch]) -> Option<Event> {
    let details = fault.get_error_details();
    let shard = Shard::new(details.error_info()?.metadata.get("shard")?.parse().ok()?)?;
    fence.iter().find(|epoch| epoch.0 == shard).map(|epoch| Event::Fenced(*epoch))
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
