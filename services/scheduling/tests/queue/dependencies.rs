//! Tasks that depend on others.

use std::time::Duration;

use tidemill_chassis::sleep;
use tidemill_proto::scheduling::v1::{CancelTaskRequest, RetryTaskRequest, SubmitTasksRequest};
use tidemill_proto::time::duration;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{Dependency, DependencyFailure, NewTask, TaskOptions, TaskState};
use tonic::Code;

use crate::mesh::{Mesh, after, task};

fn on_id(id: &str) -> Dependency {
    Dependency { task: Some(Named::Id(id.to_owned())) }
}

fn on_failure(task: NewTask, policy: DependencyFailure) -> NewTask {
    let options = TaskOptions { on_dependency_failure: policy.into(), ..*task.options.unwrap() };
    NewTask { options: Some(Box::new(options)), ..task }
}

/// A task whose time never comes in a test.
fn later(key: &str) -> NewTask {
    let run_at = pbjson_types::Timestamp { seconds: 4_000_000_000, nanos: 0 };
    NewTask { run_at: Some(run_at), ..task("later", key) }
}

impl Mesh {
    async fn cancel_one(&mut self, id: &str) {
        let request = self.context.request(CancelTaskRequest { id: id.to_owned() });
        self.queue.cancel_task(request).await.unwrap();
    }

    async fn retry_one(&mut self, id: &str) {
        let request = self.context.request(RetryTaskRequest { id: id.to_owned() });
        self.queue.retry_task(request).await.unwrap();
    }

