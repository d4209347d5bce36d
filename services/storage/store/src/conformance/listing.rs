//! What can be read of the log.

use tidemill_kernel::{Id, Page, Priority};

use super::fixture::{
    Shared, append, at, completion, create, document, failure, lease, next, page, query, source, start, task,
    unmatched,
};
use crate::Error;
use crate::content::Query;
use crate::task::{Failure, NewTask, QueueDepth, Task, TaskCount, TaskState, Waiting};

fn of(number: u128, kind: &str, priority: Priority) -> NewTask {
    NewTask { kind: kind.to_owned(), priority, ..task(number) }
}

fn ids(page: &Page<Task>) -> Vec<Id> {
    page.items.iter().map(|task| task.new.id).collect()
}

fn numbers<const N: usize>(numbers: [u128; N]) -> Vec<Id> {
    numbers.into_iter().map(|number| task(number).id).collect()
}

/// By state, by kind, by both.
pub async fn tasks_page_newest_first_with_filters(store: Shared) {
    let acme = create(&store, "acme").await;
    let kinds = |number: u128| if number.is_multiple_of(2) { "collect" } else { "analyze" };
    append(&store, &acme, (1..=6).map(|number| of(number, kinds(number), Priority::Normal)).collect()).await;
    start(&store, task(2).id, 2).await;
    start(&store, task(5).id, 5).await;
    let read = async |state, kind, size| store.page_tasks(&acme, state, kind, page(size)).await.unwrap();
    assert_eq!(ids(&read(None, None, 10).await), numbers([6, 5, 4, 3, 2, 1]));
    assert_eq!(ids(&read(Some(TaskState::Running), None, 10).await), numbers([5, 2]));
    assert_eq!(ids(&read(None, Some("collect"), 10).await), numbers([6, 4, 2]));
    assert_eq!(ids(&read(Some(TaskState::Waiting), Some("collect"), 10).await), numbers([6, 4]));
    assert!(read(Some(TaskState::Dead), None, 10).await.items.is_empty());
    assert!(read(None, Some("simulate"), 10).await.items.is_empty());
    let all = read(None, None, 6).await;
    assert_eq!((all.items.len(), all.next_token.as_str()), (6, ""));
}

/// Pages go on behind the last task shown.
pub async fn a_page_goes_on_although_tasks_are_added(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, (1..=5).map(task).collect()).await;
    let first = store.page_tasks(&acme, None, None, page(2)).await.unwrap();
    assert_eq!(ids(&first), numbers([5, 4]));
    append(&store, &acme, (6..=9).map(task).collect()).await;
    let second = store.page_tasks(&acme, None, None, next(2, &first.next_token)).await.unwrap();
    assert_eq!(ids(&second), numbers([3, 2]));
    let third = store.page_tasks(&acme, None, None, next(2, &second.next_token)).await.unwrap();
    assert_eq!((ids(&third), third.next_token.as_str()), (numbers([1]), ""));
}

