//! Tasks that come as a stream.

use tidemill_proto::scheduling::v1::{ListTasksRequest, SubmitTaskStreamRequest, SubmitTaskStreamResponse};
use tidemill_proto::types::v1::NewTask;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::mesh::{Mesh, after, task};

fn numbered(sequence: u64) -> SubmitTaskStreamRequest {
    let task = NewTask { kind: "hand".into(), ..task(&sequence.to_string(), &format!("k{sequence}")) };
    SubmitTaskStreamRequest { sequence, task: Some(task) }
}

impl Mesh {
    async fn open(&self) -> (mpsc::Sender<SubmitTaskStreamRequest>, Streaming<SubmitTaskStreamResponse>) {
        let (sender, requests) = mpsc::channel(16);
        let request = self.context.request(ReceiverStream::new(requests));
        (sender, self.queue.clone().submit_task_stream(request).await.unwrap().into_inner())
    }

    /// Sends all of them; every acknowledgement, and how the stream ended.
    async fn send(
        &self,
        requests: Vec<SubmitTaskStreamRequest>,
    ) -> (Vec<SubmitTaskStreamResponse>, Result<(), Status>) {
        let (sender, mut answers) = self.open().await;
        tokio::spawn(async move {
            for request in requests {
                if sender.send(request).await.is_err() {
                    return;
                }
            }
        });
        let mut acknowledgements = Vec::new();
        loop {
            match answers.message().await {
                Ok(Some(answer)) => acknowledgements.push(answer),
                Ok(None) => return (acknowledgements, Ok(())),
                Err(fault) => return (acknowledgements, Err(fault)),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_stored_in_its_order_but_for_what_is_at_fault() {
    let mut mesh = Mesh::start().await;
    let mut requests: Vec<_> = (1..=1_000).map(numbered).collect();
    requests[16].task.as_mut().unwrap().kind = "NO KIND".into();
    requests[499].task = None;
    requests[500].task.as_mut().unwrap().max_attempts = -1;
    let (answers, end) = mesh.send(requests.clone()).await;
    end.unwrap();
    assert!(answers.is_sorted_by_key(|answer| answer.acknowledged));
    let last = answers.last().unwrap();
    assert_eq!((last.acknowledged, last.stored, last.duplicates), (1_000, 997, 0));
    let mut rejected: Vec<_> = answers.iter().flat_map(|answer| &answer.rejections).collect();
    rejected.sort_by_key(|rejection| rejection.sequence);
    let rejected: Vec<_> =
        rejected.into_iter().map(|rejection| (rejection.sequence, rejection.field.as_str())).collect();
    assert_eq!(rejected, [(17, "kind"), (500, "task"), (501, "max_attempts")]);
    let request = ListTasksRequest { kind: "hand".into(), page_size: 1_000, ..Default::default() };
    let listed = mesh.queue.list_tasks(mesh.context.request(request)).await.unwrap().into_inner().tasks;
    let order = listed.iter().rev().map(|task| task.payload.parse::<u64>().unwrap());
    assert!(order.eq((1..=1_000).filter(|sequence| ![17, 500, 501].contains(sequence))));

    let (answers, end) = mesh.send(requests).await;
    end.unwrap();
    let last = answers.last().unwrap();
    assert_eq!((last.stored, last.duplicates), (0, 997), "sent again, nothing is made twice");
}

#[tokio::test(start_paused = true)]
async fn a_graph_in_its_order_is_not_torn_by_a_task_at_fault() {
    let mesh = Mesh::start().await;
    let mut requests: Vec<_> = (1..=700).map(numbered).collect();
    for (place, request) in requests.iter_mut().enumerate().skip(1) {
        // Each depends on the one before, but nobody on the one at fault.
        let before = if place == 300 { place - 1 } else { place };
        request.task = request.task.take().map(|task| after(task, &[&format!("k{before}")]));
    }
    requests[299].task.as_mut().unwrap().kind = "NO KIND".into();
    let (answers, end) = mesh.send(requests).await;
    end.unwrap();
    let rejected: Vec<_> = answers.iter().flat_map(|answer| &answer.rejections).collect();
    let rejected: Vec<_> =
        rejected.iter().map(|rejection| (rejection.sequence, rejection.field.as_str())).collect();
    assert_eq!(rejected, [(300, "kind")]);
    assert_eq!(answers.last().unwrap().stored, 699);
}

#[tokio::test(start_paused = true)]
async fn what_came_is_acknowledged_while_the_stream_is_open() {
    let mesh = Mesh::start().await;
    let (sender, mut answers) = mesh.open().await;
    for (from, to) in [(1, 3), (4, 10)] {
        for sequence in from..=to {
            sender.send(SubmitTaskStreamRequest { sequence: 0, ..numbered(sequence) }).await.unwrap();
        }
        while answers.message().await.unwrap().unwrap().acknowledged < to {}
    }
    drop(sender);
    assert_eq!(answers.message().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_number_that_does_not_rise_ends_the_stream_after_the_acknowledgement_of_what_came_before() {
    let mesh = Mesh::start().await;
    let (answers, end) = mesh.send(vec![numbered(5), numbered(7), numbered(7), numbered(8)]).await;
    assert_eq!(answers.last().map(|last| (last.acknowledged, last.stored)), Some((7, 2)));
    assert_eq!(end.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_reads_no_acknowledgements_is_not_read_from() {
    let mesh = Mesh::start().await;
    let (sender, mut answers) = mesh.open().await;
    let mut sent = 0;
    // Nothing else happens in paused time while it waits.
    let second = std::time::Duration::from_secs(1);
    while tokio::time::timeout(second, sender.send(numbered(sent + 1))).await.is_ok_and(|sent| sent.is_ok()) {
        sent += 1;
        assert!(sent < 200_000, "it takes whatever comes");
    }
    drop(sender);
    let mut last = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        last = answer.acknowledged;
    }
    assert!(last >= sent, "what was taken is not lost: {last} of {sent}");
}
