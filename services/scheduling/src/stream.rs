//! Tasks that come as a stream. One reads what comes, one stores it: what has come while a commit ran goes together into the
//! next one, so the size of a batch follows the time of a commit and tasks keep their order.
//!
//! Invariants: memory is bounded by what is read ahead and one batch; nothing is acknowledged before it is durable or
//! rejected; a sender that reads no acknowledgements is not read from; a task that is refused does not keep out the others
//! of its batch, which is halved until only tasks at fault are left out.

use std::time::Duration;

use tidemill_chassis::{Context, FaultExt, fault, sleep};
use tidemill_kernel::{ErrorKind, Fault};
use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::types::v1::NewTask;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tonic::{Status, Streaming};

use crate::service::{Scheduling, submitted};
use crate::submit::is_refusal;

/// The most tasks of a batch, and as many are read ahead of it.
pub(crate) const BATCH: usize = 256;
/// A commit that takes so long is worth sharing by those who are about to come.
const SLOW: Duration = Duration::from_millis(1);
/// How many acknowledgements may wait to be read.
pub(crate) const UNREAD: usize = 4;
/// How long a full queue is waited for between two tries, at most.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// Where acknowledgements go.
pub(crate) type Answers = mpsc::Sender<Result<api::SubmitTaskStreamResponse, Status>>;

/// A task with the number that counts.
struct Numbered {
    sequence: u64,
    task: Option<NewTask>,
}

/// Reads a stream until it ends, is at fault, or nobody takes any more. A fault is the last item.
async fn read(
    mut requests: Streaming<api::SubmitTaskStreamRequest>,
    to: mpsc::Sender<Result<Numbered, Status>>,
) {
    let mut last = 0;
    loop {
        let item = match requests.message().await {
            Ok(None) => return,
            Ok(Some(request)) => number(last, request),
            Err(fault) => Err(fault),
        };
        let is_over = item.is_err();
        last = item.as_ref().map_or(last, |item| item.sequence);
        if to.send(item).await.is_err() || is_over {
            return;
        }
    }
}

fn number(before: u64, request: api::SubmitTaskStreamRequest) -> Result<Numbered, Status> {
    let sequence = match request.sequence {
        0 => before.saturating_add(1),
        given => given,
    };
    if sequence <= before {
        let rule = format!("is {sequence} after {before}; number the tasks upwards, or send 0 throughout");
        return Err(Fault::invalid("sequence", rule).into_status());
    }
    Ok(Numbered { sequence, task: request.task })
}

/// Who is expected in the next batch. Senders who wait for each of their tasks come back at once when they are answered: a
/// moment for all of them, and they share the next commit instead of taking turns with those who came during this one.
#[derive(Debug, Clone, Copy, Default)]
struct Company {
    expected: usize,
    until: Option<Instant>,
}

impl Company {
    /// So many were answered or wait already; to make the last ones durable took so long. Half of that is waited at most.
    fn of(expected: usize, took: Duration) -> Self {
        let until = (took >= SLOW).then(|| Instant::now() + took / 2);
        Self { expected, until }
    }

    /// Takes what came; how much.
    async fn gather<T>(self, items: &mut mpsc::Receiver<T>, came: &mut Vec<T>) -> usize {
        let mut count = items.recv_many(came, BATCH).await;
        let Some(until) = self.until else { return count };
        while (1..self.expected.min(BATCH)).contains(&count) {
            match timeout_at(until, items.recv_many(came, BATCH - count)).await {
                Ok(0) | Err(_) => break,
                Ok(more) => count += more,
            }
        }
        count
    }
}

/// What became of the tasks of a stream.
#[derive(Debug, Default)]
struct Totals {
    stored: u64,
    duplicates: u64,
    /// Since the last acknowledgement, as are the tasks.
    rejections: Vec<api::RejectedTask>,
    tasks: Vec<api::SubmittedTask>,
}

impl Totals {
    fn reject(&mut self, sequence: u64, status: &Status) {
        let fault = fault::from_status(status);
        let (field, description) = match fault.violations.into_iter().next() {
            Some(violation) => (own_field(&violation.field), violation.description),
            None => (String::new(), fault.message),
        };
        self.rejections.push(api::RejectedTask { sequence, field, description });
    }

    fn store(&mut self, appended: Vec<store::AppendedTask>) {
        let duplicates = appended.iter().filter(|task| task.duplicate).count() as u64;
        self.duplicates += duplicates;
        self.stored += appended.len() as u64 - duplicates;
        self.tasks.extend(appended.into_iter().map(submitted));
    }