/// Of tasks and of queries: a page is an ordinary message, whatever size was asked for, and its token goes on.
pub async fn a_page_of_large_items_shows_fewer_and_hides_none(store: Shared) {
    let acme = create(&store, "acme").await;
    let large = || "x".repeat(200 << 10);
    for number in 1..=24 {
        append(&store, &acme, vec![NewTask { payload: large(), ..task(number) }]).await;
        let parameters = format!(r#"{{"wide":"{}"}}"#, large());
        store.put_query(&acme, Query { parameters, ..query(number) }).await.unwrap();
    }
    let (mut tasks, mut queries) = (Vec::new(), Vec::new());
    let mut asked = page(1_000);
    loop {
        let page = store.page_tasks(&acme, None, None, asked).await.unwrap();
        assert!((1..=10).contains(&page.items.len()), "{}", page.items.len());
        tasks.extend(page.items.iter().map(|task| task.new.id));
        if page.next_token.is_empty() {
            break;
        }
        asked = next(1_000, &page.next_token);
    }
    assert_eq!(tasks, (1..=24).rev().map(|number| task(number).id).collect::<Vec<_>>());
    let mut asked = page(1_000);
    loop {
        let page = store.page_queries(&acme, asked).await.unwrap();
        assert!((1..=10).contains(&page.items.len()), "{}", page.items.len());
        queries.extend(page.items.into_iter().map(|query| query.name));
        if page.next_token.is_empty() {
            break;
        }
        asked = next(1_000, &page.next_token);
    }
    assert!(queries.len() == 24 && queries.is_sorted(), "{queries:?}");
}

/// Nonsense, another listing's token, another filter's, another tenant's.
pub async fn tokens_of_other_listings_are_refused(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "beta").await);
    append(&store, &acme, (1..=3).map(task).collect()).await;
    for number in 1..=3 {
        store.put_query(&acme, query(number)).await.unwrap();
        store.put_source(&acme, source(number)).await.unwrap();
    }
    let rows = (1..=3).map(|number| unmatched(document(number))).collect();
    store.append_documents(&acme, rows, 3, at(5)).await.unwrap();
    let tasks = store.page_tasks(&acme, None, None, page(1)).await.unwrap().next_token;
    let queries = store.page_queries(&acme, page(1)).await.unwrap().next_token;
    for token in
        [queries.as_str(), "x", "0", "[]", "ffffffffffffffff31", "é", &tasks[1..], &format!("{tasks}7b")]
    {
        let refused = store.page_tasks(&acme, None, None, next(1, token)).await;
        assert!(matches!(refused, Err(Error::PageToken(_))), "{token}: {refused:?}");
        let refused = store.page_sources(&acme, next(1, token)).await;
        assert!(matches!(refused, Err(Error::PageToken(_))), "{token}: {refused:?}");
        let refused = store.page_results(&acme, None, next(1, token)).await;
        assert!(matches!(refused, Err(Error::PageToken(_))), "{token}: {refused:?}");
        let refused = store.search_documents(&acme, "wind", next(1, token)).await;
        assert!(matches!(refused, Err(Error::PageToken(_))), "{token}: {refused:?}");
    }
    let refused = store.page_tasks(&acme, Some(TaskState::Waiting), None, next(1, &tasks)).await;
    assert!(matches!(refused, Err(Error::PageToken(_))), "{refused:?}");
    let refused = store.page_tasks(&beta, None, None, next(1, &tasks)).await;
    assert!(matches!(refused, Err(Error::PageToken(_))), "{refused:?}");
    let refused = store.page_queries(&acme, next(1, &tasks)).await;
    assert!(matches!(refused, Err(Error::PageToken(_))), "{refused:?}");
}

/// By tenant, priority and kind; queues that are empty again are left out.
pub async fn queues_tell_how_many_wait(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "beta").await);
    let tasks = vec![
        of(1, "analyze", Priority::Normal),
        of(2, "analyze", Priority::Normal),
        of(3, "analyze", Priority::Background),
        of(4, "collect", Priority::Normal),
    ];
    append(&store, &acme, tasks).await;
    append(&store, &beta, vec![of(5, "analyze", Priority::Normal)]).await;
    start(&store, task(1).id, 1).await;
    start(&store, task(4).id, 4).await;
    let depth = |tenant: &tidemill_kernel::TenantName, priority| QueueDepth {
        tenant: tenant.clone(),
        priority,
        kind: "analyze".to_owned(),
        waiting: 1,
    };
    let mut queues = store.queues().await.unwrap();
    queues.depths.sort();
    let expected =
        [depth(&acme, Priority::Normal), depth(&acme, Priority::Background), depth(&beta, Priority::Normal)];
    assert_eq!(queues.depths, expected);
    let last = store.load_new(0, 10).await.unwrap().last().unwrap().sequence;
    assert_eq!(queues.last_sequence, last);
}

