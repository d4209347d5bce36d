//! Groups of tasks: their progress adds up, and what waits for one runs once, after all of it.

use std::time::Duration;

use tidemill_chassis::{Context, sleep};
use tidemill_proto::scheduling::v1::{
    GetGroupRequest, ListGroupsRequest, RetryTasksRequest, SubmitTasksRequest, WatchGroupRequest,
};
use tidemill_proto::time::to_micros;
use tidemill_proto::types::v1::dependency::Task as Named;
use tidemill_proto::types::v1::{
    Dependency, DependencyFailure, NewTask, TaskFilter, TaskGroup, TaskOptions, TaskState,
};
use tonic::Code;

use crate::mesh::{Mesh, task};
use crate::owners::Listener;

fn member(payload: &str, group: &str) -> NewTask {
    NewTask { group: group.into(), ..task(payload, "") }
}

/// A task that waits for a group.
fn event(payload: &str, group: &str, on_failure: DependencyFailure) -> NewTask {
    let depends_on = vec![Dependency { task: Some(Named::Group(group.into())) }];
    let options =
        TaskOptions { depends_on, on_dependency_failure: on_failure.into(), ..TaskOptions::default() };
    NewTask { options: Some(Box::new(options)), ..task(payload, "") }
}

/// One that no worker here runs.
fn idle(group: &str) -> NewTask {
    NewTask { kind: "idle".into(), ..member("", group) }
}

fn ended(group: &TaskGroup) -> i64 {
    group.succeeded + group.dead + group.cancelled
}

impl Mesh {
    async fn group(&mut self, name: &str) -> TaskGroup {
        let request = self.context.request(GetGroupRequest { name: name.into() });
        self.queue.get_group(request).await.unwrap().into_inner().group.unwrap()
    }

