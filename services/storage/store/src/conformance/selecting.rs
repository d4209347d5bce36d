//! Many tasks steered by hand at once, step by step.

use tidemill_kernel::{Id, Priority, TenantName, Timestamp};

use super::fixture::{
    Shared, append, append_at, at, attempt, completion, create, failure, ids, name, page, read, record,
    settle, task,
};
use crate::task::{Failure, NewTask, Selection, Steering, Task, TaskFilter, TaskState};

/// All that is steered, in steps of this size.
pub(super) async fn steer(
    store: &Shared,
    tenant: &TenantName,
    steering: Steering,
    filter: &TaskFilter,
    (limit, is_dry): (u32, bool),
    now: Timestamp,
) -> Vec<Id> {
    let mut steered = Vec::new();
    let mut after = 0;
    loop {
        let selection = Selection { steering, filter: filter.clone(), after, limit, is_dry };
        let step = store.steer_tasks(tenant, selection, now).await.unwrap();
        assert!(step.tasks.len() <= limit as usize);
        steered.extend(step.tasks);
        let Some(through) = step.through else { break };
        assert!(through > after, "a step comes forward");
        after = through;
    }
    assert!(steered.is_sorted_by_key(Id::place));
    steered
}

/// Twelve tasks of two kinds and priorities in all states, with two errors; and another tenant's.
async fn mixed(store: &Shared) -> (TenantName, Vec<Id>) {
    let (acme, other) = (create(store, "acme").await, create(store, "other").await);
    let new = |number: u128| NewTask {
        kind: if number.is_multiple_of(2) { "collect" } else { "analyze" }.to_owned(),
        group: if number.is_multiple_of(4) { "fours" } else { "" }.to_owned(),
        priority: if number.is_multiple_of(3) { Priority::Background } else { Priority::Normal },
        ..task(number)
    };
    let mut stored = append(store, &acme, (1..=6).map(new).collect()).await;
    let later = append_at(store, &acme, (7..=12).map(new).collect(), at(4)).await;
    stored.extend(later.into_iter().map(|row| row.id));
    let others = append(store, &other, (1..=4).map(new).collect()).await;
    record(store, stored[1], 2).await;
    record(store, stored[8], 9).await;
    let with = |error: &str, task| Failure { error: error.to_owned(), ..failure(attempt(task, 1)) };
    let early =
        vec![with("quota: 100% of a_b", stored[2]), with("timed out", stored[3]), with("no", others[0])];
    settle(store, vec![completion(attempt(stored[4], 1))], early, at(6)).await;
    let again = Failure { retry_at: Some(at(90)), ..with("timed out", stored[10]) };
    settle(store, Vec::new(), vec![with("quota: 100% of a_b", stored[6]), again], at(8)).await;
    store.cancel_task(&acme, stored[7], at(7)).await.unwrap();
    store.cancel_task(&other, others[1], at(7)).await.unwrap();
    (acme, stored)
}

async fn all(store: &Shared, tenant: &TenantName) -> Vec<Task> {
    let mut tasks = store.page_tasks(tenant, None, None, page(1_000)).await.unwrap().items;
    tasks.reverse();
    tasks
}