/// One queue, after a place, up to a limit; a task that waits again keeps its place.
pub async fn waiting_tasks_load_by_queue_in_order(store: Shared) {
    let acme = create(&store, "acme").await;
    append(&store, &acme, vec![of(1, "collect", Priority::Normal)]).await;
    append(&store, &acme, (2..=6).map(|number| of(number, "analyze", Priority::Normal)).collect()).await;
    append(&store, &acme, vec![of(7, "analyze", Priority::Interactive)]).await;
    let held = start(&store, task(3).id, 3).await;
    let load = async |after, limit| -> Vec<Waiting> {
        store.load_waiting(&acme, Priority::Normal, "analyze", after, limit).await.unwrap()
    };
    let ids = |rows: &[Waiting]| -> Vec<Id> { rows.iter().map(|row| row.id).collect() };
    let rows = load(0, 10).await;
    assert_eq!(ids(&rows), numbers([2, 4, 5, 6]));
    let expected = Task::stored(of(2, "analyze", Priority::Normal), acme.clone(), at(2));
    assert_eq!(rows[0], expected.waiting(rows[0].sequence));
    assert_eq!(ids(&load(rows[0].sequence, 2).await), numbers([4, 5]));
    assert!(load(rows[3].sequence, 2).await.is_empty());
    let retry = Failure { retry_at: Some(at(99)), ..failure(held) };
    store.settle_tasks(vec![], vec![retry], at(6)).await.unwrap();
    assert_eq!(ids(&load(0, 3).await), numbers([2, 3, 4]));
}

/// All tenants together, after a place, up to a limit.
pub async fn new_and_running_tasks_load_in_order(store: Shared) {
    let (acme, beta) = (create(&store, "acme").await, create(&store, "beta").await);
    append(&store, &acme, vec![task(1), task(2)]).await;
    append(&store, &beta, vec![task(3), task(4)]).await;
    append(&store, &acme, vec![task(5)]).await;
    let new = store.load_new(0, 10).await.unwrap();
    assert_eq!(new.iter().map(|row| row.id).collect::<Vec<_>>(), numbers([1, 2, 3, 4, 5]));
    assert_eq!((&new[0].tenant, &new[2].tenant), (&acme, &beta));
    assert_eq!(store.load_new(new[1].sequence, 2).await.unwrap(), new[2..4]);
    for number in [5, 3, 1] {
        start(&store, task(number).id, number).await;
    }
    assert_eq!(store.load_new(0, 10).await.unwrap(), [new[1].clone(), new[3].clone()]);
    let running = store.load_running(0, 2).await.unwrap();
    assert_eq!(running.iter().map(|row| &row.waiting).collect::<Vec<_>>(), [&new[0], &new[2]]);
    let last = store.load_running(running[1].waiting.sequence, 2).await.unwrap().remove(0);
    assert_eq!((last.waiting.id, last.token), (task(5).id, lease(task(5).id, 5).token));
    assert_eq!((last.worker.as_str(), last.expires_at), ("worker-1", at(14)));
    assert_eq!((last.attempt, last.max_attempts), (1, 3));
}

/// By priority and state, in order.
pub async fn counts_follow_every_step(store: Shared) {
    let acme = create(&store, "acme").await;
    let counts = async |expected: &[(Priority, TaskState, i64)]| {
        let expected: Vec<TaskCount> =
            expected.iter().map(|&(priority, state, count)| TaskCount { priority, state, count }).collect();
        assert_eq!(store.count_tasks(&acme).await.unwrap(), expected);
    };
    let (normal, background) = (Priority::Normal, Priority::Background);
    counts(&[]).await;
    append(&store, &acme, (1..=5).map(task).collect()).await;
    append(&store, &acme, vec![of(6, "analyze", background), of(7, "collect", background)]).await;
    counts(&[(normal, TaskState::Waiting, 5), (background, TaskState::Waiting, 2)]).await;
    let mut leases = Vec::new();
    for number in 1..=4 {
        leases.push(start(&store, task(number).id, number).await);
    }
    let retry = Failure { retry_at: Some(at(9)), ..failure(leases[1]) };
    store.settle_tasks(vec![completion(leases[0])], vec![retry, failure(leases[2])], at(6)).await.unwrap();
    store.cancel_task(&acme, task(6).id, at(7)).await.unwrap();
    counts(&[
        (normal, TaskState::Waiting, 2),
        (normal, TaskState::Running, 1),
        (normal, TaskState::Succeeded, 1),
        (normal, TaskState::Dead, 1),
        (background, TaskState::Waiting, 1),
        (background, TaskState::Cancelled, 1),
    ])
    .await;
    store.release_leases(vec![leases[3]], at(8)).await.unwrap();
    store.revive_task(&acme, task(3).id, at(8)).await.unwrap();
    store.revive_task(&acme, task(6).id, at(8)).await.unwrap();
    counts(&[
        (normal, TaskState::Waiting, 4),
        (normal, TaskState::Succeeded, 1),
        (background, TaskState::Waiting, 2),
    ])
    .await;
}
