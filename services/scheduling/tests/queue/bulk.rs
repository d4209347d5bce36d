//! Tasks steered by filter.

use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_proto::scheduling::v1::{
    CancelTasksRequest, CancelTasksResponse, GetQueueRequest, RetryTasksRequest, RetryTasksResponse,
};
use tidemill_proto::types::v1::{NewTask, TaskFilter, TaskState};
use tonic::Code;

use crate::mesh::{Mesh, task};

fn by_hand() -> TaskFilter {
    TaskFilter { kind: "hand".into(), ..TaskFilter::default() }
}

impl Mesh {
    pub(crate) async fn cancel(
        &mut self,
        filter: &TaskFilter,
        dry_run: bool,
        token: &str,
    ) -> CancelTasksResponse {
        let request = CancelTasksRequest { filter: Some(filter.clone()), dry_run, page_token: token.into() };
        self.queue.cancel_tasks(self.context.request(request)).await.unwrap().into_inner()
    }

    async fn retry(&mut self, filter: &TaskFilter, dry_run: bool, token: &str) -> RetryTasksResponse {
        let request = RetryTasksRequest { filter: Some(filter.clone()), dry_run, page_token: token.into() };
        self.queue.retry_tasks(self.context.request(request)).await.unwrap().into_inner()
    }

    /// How many tasks wait and how many are cancelled.
    async fn counts(&mut self) -> (i64, i64) {
        let request = self.context.request(GetQueueRequest {});
        let queue = self.queue.get_queue(request).await.unwrap().into_inner().queue.unwrap();
        let sum = |of: fn(&tidemill_proto::scheduling::v1::PriorityState) -> i64| {
            queue.priorities.iter().map(of).sum::<i64>()
        };
        (sum(|state| state.waiting), sum(|state| state.cancelled))
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_are_cancelled_and_put_back_in_bounded_calls_that_may_be_repeated() {
    let mut mesh = Mesh::start().await;
    let new = |_| NewTask { kind: "hand".into(), ..task("", "") };
    for count in [1_000, 1_000, 300] {
        mesh.submit((0..count).map(new).collect()).await;
    }
    let filter = by_hand();
    let dry = mesh.cancel(&filter, true, "").await;
    assert_eq!((dry.count, dry.next_page_token.as_str()), (2_300, ""));
    assert_eq!(mesh.counts().await, (2_300, 0), "nothing was changed");
    let first = mesh.cancel(&filter, false, "").await;
    assert_eq!((first.count, mesh.counts().await), (1_000, (1_300, 1_000)));
    let again = mesh.cancel(&filter, false, "").await;
    assert_eq!(again.count, 1_000, "begun anew it goes on, too");
    let last = mesh.cancel(&filter, false, &again.next_page_token).await;
    assert_eq!((last.count, last.next_page_token.as_str()), (300, ""));
    assert_eq!(mesh.cancel(&filter, false, "").await, CancelTasksResponse::default());
    let mut back = Vec::new();
    let mut token = String::new();
    loop {
        let answer = mesh.retry(&filter, false, &token).await;
        (token, _) = (answer.next_page_token, back.push(answer.count));
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((back.as_slice(), mesh.counts().await), ([1_000, 1_000, 300].as_slice(), (2_300, 0)));
}

#[tokio::test(start_paused = true)]
async fn dead_tasks_that_fit_run_again_at_once() {
    let mut mesh = Mesh::start().await;
    let tasks = (0..40).map(|number| task(if number % 4 == 0 { "work" } else { "fail" }, "")).collect();
    for (number, (id, _)) in mesh.submit(tasks).await.into_iter().enumerate() {
        mesh.reach(&id, if number % 4 == 0 { TaskState::Succeeded } else { TaskState::Dead }).await;
    }
    let dead = TaskFilter { state: TaskState::Dead.into(), error: "never".into(), ..TaskFilter::default() };
    let other = TaskFilter { error: "something else".into(), ..dead.clone() };
    assert_eq!(mesh.retry(&other, false, "").await.count, 0);
    assert_eq!(mesh.retry(&dead, true, "").await.count, 30);
    assert_eq!(mesh.retry(&dead, false, "").await.count, 30);
    let ran = || mesh.runs.lock().unwrap().iter().filter(|payload| *payload == "fail").count();
    let begun = tokio::time::Instant::now();
    while ran() < 60 {
        assert!(begun.elapsed() < Duration::from_secs(10), "an audit would have found them: {}", ran());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_cancelled_by_filter_free_their_slots() {
    let mut mesh = Mesh::start().await;
    let hanging = mesh.submit((0..4).map(|_| task("hang", "")).collect()).await;
    for (id, _) in &hanging {
        mesh.reach(id, TaskState::Running).await;
    }
    let running = TaskFilter { state: TaskState::Running.into(), ..TaskFilter::default() };
    assert_eq!(mesh.cancel(&running, false, "").await.count, 4);
    let next = mesh.submit(vec![task("work", "")]).await;
    mesh.reach(&next[0].0, TaskState::Succeeded).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_meant_is_refused() {
    let mut mesh = Mesh::start().await;
    let succeeded = Some(TaskFilter { state: TaskState::Succeeded.into(), ..TaskFilter::default() });
    for (filter, page_token, named) in
        [(succeeded, String::new(), "filter.state"), (Some(by_hand()), "x".into(), "page_token")]
    {
        let request = RetryTasksRequest { filter, dry_run: false, page_token };
        let fault = mesh.queue.retry_tasks(mesh.context.request(request)).await.unwrap_err();
        assert_eq!(fault.code(), Code::InvalidArgument);
        assert!(fault.message().contains(named), "{fault}");
    }
}