    /// How often each of these was begun, and where in the order.
    fn begun(&self, payload: &str) -> Vec<usize> {
        let runs = self.runs.lock().unwrap();
        let found = runs.iter().enumerate().filter(|(_, run)| *run == payload);
        found.map(|(place, _)| place).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_members_that_fail_spawn_and_are_cancelled_add_up_and_one_event_follows() {
    let mut mesh = Mesh::start().await;
    let new = |number: usize| match number % 10 {
        0 => member("fail", "g"),
        1 => member("fail once", "g"),
        2 => idle("g"),
        3 => member("spawn 2", "g"),
        _ => member("work", "g"),
    };
    mesh.submit((0..1_000).map(new).collect()).await;
    let event = mesh.submit(vec![event("event", "g", DependencyFailure::Run)]).await.remove(0).0;
    let request = mesh.context.request(WatchGroupRequest { name: "g".into() });
    let mut watched = mesh.queue.watch_group(request).await.unwrap().into_inner();
    let mut seen: Vec<TaskGroup> = Vec::new();
    while let Some(state) = watched.message().await.unwrap() {
        let group = state.group.unwrap();
        assert_eq!(group.total, group.open + ended(&group));
        if (group.open, ended(&group)) == (100, 1_100) {
            assert!(mesh.begun("event").is_empty(), "a hundred are open");
            let filter = TaskFilter { group: "g".into(), ..TaskFilter::default() };
            assert_eq!(mesh.cancel(&filter, false, "").await.count, 100);
        }
        seen.push(group);
    }
    assert!(seen.len() > 2, "{}", seen.len());
    assert!(seen.is_sorted_by_key(ended));
    let last = seen.pop().unwrap();
    let counts = [last.total, last.open, last.succeeded, last.dead, last.cancelled];
    assert_eq!(counts, [1_200, 0, 1_000, 100, 100]);
    let done = mesh.reach(&event, TaskState::Succeeded).await;
    let micros = |time: &Option<pbjson_types::Timestamp>| to_micros(time.as_ref().unwrap());
    let wait = micros(&done.started_at) - micros(&last.changed_at);
    assert!((0..2_000_000).contains(&wait), "it waits for no second look: {wait} us");
    sleep(Duration::from_secs(100)).await;
    assert_eq!(mesh.begun("event"), [mesh.runs.lock().unwrap().len() - 1], "once, and last of all");
    assert_eq!(mesh.group("g").await, last);
}

#[tokio::test(start_paused = true)]
async fn a_failure_counts_when_all_have_ended_and_kills_waits_or_does_not_matter() {
    let mut mesh = Mesh::start().await;
    let tasks = vec![
        member("fail", "g"),
        member("slow", "g"),
        event("dies", "g", DependencyFailure::Unspecified),
        event("runs", "g", DependencyFailure::Run),
        event("waits", "g", DependencyFailure::Wait),
        member("work", "other"),
        event("beside", "other", DependencyFailure::Die),
    ];
    let ids = mesh.submit(tasks).await;
    mesh.reach(&ids[6].0, TaskState::Succeeded).await;
    mesh.reach(&ids[0].0, TaskState::Dead).await;
    sleep(Duration::from_secs(1)).await;
    mesh.reach(&ids[2].0, TaskState::Waiting).await;
    let dead = mesh.reach(&ids[2].0, TaskState::Dead).await;
    assert!(dead.error.starts_with("dependency: group `g`"), "{}", dead.error);
    mesh.reach(&ids[3].0, TaskState::Succeeded).await;
    mesh.reach(&ids[4].0, TaskState::Waiting).await;
    // Put back it is open again, and dies again: of the two that wait, none runs.
    let filter = Some(TaskFilter { group: "g".into(), ..TaskFilter::default() });
    let request = RetryTasksRequest { filter, ..RetryTasksRequest::default() };
    let retried = mesh.queue.retry_tasks(mesh.context.request(request)).await.unwrap().into_inner();
    assert_eq!(retried.count, 1);
    mesh.reach(&ids[0].0, TaskState::Dead).await;
    mesh.reach(&ids[4].0, TaskState::Waiting).await;
    assert_eq!((mesh.begun("runs").len(), mesh.begun("waits").len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_group_runs_when_that_is_mended() {
    let mut mesh = Mesh::start().await;
    let run_at = pbjson_types::Timestamp { seconds: 4_000_000_000, nanos: 0 };
    let later = NewTask { run_at: Some(run_at), ..member("later", "g") };
    let ids = mesh.submit(vec![later, event("waits", "g", DependencyFailure::Wait)]).await;
    let filter = TaskFilter { group: "g".into(), ..TaskFilter::default() };
    mesh.cancel(&filter, false, "").await;
    mesh.submit(vec![member("work", "g")]).await;
    sleep(Duration::from_secs(100)).await;
    mesh.reach(&ids[1].0, TaskState::Waiting).await;
    assert_eq!(mesh.group("g").await.open, 0);
    let request = RetryTasksRequest { filter: Some(filter), ..RetryTasksRequest::default() };
    mesh.queue.retry_tasks(mesh.context.request(request)).await.unwrap();
    mesh.reach(&ids[1].0, TaskState::Succeeded).await;
    assert_eq!(*mesh.runs.lock().unwrap(), ["work", "later", "waits"]);
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_and_what_is_unknown_or_waits_for_itself_is_refused() {
    let mut mesh = Mesh::start().await;
    mesh.submit(vec![idle("b"), idle("a"), idle("a")]).await;
    let request = mesh.context.request(ListGroupsRequest { page_size: 1, page_token: String::new() });
    let page = mesh.queue.list_groups(request).await.unwrap().into_inner();
    assert_eq!((page.groups[0].name.as_str(), page.groups[0].open), ("a", 2));
    let next = ListGroupsRequest { page_size: 5, page_token: page.next_page_token };
    let next = mesh.queue.list_groups(mesh.context.request(next)).await.unwrap().into_inner();
    assert_eq!((next.groups[0].name.as_str(), next.next_page_token.as_str()), ("b", ""));
    let unknown = mesh.context.request(GetGroupRequest { name: "none".into() });
    assert_eq!(mesh.queue.get_group(unknown).await.unwrap_err().code(), Code::NotFound);
    let unknown = mesh.context.request(WatchGroupRequest { name: "none".into() });
    let mut watched = mesh.queue.watch_group(unknown).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap_err().code(), Code::NotFound);
    let (field, rule) = mesh.refusal(vec![event("x", "none", DependencyFailure::Run)]).await;
    assert_eq!(field, "tasks[0].options.depends_on[0]");
    assert!(rule.contains("group `none`"), "{rule}");
    let own = NewTask { group: "a".into(), ..event("x", "a", DependencyFailure::Run) };
    assert!(mesh.refusal(vec![own]).await.1.contains("tasks[0] -> group `a` -> tasks[0]"));
    let long = member("x", &"x".repeat(129));
    assert_eq!(mesh.refusal(vec![long]).await.0, "tasks[0].group");
    assert_eq!(mesh.group("a").await.total, 2, "nothing was stored");
}

#[tokio::test(start_paused = true)]
async fn each_event_comes_once_although_its_scheduler_is_killed() {
    const ALL: usize = 16;
    let mesh = Mesh::start().await;
    let mut first = Listener::of_kinds(&mesh.workers, vec!["none".into()]).await;
    first.until(ALL).await;
    let (_workers, second, _stop) = mesh.scheduler();
    first.until(ALL / 2).await;
    let mut contexts = Vec::new();
    // Of so many tenants each scheduler has some.
    for number in 0..24 {
        let tenant = mesh.tenant(&format!("t{number}")).await;
        let context = Context::for_tenant(tenant);
        let mut tasks = vec![member("spawn 1", "g"), member("fail", "g"), member("slow", "g")];
        tasks.push(event(&format!("event {number}"), "g", DependencyFailure::Run));
        let request = context.request(SubmitTasksRequest { tasks });
        mesh.queue.clone().submit_tasks(request).await.unwrap();
        contexts.push(context);
    }
    sleep(Duration::from_secs(7)).await;
    second.abort();
    for (number, context) in contexts.iter().enumerate() {
        let payload = format!("event {number}");
        mesh.until_run(&payload).await;
        let request = context.request(GetGroupRequest { name: "g".into() });
        let group = mesh.queue.clone().get_group(request).await.unwrap().into_inner().group.unwrap();
        assert_eq!((group.total, group.succeeded, group.dead), (4, 3, 1), "{number}");
    }
    sleep(Duration::from_secs(100)).await;
    assert!((0..contexts.len()).all(|number| mesh.begun(&format!("event {number}")).len() == 1));
}