    /// The field and the rule that a submission is refused for.
    pub(crate) async fn refusal(&mut self, tasks: Vec<NewTask>) -> (String, String) {
        let request = self.context.request(SubmitTasksRequest { tasks });
        let status = self.queue.submit_tasks(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let violation = tidemill_chassis::fault::from_status(&status).violations.remove(0);
        (violation.field, violation.description)
    }
}

#[tokio::test(start_paused = true)]
async fn a_graph_runs_in_its_order_whatever_the_order_of_the_submission() {
    let mut mesh = Mesh::start().await;
    let tasks = vec![
        after(task("join", "join"), &["left", "right"]),
        after(task("left", "left"), &["start"]),
        after(task("right", "right"), &["start"]),
        task("start", "start"),
    ];
    let ids = mesh.submit(tasks.clone()).await;
    mesh.reach(&ids[0].0, TaskState::Succeeded).await;
    let runs = mesh.runs.lock().unwrap().clone();
    assert_eq!((runs.len(), runs[0].as_str(), runs[3].as_str()), (4, "start", "join"));
    assert!(mesh.submit(tasks).await.iter().all(|(_, duplicate)| *duplicate), "again it makes nothing");
}

#[tokio::test(start_paused = true)]
async fn a_task_may_depend_on_others_that_are_there_already_kept_or_not() {
    let mut mesh = Mesh::start().await;
    let gone = NewTask { keep: Some(duration(Duration::ZERO)), ..task("work", "gone") };
    let before = mesh.submit(vec![task("work", ""), gone, task("slow", "")]).await;
    mesh.reach(&before[0].0, TaskState::Succeeded).await;
    mesh.until_run("slow").await;
    let mut last = after(task("last", ""), &["gone"]);
    let on = [on_id(&before[0].0), on_id(&before[2].0)];
    last.options.as_mut().unwrap().depends_on.extend(on);
    let last = mesh.submit(vec![last]).await;
    mesh.reach(&last[0].0, TaskState::Succeeded).await;
    assert_eq!(mesh.runs.lock().unwrap().last().unwrap(), "last");
}

#[tokio::test(start_paused = true)]
async fn what_depends_on_a_failure_dies_with_it_and_runs_when_both_are_retried() {
    let mut mesh = Mesh::start().await;
    let tasks = vec![later("a"), after(task("b", "b"), &["a"]), after(task("c", "c"), &["b"])];
    let ids = mesh.submit(tasks).await;
    mesh.cancel_one(&ids[0].0).await;
    for (id, on) in [(&ids[1].0, &ids[0].0), (&ids[2].0, &ids[1].0)] {
        let dead = mesh.reach(id, TaskState::Dead).await;
        assert!(dead.error.starts_with("dependency: ") && dead.error.contains(on.as_str()), "{}", dead.error);
        assert_eq!(dead.attempt, 0);
    }
    assert!(mesh.runs.lock().unwrap().is_empty());
    for (id, _) in &ids {
        mesh.retry_one(id).await;
    }
    mesh.reach(&ids[2].0, TaskState::Succeeded).await;
    assert_eq!(*mesh.runs.lock().unwrap(), ["later", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_may_run_in_spite_of_a_failure_or_wait_until_it_is_mended() {
    let mut mesh = Mesh::start().await;
    let tasks = vec![
        task("fail", "bad"),
        later("held"),
        on_failure(after(task("clean up", ""), &["bad"]), DependencyFailure::Run),
        on_failure(after(task("patient", ""), &["held"]), DependencyFailure::Wait),
    ];
    let ids = mesh.submit(tasks).await;
    mesh.reach(&ids[2].0, TaskState::Succeeded).await;
    assert_eq!(mesh.reach(&ids[0].0, TaskState::Dead).await.error, "never");
    mesh.cancel_one(&ids[1].0).await;
    sleep(Duration::from_secs(100)).await;
    mesh.reach(&ids[3].0, TaskState::Waiting).await;
    mesh.retry_one(&ids[1].0).await;
    mesh.reach(&ids[3].0, TaskState::Succeeded).await;
}

#[tokio::test(start_paused = true)]
async fn a_waiting_task_that_is_cancelled_never_runs() {
    let mut mesh = Mesh::start().await;
    let ids = mesh.submit(vec![task("slow", "s"), after(task("never", ""), &["s"])]).await;
    mesh.cancel_one(&ids[1].0).await;
    mesh.reach(&ids[0].0, TaskState::Succeeded).await;
    sleep(Duration::from_secs(100)).await;
    mesh.reach(&ids[1].0, TaskState::Cancelled).await;
    assert_eq!(*mesh.runs.lock().unwrap(), ["slow"]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_makes_a_fan_with_a_task_that_joins_it() {
    let mut mesh = Mesh::start().await;
    let fan = mesh.submit(vec![task("fan", "")]).await;
    mesh.reach(&fan[0].0, TaskState::Succeeded).await;
    mesh.until_run("joined").await;
    let runs = mesh.runs.lock().unwrap().clone();
    assert_eq!((runs.len(), runs.last().unwrap().as_str()), (5, "joined"));
    let circle = mesh.submit(vec![task("circle", "")]).await;
    let dead = mesh.reach(&circle[0].0, TaskState::Dead).await;
    assert!(dead.error.contains("one -> other -> one"), "{}", dead.error);
}

#[tokio::test(start_paused = true)]
async fn a_circle_and_what_is_not_there_are_refused_by_name_and_nothing_is_stored() {
    let mut mesh = Mesh::start().await;
    let tasks = vec![task("work", "free"), after(task("a", "a"), &["b"]), after(task("b", "b"), &["a"])];
    let (field, rule) = mesh.refusal(tasks).await;
    assert_eq!(field, "tasks[1].options.depends_on");
    assert!(rule.contains("a -> b -> a"), "{rule}");
    let (field, rule) = mesh.refusal(vec![after(task("x", ""), &["free"])]).await;
    assert_eq!(field, "tasks[0].options.depends_on[0]");
    assert!(rule.contains("key `free`"), "{rule}");
    let unknown = "01900000-0000-7000-8000-000000000001";
    let mut named = after(task("x", ""), &[]);
    named.options.as_mut().unwrap().depends_on.push(on_id(unknown));
    assert!(mesh.refusal(vec![named]).await.1.contains(unknown));
    assert!(mesh.runs.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_is_a_duplicate_although_what_it_depends_on_is_known_no_more() {
    let mut mesh = Mesh::start().await;
    let brief = NewTask { keep: Some(duration(Duration::ZERO)), ..task("slow", "") };
    let before = mesh.submit(vec![brief]).await;
    let mut last = after(task("last", "last"), &[]);
    last.options.as_mut().unwrap().depends_on.push(on_id(&before[0].0));
    let ids = mesh.submit(vec![last.clone()]).await;
    mesh.reach(&ids[0].0, TaskState::Succeeded).await;
    assert_eq!(mesh.submit(vec![last.clone()]).await, [(ids[0].0.clone(), true)]);
    let other = NewTask { key: "other".into(), ..last.clone() };
    let (field, _) = mesh.refusal(vec![last.clone(), other]).await;
    assert_eq!(field, "tasks[1].options.depends_on[0]", "that one would be new");
    let (field, _) = mesh.refusal(vec![NewTask { unique: true, ..last }]).await;
    assert_eq!(field, "tasks[0].options.depends_on[0]", "so would this one be: the other has ended");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_none_can_have_is_refused_where_it_stands() {
    let mut mesh = Mesh::start().await;
    let mut tasks: Vec<_> = (0..6).map(|number| task("work", &format!("k{number}"))).collect();
    tasks[5] = after(tasks[5].clone(), &["k1"]);
    tasks[5].options.as_mut().unwrap().depends_on.push(on_id("no id"));
    let (field, rule) = mesh.refusal(tasks).await;
    assert_eq!(field, "tasks[5].options.depends_on[1].id", "{rule}");
}
