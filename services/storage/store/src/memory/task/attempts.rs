//! Attempts in memory: recorded, settled.

use tidemill_kernel::{Id, TenantName, Timestamp};

use crate::memory::{Row, State};
use crate::task::{Attempt, Completion, Failure, NewTask, Progress, RecordedLease, Settled, Task, TaskState};

impl State {
    /// The leases whose tasks are not there any more.
    pub(super) fn record(&mut self, leases: Vec<RecordedLease>, given_back: &[Id]) -> Vec<Id> {
        for id in given_back {
            if let Some(row) = self.unfinished_task(*id) {
                row.lease = None;
            }
        }
        let mut vain = Vec::new();
        for lease in leases {
            match self.unfinished_task(lease.attempt.task) {
                Some(row) => row.lease = Some(lease),
                None => vain.push(lease.attempt.task),
            }
        }
        vain
    }

    pub(super) fn save_progress(&mut self, progress: Progress) {
        if let Some(Row { task, .. }) = self.unfinished_task(progress.task) {
            task.progress = progress.progress;
            if let Some(checkpoint) = progress.checkpoint {
                task.checkpoint = checkpoint;
            }
        }
    }

    pub(super) fn settle(
        &mut self,
        completions: Vec<Completion>,
        failures: Vec<Failure>,
        now: Timestamp,
    ) -> Settled {
        let mut settled = Settled::default();
        let (mut seen, mut followed) = (Vec::new(), Vec::new());
        for completion in completions {
            let is_first = is_first(&mut seen, completion.attempt.task);
            let accepted = is_first && self.complete(completion.cleaned(), now, &mut followed);
            settled.accepted.push(accepted);
        }
        for failure in failures {
            let is_first = is_first(&mut seen, failure.attempt.task);
            settled.accepted.push(is_first && self.fail(failure.cleaned(), now));
        }
        // When all have ended, as what follows may take their keys over.
        for (tenant, new) in followed {
            let appended = self.append_task(&tenant, new, now);
            if !appended.duplicate {
                settled.follow_ups.extend(self.unfinished_task(appended.id).map(|row| row.shown()));
            }
        }
        settled.follow_ups.sort_by_key(|task| task.id.place());
        settled
    }

    fn complete(
        &mut self,
        completion: Completion,
        now: Timestamp,
        followed: &mut Vec<(TenantName, NewTask)>,
    ) -> bool {
        let Some(row) = self.unfinished_task(completion.attempt.task) else { return false };
        row.end(completion.attempt);
        row.task.state = TaskState::Succeeded;
        row.task.finished_at = Some(now);
        row.task.result = completion.result;
        let (id, tenant, ended) = (row.task.id, row.task.tenant.clone(), row.shown());
        self.shift_group(&ended, TaskState::Waiting, now);
        if ended.new.keep.is_some_and(|keep| keep.is_zero()) {
            self.remove_task(id.place());
        }
        if let (Some((query, document, analysis)), Ok(content)) =
            (completion.analysis, self.content_mut(&tenant))
        {
            content.add_analysis(query, document, analysis, now);
        }
        followed.extend(completion.follow_ups.into_iter().map(|new| (tenant.clone(), new)));
        true
    }

    fn fail(&mut self, failure: Failure, now: Timestamp) -> bool {
        let Some(row) = self.unfinished_task(failure.attempt.task) else { return false };
        row.end(failure.attempt);
        row.task.error = failure.error;
        match failure.retry_at {
            Some(retry_at) => row.task.new.run_at = retry_at,
            None => {
                row.task.state = TaskState::Dead;
                row.task.finished_at = Some(now);
                let dead = row.shown();
                self.shift_group(&dead, TaskState::Waiting, now);
            }
        }
        true
    }
}

fn is_first(seen: &mut Vec<Id>, id: Id) -> bool {
    let is_first = !seen.contains(&id);
    seen.push(id);
    is_first
}

impl Row {
    /// The task as it stands.
    pub(in crate::memory) fn shown(&self) -> Task {
        let mut task = self.task.clone();
        task.state = self.state();
        if let Some(lease) = &self.lease {
            note(&mut task, lease.attempt.clone());
        }
        task
    }

    /// Where its task stands.
    pub(in crate::memory) fn state(&self) -> TaskState {
        if self.lease.is_some() { TaskState::Running } else { self.task.state }
    }

    pub(in crate::memory) fn cancel(&mut self, now: Timestamp) {
        if let Some(lease) = self.lease.take() {
            note(&mut self.task, lease.attempt);
        }
        self.task.state = TaskState::Cancelled;
        self.task.finished_at = Some(now);
    }

    pub(in crate::memory) fn revive(&mut self, now: Timestamp) {
        let task = &mut self.task;
        task.new.run_at = now;
        (task.state, task.attempt, task.started_at, task.finished_at) = (TaskState::Waiting, 0, None, None);
        task.worker.clear();
    }

    /// Ends the attempt.
    fn end(&mut self, attempt: Attempt) {
        self.lease = None;
        note(&mut self.task, attempt);
    }
}

/// What an attempt tells of its task.
fn note(task: &mut Task, attempt: Attempt) {
    task.attempt = attempt.number;
    task.started_at = Some(attempt.started_at);
    task.worker = attempt.worker;
}