    fn acknowledge(&mut self, acknowledged: u64) -> api::SubmitTaskStreamResponse {
        let (rejections, tasks) = (std::mem::take(&mut self.rejections), std::mem::take(&mut self.tasks));
        let Self { stored, duplicates, .. } = *self;
        api::SubmitTaskStreamResponse { acknowledged, stored, duplicates, rejections, tasks, r#final: false }
    }
}

/// The field of a task, without the way to the task in the call that was made of it.
fn own_field(path: &str) -> String {
    path.rsplit_once("].").map_or(path, |(_, field)| field).trim_start_matches("tasks.").to_owned()
}

impl Scheduling {
    /// Stores a stream's tasks until it ends; ends with the fault that ended it, after all acknowledgements.
    pub(crate) async fn take_in_stream(
        self,
        context: Context,
        requests: Streaming<api::SubmitTaskStreamRequest>,
        answers: Answers,
    ) {
        let (to, mut items) = mpsc::channel(BATCH);
        let reader = tokio::spawn(read(requests, to));
        let (mut totals, mut acknowledged) = (Totals::default(), 0);
        let (mut came, mut company) = (Vec::with_capacity(BATCH), Company::default());
        let end = loop {
            let count = tokio::select! {
                count = company.gather(&mut items, &mut came) => count,
                () = answers.closed() => break None,
                () = self.ended() => {
                    let last = api::SubmitTaskStreamResponse { r#final: true, ..totals.acknowledge(acknowledged) };
                    // A caller that has gone away needs no answer.
                    let _ = answers.send(Ok(last)).await;
                    let why = "the scheduler is stopping: what it acknowledged is stored; send the rest again in a moment";
                    break Some(Status::unavailable(why));
                }
            };
            if count == 0 {
                break None;
            }
            let mut end = None;
            let mut batch = Vec::with_capacity(count);
            for item in came.drain(..) {
                match item {
                    Ok(numbered) => batch.push(numbered),
                    Err(fault) => end = Some(fault),
                }
            }
            if let Some(last) = batch.last().map(|last| last.sequence) {
                let (began, count) = (Instant::now(), batch.len());
                if let Err(fault) = self.store(&context, batch, &mut totals, &answers).await {
                    break Some(fault);
                }
                company = Company::of(count + items.len(), began.elapsed());
                acknowledged = last;
                if answers.send(Ok(totals.acknowledge(last))).await.is_err() {
                    break None;
                }
            }
            if end.is_some() {
                break end;
            }
        };
        reader.abort();
        if let Some(fault) = end {
            // A caller that has gone away needs no answer.
            let _ = answers.send(Err(fault)).await;
        }
    }

    /// Stores a batch, and of one that is refused its halves, in their order.
    async fn store(
        &self,
        context: &Context,
        batch: Vec<Numbered>,
        totals: &mut Totals,
        answers: &Answers,
    ) -> Result<(), Status> {
        let mut tasks = Vec::with_capacity(batch.len());
        for Numbered { sequence, task } in batch {
            match task {
                Some(task) => tasks.push((sequence, task)),
                None => {
                    let missing =
                        Fault::invalid("task", "is missing; send the task beside its sequence number");
                    totals.reject(sequence, &missing.into_status());
                }
            }
        }
        let mut open = vec![tasks];
        while let Some(mut tasks) = open.pop() {
            if tasks.is_empty() {
                continue;
            }
            let sent = tasks.iter().map(|(_, task)| task.clone()).collect();
            match self.queue_tasks(context, sent).await {
                Ok((appended, _)) => totals.store(appended),
                Err(fault) if is_refusal(&fault) && tasks.len() == 1 => totals.reject(tasks[0].0, &fault),
                Err(fault) if is_refusal(&fault) => {
                    let second = tasks.split_off(tasks.len() / 2);
                    open.extend([second, tasks]);
                }
                Err(fault) => {
                    rest(fault, answers).await?;
                    open.push(tasks);
                }
            }
        }
        Ok(())
    }
}

/// Waits until a full queue may have room; any other fault, or a sender that has gone, ends the stream.
async fn rest(status: Status, answers: &Answers) -> Result<(), Status> {
    let fault = fault::from_status(&status);
    match (fault.kind, fault.retry_after) {
        (ErrorKind::Exhausted, Some(wait)) => tokio::select! {
            () = sleep(wait.min(LONGEST_REST)) => Ok(()),
            () = answers.closed() => Err(status),
        },
        _ => Err(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_rise_or_are_counted() {
        let request = |sequence| api::SubmitTaskStreamRequest { sequence, task: None };
        let given = |before, sequence| number(before, request(sequence)).map(|item| item.sequence);
        assert_eq!(given(0, 0).unwrap(), 1);
        assert_eq!(given(6, 0).unwrap(), 7);
        assert_eq!(given(6, 9).unwrap(), 9);
        for sequence in [1, 6] {
            assert!(given(6, sequence).unwrap_err().message().contains("after 6"));
        }
    }

    #[test]
    fn a_rejection_names_the_field_of_the_task_alone() {
        for (path, field) in [
            ("tasks[3].kind", "kind"),
            ("tasks.options", "options"),
            ("tasks[0].options.cost", "options.cost"),
            ("payload", "payload"),
        ] {
            assert_eq!(own_field(path), field);
        }
    }
}
