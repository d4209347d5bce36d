//! What attempts ask of the store: begun, kept alive, given back, ended. What the store does not hear is told in the log
//! and left to the end of the lease, which brings the task back.

use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_kernel::{ErrorKind, Id, Timestamp};
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::from_micros;
use tonic::Status;
use tracing::warn;

use super::{Performer, call, kind};
use crate::convert;
use crate::engine::{Ending, Event, Grant, SessionId, Settlement};

/// How often the end of an attempt is told to a store that is away, with a second between.
const SETTLE_TRIES: u32 = 5;
/// How many tasks are named in one line of the log.
const NAMED: usize = 10;

impl Performer {
    pub(super) async fn lease(&self, session: SessionId, grants: Vec<Grant>, until: Timestamp) -> Event {
        let grant = |grant: &Grant| store::Grant {
            task_id: grant.candidate.id.to_string(),
            worker: grant.worker.clone(),
            token: grant.token.to_string(),
        };
        let request = store::LeaseTasksRequest {
            grants: grants.iter().map(grant).collect(),
            expires_at: Some(from_micros(until.as_micros())),
        };
        match call(self.deps.tasks.clone().lease_tasks(request)).await {
            Ok(answer) => Event::Leased { session, grants, leases: answer.leases, until },
            Err(fault) => {
                warn!(fault = fault.message(), "cannot lease");
                sleep(Duration::from_millis(200)).await;
                Event::LeaseFailed { session, grants }
            }
        }
    }

    pub(super) async fn renew(&self, leases: Vec<(Id, Id)>, until: Timestamp) -> Option<Event> {
        let request = store::RenewLeasesRequest {
            leases: refs(&leases),
            expires_at: Some(from_micros(until.as_micros())),
        };
        match call(self.deps.tasks.clone().renew_leases(request)).await {
            Ok(answer) => {
                let lost = answer.lost.iter().filter_map(|task| task.parse().ok()).collect();
                Some(Event::Renewed { leases, lost, until })
            }
            Err(fault) => {
                let tasks = names(leases.iter().map(|lease| lease.0));
                warn!(
                    fault = fault.message(),
                    tasks, "cannot renew leases: unless the next try is in time, their tasks are run again"
                );
                None
            }
        }
    }

    pub(super) async fn release(&self, leases: Vec<(Id, Id)>) -> Event {
        let request = store::ReleaseLeasesRequest { leases: refs(&leases) };
        match call(self.deps.tasks.clone().release_leases(request)).await {
            Ok(_) => Event::Released(leases),
            Err(fault) => {
                let tasks = names(leases.iter().map(|lease| lease.0));
                warn!(
                    fault = fault.message(),
                    tasks, "cannot give leases back: their tasks are run again when the leases are over"
                );
                Event::ReleaseFailed(leases)
            }
        }
    }

    /// Tells the store of endings until it has heard. One that it refuses must not hold up the others: they are told
    /// one by one then, and the refusal becomes the task's last error.
    pub(super) async fn settle(&self, settlement: Settlement) -> Vec<Event> {
        match self.try_settle(&settlement).await {
            Ok(accepted) => vec![Event::Settled { settlement, accepted }],
            Err(fault) if is_refusal(&fault) => self.settle_each(settlement).await,
            Err(fault) => vec![unheard(settlement, &fault)],
        }
    }

    async fn settle_each(&self, settlement: Settlement) -> Vec<Event> {
        let session = settlement.session;
        let mut events = Vec::with_capacity(settlement.endings.len());
        for ending in settlement.endings {
            let one = Settlement { session, endings: vec![ending] };
            events.push(match self.settle_one(&one).await {
                Ok(accepted) => Event::Settled { settlement: one, accepted: vec![accepted] },
                Err(fault) => unheard(one, &fault),
            });
        }
        events
    }

    /// Whether the one ending counts. A result that the store refuses fails its task for good.
    async fn settle_one(&self, one: &Settlement) -> Result<bool, Status> {
        let fault = match self.try_settle(one).await {
            Err(fault) if is_refusal(&fault) => fault,
            other => return Ok(other? == [true]),
        };
        let error = format!("the worker's result was refused: {}", fault.message());
        let dead = |(task, token, _): &(Id, Id, Ending)| {
            (*task, *token, Ending::Failed { error: error.clone(), retry_at: None, only_if_expired: false })
        };
        let dead = Settlement { session: one.session, endings: one.endings.iter().map(dead).collect() };
        self.try_settle(&dead).await.map(|_| false)
    }

    async fn try_settle(&self, settlement: &Settlement) -> Result<Vec<bool>, Status> {
        let (request, places) = convert::settlement(settlement);
        let mut tries = 0;
        loop {
            tries += 1;
            match call(self.deps.tasks.clone().settle_tasks(request.clone())).await {
                Ok(answer) => {
                    let accepted = |place: &usize| answer.accepted.get(*place) == Some(&true);
                    return Ok(places.iter().map(accepted).collect());
                }
                Err(fault) if is_refusal(&fault) || tries == SETTLE_TRIES => return Err(fault),
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

/// Whether the store will say the same again: what was sent is at fault, not the store.
fn is_refusal(fault: &Status) -> bool {
    let kind = kind(fault);
    !kind.is_transient() && !matches!(kind, ErrorKind::Internal | ErrorKind::Cancelled)
}

fn unheard(settlement: Settlement, fault: &Status) -> Event {
    let tasks = names(settlement.endings.iter().map(|ending| ending.0));
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

fn refs(leases: &[(Id, Id)]) -> Vec<store::LeaseRef> {
    let lease =
        |(task, token): &(Id, Id)| store::LeaseRef { task_id: task.to_string(), token: token.to_string() };
    leases.iter().map(lease).collect()
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