/// Nothing is changed by a dry step. A text is searched for letter by letter, times are from the first to before the last.
pub async fn what_fits_a_filter_is_found_whatever_the_size_of_a_step(store: Shared) {
    let (acme, stored) = mixed(&store).await;
    let before = all(&store, &acme).await;
    assert_eq!(before.len(), stored.len());
    let any = TaskFilter::default();
    let state = |state| TaskFilter { state: Some(state), ..TaskFilter::default() };
    let error = |error: &str| TaskFilter { error: error.to_owned(), ..TaskFilter::default() };
    let of_kind = |kind: &str| TaskFilter { failure_kind: kind.to_owned(), ..TaskFilter::default() };
    let span = |from: Option<i64>, until: Option<i64>| TaskFilter {
        from: from.map(at),
        until: until.map(at),
        ..TaskFilter::default()
    };
    let filters = [
        any.clone(),
        TaskFilter { kind: "collect".to_owned(), ..any.clone() },
        TaskFilter { kind: "none".to_owned(), ..any.clone() },
        TaskFilter { group: "fours".to_owned(), ..any.clone() },
        TaskFilter { group: "none".to_owned(), ..any.clone() },
        error("timed out"),
        error("100%"),
        error("a_b"),
        error("axb"),
        error("TIMED"),
        of_kind("quota"),
        of_kind("quot"),
        of_kind("100%"),
        TaskFilter { error: "a_b".to_owned(), ..of_kind("quota") },
        span(Some(3), None),
        span(None, Some(7)),
        span(Some(6), Some(8)),
        span(Some(8), Some(9)),
        TaskFilter { kind: "collect".to_owned(), ..error("out") },
    ];
    let steerings = [Steering::Cancel, Steering::Revive];
    let cases = steerings.into_iter().flat_map(|steering| {
        let of_state = steering.states().map(state);
        filters.iter().cloned().chain(of_state).map(move |filter| (steering, filter)).collect::<Vec<_>>()
    });
    let mut found = 0;
    for (steering, filter) in cases {
        let fits = |task: &&Task| steering.states().contains(&task.state) && filter.fits(task);
        let expected: Vec<Id> = before.iter().filter(fits).map(|task| task.id).collect();
        found += expected.len();
        for limit in [1, 2, 5, 100] {
            let steered = steer(&store, &acme, steering, &filter, (limit, true), at(20)).await;
            assert_eq!(steered, expected, "{steering:?} {filter:?} {limit}");
        }
    }
    assert!(found > 30, "{found}");
    assert_eq!(all(&store, &acme).await, before);
    assert_eq!(steer(&store, &name("nobody"), Steering::Cancel, &any, (10, false), at(20)).await, []);
}

/// Those that run are among them; doing it again changes nothing.
pub async fn unfinished_tasks_that_fit_are_cancelled_and_no_others(store: Shared) {
    let (acme, stored) = mixed(&store).await;
    let before = all(&store, &acme).await;
    let filter = TaskFilter { kind: "collect".to_owned(), ..TaskFilter::default() };
    let cancelled = steer(&store, &acme, Steering::Cancel, &filter, (2, false), at(20)).await;
    assert_eq!(cancelled, [stored[1], stored[5], stored[9], stored[11]]);
    assert_eq!(steer(&store, &acme, Steering::Cancel, &filter, (2, false), at(21)).await, []);
    for (was, is) in before.iter().zip(all(&store, &acme).await) {
        if cancelled.contains(&is.id) {
            let expected = Task { state: TaskState::Cancelled, finished_at: Some(at(20)), ..was.clone() };
            assert_eq!(is, expected);
        } else {
            assert_eq!(is, *was);
        }
    }
    let left = ids(&super::fixture::unfinished(&store, &acme).await);
    assert_eq!(left, [stored[0], stored[8], stored[10]]);
    let counts = store.count_tasks(&acme).await.unwrap();
    let of = |state| counts.iter().filter(|count| count.state == state).map(|count| count.count).sum::<i64>();
    let waiting_and_running = (of(TaskState::Waiting), of(TaskState::Running), of(TaskState::Cancelled));
    assert_eq!(waiting_and_running, (2, 1, 5));
}

/// They wait at their old places, as if never started, with their last error.
pub async fn given_up_tasks_that_fit_are_put_back_and_no_others(store: Shared) {
    let (acme, stored) = mixed(&store).await;
    let quota = TaskFilter { error: "quota".to_owned(), ..TaskFilter::default() };
    assert_eq!(
        steer(&store, &acme, Steering::Revive, &quota, (1, false), at(20)).await,
        [stored[2], stored[6]]
    );
    let back = read(&store, &acme, stored[2]).await;
    assert_eq!((back.state, back.attempt, back.new.run_at), (TaskState::Waiting, 0, at(20)));
    assert_eq!((back.error.as_str(), back.finished_at), ("quota: 100% of a_b", None));
    assert_eq!(steer(&store, &acme, Steering::Revive, &quota, (1, false), at(21)).await, []);
    let any = TaskFilter::default();
    assert_eq!(
        steer(&store, &acme, Steering::Revive, &any, (100, false), at(22)).await,
        [stored[3], stored[7]]
    );
    assert_eq!(read(&store, &acme, stored[4]).await.state, TaskState::Succeeded);
    let counts = store.count_tasks(&acme).await.unwrap();
    let of = |state| counts.iter().filter(|count| count.state == state).map(|count| count.count).sum::<i64>();
    assert_eq!((of(TaskState::Waiting), of(TaskState::Dead), of(TaskState::Cancelled)), (9, 0, 0));
    assert_eq!(super::fixture::unfinished(&store, &acme).await.len(), 11);
    let other = name("other");
    assert_eq!(all(&store, &other).await[0].state, TaskState::Dead, "another tenant's stay");
}
