//! What attempts ask of the store: recorded, noted, ended. What the store does not hear is told in the log
//! and left to the end of the lease, which brings the task back.

use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_kernel::{ErrorKind, Id};
use tidemill_proto::storage::v1 as store;
use tidemill_proto::types::v1::Task;
use tonic::Status;
use tracing::{debug, warn};

use super::{Performer, call, kind};
use crate::convert;
use crate::engine::{Ended, Ending, Epoch, Event, Settlement};

/// How often the end of an attempt is told to a store that is away, with a second between.
const SETTLE_TRIES: u32 = 5;
/// How many tasks are named in one line of the log.
const NAMED: usize = 10;

impl Performer {
    pub(super) async fn record(
        &self,
        fence: &[Epoch],
        leases: Vec<store::RecordedLease>,
        given_back: Vec<Id>,
    ) -> Vec<Event> {
        let ids = |lease: &store::RecordedLease| {
            Some((lease.attempt.as_ref()?.task_id.parse().ok()?, lease.token.parse().ok()?))
        };
        let named: Vec<(Id, Id)> = leases.iter().filter_map(ids).collect();
        let request = store::RecordLeasesRequest {
            fence: convert::fence(fence),
            leases,
            given_back: given_back.iter().map(ToString::to_string).collect(),
        };
        match call(self.deps.tasks.clone().record_leases(request)).await {
            Ok(answer) => {
                let gone = answer.gone.iter().filter_map(|task| task.parse().ok()).collect();
                vec![Event::Recorded { leases: named, given_back, gone }]
            }
            Err(fault) => {
                debug!(fault = fault.message(), "cannot record leases: they are told again");
                let failed = Event::RecordFailed { leases: named, given_back };
                convert::fenced(&fault, fence).into_iter().chain([failed]).collect()
            }
        }
    }

    pub(super) async fn save_progress(
        &self,
        fence: &[Epoch],
        progress: Vec<store::TaskProgress>,
    ) -> Vec<Event> {
        let request = store::SaveProgressRequest { fence: convert::fence(fence), progress };
        match call(self.deps.tasks.clone().save_progress(request)).await {
            Ok(_) => Vec::new(),
            Err(fault) => {
                warn!(fault = fault.message(), "cannot note how far tasks are; the next word of them counts");
                convert::fenced(&fault, fence).into_iter().collect()
            }
        }
    }

    /// Tells the store of endings until it has heard. One that it refuses must not hold up the others: they are told
    /// one by one then, and the refusal becomes the task's last error.
    pub(super) async fn settle(&self, settlement: Settlement) -> Vec<Event> {
        if settlement.fence.is_empty() {
            return vec![Event::SettleFailed(settlement)];
        }
        match self.try_settle(&settlement).await {
            Ok(settled) => vec![done(settlement, settled)],
            Err(fault) => match convert::fenced(&fault, &settlement.fence) {
                Some(fenced) => vec![fenced, Event::SettleFailed(settlement)],
                None if is_refusal(&fault) => self.settle_each(settlement).await,
                None => vec![unheard(settlement, &fault)],
            },
        }
    }

    async fn settle_each(&self, settlement: Settlement) -> Vec<Event> {
        let Settlement { session, fence, endings } = settlement;
        let mut events = Vec::with_capacity(endings.len());
        for ended in endings {
            let one = Settlement { session, fence: fence.clone(), endings: vec![ended] };
            events.push(match self.settle_one(&one).await {
                Ok(settled) => done(one, settled),
                Err(fault) => unheard(one, &fault),
            });
        }
        events
    }

    /// Ends one attempt. A result that the store refuses fails its task for good.
    async fn settle_one(&self, one: &Settlement) -> Result<(Vec<bool>, Vec<Task>), Status> {
        let fault = match self.try_settle(one).await {
            Err(fault) if is_refusal(&fault) => fault,
            other => return other,
        };
        let error = format!("the worker's result was refused: {}", fault.message());
        let dead = |ended: &Ended| Ended {
            ending: Ending::Failed { error: error.clone(), retry_at: None },
            ..ended.clone()
        };
        let dead = Settlement { endings: one.endings.iter().map(dead).collect(), ..one.clone() };
        self.try_settle(&dead).await.map(|_| (vec![false], Vec::new()))
    }

    async fn try_settle(&self, settlement: &Settlement) -> Result<(Vec<bool>, Vec<Task>), Status> {
        let (request, places) = convert::settlement(settlement);
        let mut tries = 0;
        loop {
            tries += 1;
            match call(self.deps.tasks.clone().settle_tasks(request.clone())).await {
                Ok(answer) => {
                    let accepted = |place: &usize| answer.accepted.get(*place) == Some(&true);
                    return Ok((places.iter().map(accepted).collect(), answer.follow_ups));
                }
                Err(fault) if is_refusal(&fault) || tries == SETTLE_TRIES => return Err(fault),
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

fn done(settlement: Settlement, (accepted, follow_ups): (Vec<bool>, Vec<Task>)) -> Event {
    Event::Settled { settlement, accepted, follow_ups }
}

/// Whether the store will say the same again: what was sent is at fault, not the store.
fn is_refusal(fault: &Status) -> bool {
    let kind = kind(fault);
    !kind.is_transient() && !matches!(kind, ErrorKind::Internal | ErrorKind::Cancelled)
}

fn unheard(settlement: Settlement, fault: &Status) -> Event {
    let tasks = names(settlement.endings.iter().map(|ended| ended.task));
    warn!(fault = fault.message(), tasks, "cannot store how attempts ended: their tasks are run again");
    Event::SettleFailed(settlement)
}

/// The first of the tasks and how many more there are, for the log.
fn names(mut tasks: impl ExactSizeIterator<Item = Id>) -> String {
    let named: Vec<_> = tasks.by_ref().take(NAMED).map(|task| task.to_string()).collect();
    match tasks.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_first_tasks_and_counts_the_others() {
        let ids = |count: u8| (0..count).map(|n| Id::from_bytes([n; 16])).collect::<Vec<_>>();
        assert_eq!(names(ids(2).into_iter()).matches(',').count(), 1);
        assert!(names(ids(12).into_iter()).ends_with(" and 2 more"));
        assert_eq!(names(ids(0).into_iter()), "");
    }

    #[test]
    fn only_what_was_sent_is_refused_for_good() {
        for refused in [Status::invalid_argument("x"), Status::already_exists("x"), Status::not_found("x")] {
            assert!(is_refusal(&refused));
        }
        for away in [Status::unavailable("x"), Status::deadline_exceeded("x"), Status::internal("x")] {
            assert!(!is_refusal(&away));
        }
    }
}
