//! What workers do for this scheduler, told to the others.

use std::collections::BTreeMap;

use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::tally_service_server::TallyService;
use tonic::{Request, Response, Status};

use super::board::Board;
use super::measure::Counts;
use crate::actor::Handle;
use crate::engine::{Answer, Question};

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Tallies {
    pub(crate) board: Board,
    pub(crate) handle: Handle,
}

#[tonic::async_trait]
impl TallyService for Tallies {
    async fn tally(&self, _: Request<api::TallyRequest>) -> Result<Response<api::TallyResponse>, Status> {
        let Answer::Load(load) = self.handle.ask(Question::Load).await? else {
            return Ok(Response::new(api::TallyResponse::default()));
        };
        let mut kinds = self.board.own();
        // What it was told last of what runs is a while ago.
        kinds.values_mut().for_each(|counts| counts.running = 0);
        for (kind, running) in load.running {
            kinds.entry(kind).or_default().running = running;
        }
        Ok(Response::new(api::TallyResponse { scheduler: load.owner, kinds: encode(kinds) }))
    }
}

fn encode(kinds: BTreeMap<String, Counts>) -> Vec<api::KindTally> {
    let kind = |(kind, counts)| {
        let Counts { started, ended, failed, running, .. } = counts;
        api::KindTally { kind, started, ended, failed, running }
    };
    kinds.into_iter().map(kind).collect()
}

/// What another scheduler told; what waits it does not tell.
pub(super) fn decode(kinds: Vec<api::KindTally>) -> BTreeMap<String, Counts> {
    let counts = |api::KindTally { kind, started, ended, failed, running }| {
        (kind, Counts { started, ended, failed, running, waiting: 0 })
    };
    kinds.into_iter().map(counts).collect()
}
