//! Leases in memory: made, renewed, given back, settled.

use tidemill_kernel::{Id, Timestamp};

use crate::Result;
use crate::memory::{Lease, Row, State};
use crate::task::{Completion, Failure, Grant, LeaseRef, Running, Settled, Task, TaskState, Waiting};

impl State {
    pub(super) fn lease(
        &mut self,
        grant: Grant,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Option<(Task, Id)> {
        let row = self.tasks.get_mut(self.task_ids.get(&grant.task)?)?;
        if row.task.state != TaskState::Waiting {
            return None;
        }
        row.lease = Some(Lease { token: grant.token, expires_at });
        row.task.state = TaskState::Running;
        row.task.attempt += 1;
        row.task.started_at = Some(now);
        row.task.worker = grant.worker;
        Some((row.task.clone(), grant.token))
    }

    pub(super) fn renew(&mut self, lease: &LeaseRef, expires_at: Timestamp) -> bool {
        let held = self.held(lease).and_then(|(_, row)| row.lease.as_mut());
        held.map(|held| held.expires_at = expires_at).is_some()
    }

    pub(super) fn release(&mut self, lease: &LeaseRef) -> Option<Waiting> {
        let (sequence, row) = self.held(lease)?;
        row.end(TaskState::Waiting);
        row.task.attempt = row.task.attempt.saturating_sub(1);
        row.task.started_at = None;
        row.task.worker.clear();
        Some(row.task.waiting(sequence))
    }

    pub(super) fn settle(
        &mut self,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Result<Settled> {
        for completion in &completions {
            if let Some((_, row)) = self.held(&completion.lease) {
                let tenant = row.task.tenant.clone();
                for task in &completion.follow_ups {
                    self.check_task(&tenant, task)?;
                }
            }
        }
        let mut settled = Settled::default();
        for completion in completions {
            let accepted = self.complete(completion.cleaned(), now, &mut settled.follow_ups);
            settled.accepted.push(accepted);
        }
        for failure in failures {
            settled.accepted.push(self.fail(failure.cleaned(), now));
        }
        Ok(settled)
    }

    fn complete(&mut self, completion: Completion, now: Timestamp, follow_ups: &mut Vec<Waiting>) -> bool {
        let Some((_, row)) = self.held(&completion.lease) else { return false };
        row.end(TaskState::Succeeded);
        row.task.finished_at = Some(now);
        row.task.result = completion.result;
        let tenant = row.task.tenant.clone();
        if let (Some((query, document, analysis)), Ok(content)) =
            (completion.analysis, self.content_mut(&tenant))
        {
            content.add_analysis(query, document, analysis, now);
        }
        for task in completion.follow_ups {
            let made = self.append_task(&tenant, task, now).ok();
            follow_ups.extend(made.and_then(|place| Some(self.tasks.get(&place)?.task.waiting(place))));
        }
        true
    }

    fn fail(&mut self, failure: Failure, now: Timestamp) -> bool {
        let Some((_, row)) = self.held(&failure.lease) else { return false };
        if failure.only_if_expired && row.lease.is_some_and(|lease| lease.expires_at > now) {
            return false;
        }
        row.task.error = failure.error;
        match failure.retry_at {
            Some(retry_at) => {
                row.end(TaskState::Waiting);
                row.task.new.run_at = retry_at;
            }
            None => {
                row.end(TaskState::Dead);
                row.task.finished_at = Some(now);
            }
        }
        true
    }

    /// The task that runs under this token.
    fn held(&mut self, lease: &LeaseRef) -> Option<(i64, &mut Row)> {
        let place = *self.task_ids.get(&lease.task)?;
        let row = self.tasks.get_mut(&place)?;
        (row.lease.is_some_and(|held| held.token == lease.token)).then_some((place, row))
    }
}

impl Row {
    /// Ends the attempt.
    fn end(&mut self, state: TaskState) {
        self.lease = None;
        self.task.state = state;
    }

    pub(in crate::memory) fn cancel(&mut self, now: Timestamp) {
        self.end(TaskState::Cancelled);
        self.task.finished_at = Some(now);
    }

    pub(super) fn running(&self, sequence: i64) -> Option<Running> {
        let lease = self.lease?;
        Some(Running {
            waiting: self.task.waiting(sequence),
            worker: self.task.worker.clone(),
            token: lease.token,
            expires_at: lease.expires_at,
            attempt: self.task.attempt,
            max_attempts: self.task.new.max_attempts,
        })
    }
}
