//! What the manager looks at, gathered: what waits, from the store; what runs here; what other schedulers tell of their workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tidemill_chassis::Wire;
use tidemill_kernel::shard::Shard;
use tidemill_proto::scheduling::v1::TallyRequest;
use tidemill_proto::scheduling::v1::tally_service_client::TallyServiceClient;
use tidemill_proto::storage::v1::CountQueuesRequest;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tracing::debug;

use super::board::Board;
use super::measure::Sample;
use super::tally;
use crate::Peers;
use crate::actor::Handle;
use crate::engine::{Answer, Load, Question};

/// How long the store may take.
const COUNT: Duration = Duration::from_secs(5);
/// How long another scheduler may take; what it told before stands then.
const TELL: Duration = Duration::from_secs(1);

/// Where it comes from.
#[derive(Clone)]
pub(crate) struct Gather {
    pub(crate) board: Board,
    pub(crate) tasks: TaskStoreServiceClient<Wire>,
    pub(crate) handle: Handle,
    pub(crate) peers: Option<Arc<dyn Peers>>,
}

impl Gather {
    /// Everything added up, and how many schedulers there are.
    pub(super) async fn sample(&self) -> (Sample, u32) {
        let (waiting, load) = tokio::join!(waiting(self.tasks.clone()), self.load());
        if let Some(waiting) = waiting {
            self.board.wait(waiting);
        }
        let Some(load) = load else { return (self.board.sample(), 1) };
        let schedulers = u32::try_from(load.others.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.board.run(load.running, load.others.iter().map(|(name, _)| name.clone()));
        let asked: Vec<_> = load
            .others
            .into_iter()
            .map(|(name, address)| tokio::spawn(self.clone().ask(name, address)))
            .collect();
        for one in asked {
            // It ends by itself, and a panic there is nothing that this could mend.
            let _ = one.await;
        }
        (self.board.sample(), schedulers)
    }

    async fn load(&self) -> Option<Load> {
        match self.handle.ask(Question::Load).await {
            Ok(Answer::Load(load)) => Some(load),
            _ => None,
        }
    }

    /// Asks another scheduler. One that came to its address since has another name, and is asked when that is known.
    async fn ask(self, name: String, address: String) {
        let Some(wire) = self.peers.as_ref().and_then(|peers| peers.wire(&address)) else { return };
        let mut scheduler = TallyServiceClient::new(wire);
        match tokio::time::timeout(TELL, scheduler.tally(TallyRequest {})).await {
            Ok(Ok(answer)) => {
                let answer = answer.into_inner();
                if answer.scheduler == name {
                    self.board.hear(name, tally::decode(answer.kinds));
                }
            }
            Ok(Err(_)) | Err(_) => debug!(address, "another scheduler did not tell what its workers do"),
        }
    }
}

/// How many tasks wait, by kind; none if the store cannot be asked.
async fn waiting(mut tasks: TaskStoreServiceClient<Wire>) -> Option<BTreeMap<String, u64>> {
    let request = CountQueuesRequest { shards: Shard::all().map(|shard| shard.number().into()).collect() };
    let answer = tokio::time::timeout(COUNT, tasks.count_queues(request)).await.ok()?.ok()?;
    let mut waiting = BTreeMap::new();
    for queue in answer.into_inner().queues {
        *waiting.entry(queue.kind).or_default() += u64::try_from(queue.waiting).unwrap_or_default();
    }
    Some(waiting)
}
