//! Carries the engine's effects out: each a call to the store in a task of its own, its answer an event.

mod attempts;
mod fire;
mod load;

use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_kernel::{ErrorKind, TenantName, Tier, Timestamp};
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::types::v1::Tenant;
use tokio_util::task::TaskTracker;
use tonic::{Response, Status};
use tracing::{debug, warn};

use crate::Deps;
use crate::actor::Handle;
use crate::engine::{Asks, Changed, Effect, Event};
use crate::sharing;
use crate::submit::Submitter;

/// How long the store may take for one call: without an answer nothing that waits for it would ever be mended.
const CALL: Duration = Duration::from_secs(30);
/// How long it may take for a claim: a shard that is not renewed in time goes to others.
const CLAIM: Duration = Duration::from_secs(1);
/// How long it rests before it tells a shard's owner again what it did not hear.
const TELL_AGAIN: Duration = Duration::from_secs(1);
/// How long another scheduler may take to say what may be used of limits: then it is asked anew.
const ASK: Duration = Duration::from_secs(1);
/// How long a stopping scheduler waits for its last calls.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// Calls the store.
#[derive(Debug, Clone)]
pub(crate) struct Performer {
    pub(crate) deps: Deps,
    pub(crate) handle: Handle,
    pub(crate) submitter: Submitter,
    pub(crate) calls: TaskTracker,
}

impl Performer {
    /// Waits for what was begun, so that the store hears of everything that was decided.
    pub(crate) async fn finish(&self) {
        self.calls.close();
        tokio::select! {
            () = self.calls.wait() => {}
            () = sleep(LAST_CALLS) => warn!("the store did not answer in time"),
        }
    }

    /// Begins an effect.
    pub(crate) fn perform(&self, effect: Effect, now: Timestamp) {
        let this = self.clone();
        self.calls.spawn(async move {
            for event in this.answer(effect, now).await {
                this.handle.tell(event);
            }
        });
    }

    async fn answer(&self, effect: Effect, now: Timestamp) -> Vec<Event> {
        match effect {
            Effect::Claim(claim) => vec![self.claim(claim, now).await],
            Effect::Load(epoch) => vec![self.load(epoch).await],
            Effect::LoadNew { epoch, after } => vec![self.load_new(epoch, after).await],
            Effect::WakeOwner { address } => self.wake(&address).await,
            Effect::TellOwner { address, changed } => self.tell_owner(&address, changed).await,
            Effect::ReadAgain(tasks) => vec![self.read_again(tasks).await],
            Effect::FindTasks(asked) => vec![self.find_tasks(asked).await],
            Effect::Refill { epoch, refill } => vec![self.refill(epoch, refill).await],
            Effect::Count(epochs) => self.count(epochs).await,
            Effect::LoadSettings { reading, epochs } => {
                self.settings(reading, epochs).await.into_iter().collect()
            }
            Effect::TellSettings { address } => self.tell_settings(&address).await,
            Effect::Fire(firing) => vec![self.fire(*firing).await],
            Effect::LoadTenants(names) => vec![self.load_tenants(names).await],
            Effect::Fetch { session, picked } => vec![self.fetch(session, picked).await],
            Effect::Record { fence, leases, given_back } => self.record(&fence, leases, given_back).await,
            Effect::SaveProgress { fence, progress } => self.save_progress(&fence, progress).await,
            Effect::Settle(settlement) => self.settle(settlement).await,
            Effect::AskShares { address, asks } => vec![self.ask_shares(&address, asks).await],
            Effect::Say { .. } => Vec::new(),
        }
    }

    async fn claim(&self, claim: store::ClaimShardsRequest, asked_at: Timestamp) -> Event {
        let mut tasks = self.deps.tasks.clone();
        let board = match tokio::time::timeout(CLAIM, tasks.claim_shards(claim)).await {
            Ok(Ok(board)) => Some(board.into_inner()),
            Ok(Err(fault)) => {
                debug!(fault = fault.message(), "cannot claim shards");
                None
            }
            Err(_) => None,
        };
        Event::Board { board, asked_at }
    }

    async fn wake(&self, address: &str) -> Vec<Event> {
        if let Some(peers) = &self.deps.peers {
            peers.wake(address).await;
        }
        Vec::new()
    }

    async fn tell_settings(&self, address: &str) -> Vec<Event> {
        if let Some(peers) = &self.deps.peers {
            peers.tell_settings(address).await;
        }
        Vec::new()
    }

    /// Tells another scheduler of changed tasks. Those that nobody took are told again in a moment: shards change hands.
    async fn tell_owner(&self, address: &str, changed: Changed) -> Vec<Event> {
        let others = match &self.deps.peers {
            Some(peers) if !address.is_empty() => {
                peers.tell_changed(address, &changed.tasks, changed.are_cancelled).await
            }
            _ => changed.tasks.clone(),
        };
        let Some(again) = changed.again(others) else { return Vec::new() };
        sleep(TELL_AGAIN).await;
        vec![Event::Changed(again)]
    }

    /// Asks another scheduler what may be used of limits.
    async fn ask_shares(&self, address: &str, asks: Asks) -> Event {
        let number = asks.number;
        let wire = self.deps.peers.as_ref().and_then(|peers| peers.wire(address));
        let shares = match wire {
            Some(wire) => {
                let asked = WorkerServiceClient::new(wire);
                match tokio::time::timeout(ASK, sharing::ask(asked, &asks)).await {
                    Ok(Ok(shares)) => shares,
                    Ok(Err(_)) | Err(_) => {
                        debug!(address, "another scheduler did not say what may be used of its limits");
                        Vec::new()
                    }
                }
            }
            None => Vec::new(),
        };
        Event::Shares { number, shares }
    }

    async fn load_tenants(&self, names: Vec<TenantName>) -> Event {
        let request = store::GetTenantsRequest { names: names.iter().map(ToString::to_string).collect() };
        let weight = |tenant: Tenant| {
            let tier = Tier::from_number(tenant.tier).unwrap_or_default();
            Some((tenant.name.parse().ok()?, tier.weight()))
        };
        match call(self.deps.tenants.clone().get_tenants(request)).await {
            Ok(answer) => Event::Tenants(answer.tenants.into_iter().filter_map(weight).collect()),
            Err(fault) => {
                debug!(fault = fault.message(), "cannot read the weights of tenants");
                Event::TenantsFailed(names)
            }
        }
    }
}

/// One call of the store, within its time.
async fn call<T>(answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(CALL, answer).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!("the store did not answer within {CALL:?}"))),
    }
}

fn kind(status: &Status) -> ErrorKind {
    ErrorKind::from_grpc_code(u16::try_from(i32::from(status.code())).unwrap_or(2))
}
