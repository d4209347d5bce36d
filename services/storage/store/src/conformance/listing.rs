//! What people can read of the log: tasks page by page, and counts.

use tidemill_kernel::Priority;

use super::fixture::{
    Shared, append, append_one, at, attempt, completion, create, document, failure, ids, next, page, query,
    record, settle, source, succeed, task, unmatched,
};
use crate::Error;
use crate::content::Query;
use crate::task::{Completion, Failure, Fence, NewTask, TaskCount, TaskState};

fn of(number: u128, kind: &str, priority: Priority) -> NewTask {
    NewTask { kind: kind.to_owned(), priority, ..task(number) }
}

/// By state, by kind, by both; finished and unfinished ones together.
pub async fn tasks_page_newest_first_with_filters(store: Shared) {
    let acme = create(&store, "acme").await;
    let kinds = |number: u128| if number.is_multiple_of(2) { "collect" } else { "analyze" };
    let tasks = (1..=8).map(|number| of(number, kinds(number), Priority::Normal));
    let stored = append(&store, &acme, tasks.collect()).await;
    record(&store, stored[1], 2).await;
    record(&store, stored[4], 5).await;
    succeed(&store, stored[2], at(6)).await;
    settle(&store, vec![], vec![failure(attempt(stored[5], 1))], at(6)).await;
    store.cancel_task(&acme, stored[6], at(6)).await.unwrap();
    let check = async |state, kind, expected: &[usize]| {
        let expected: Vec<_> = expected.iter().map(|number| stored[number - 1]).collect();
        for size in [1, 3, 10] {
            let (mut seen, mut asked) = (Vec::new(), page(size));
            loop {
                let page = store.page_tasks(&acme, state, kind, asked).await.unwrap();
                assert!(page.items.len() <= size as usize);
                seen.extend(ids(&page.items));
                if page.next_token.is_empty() {
                    break;
                }
                asked = next(size, &page.next_token);
            }
            assert_eq!(seen, expected, "{state:?} {kind:?} {size}");
        }
    };
    check(None, None, &[8, 7, 6, 5, 4, 3, 2, 1]).await;
    check(Some(TaskState::Running), None, &[5, 2]).await;
    check(Some(TaskState::Waiting), None, &[8, 4, 1]).await;
    check(Some(TaskState::Succeeded), None, &[3]).await;
    check(Some(TaskState::Dead), None, &[6]).await;
    check(Some(TaskState::Cancelled), None, &[7]).await;
    check(None, Some("collect"), &[8, 6, 4, 2]).await;
    check(Some(TaskState::Waiting), Some("collect"), &[8, 4]).await;
    check(Some(TaskState::Running), Some("collect"), &[2]).await;
    check(Some(TaskState::Dead), Some("analyze"), &[]).await;
    check(None, Some("simulate"), &[]).await;
    let all = store.page_tasks(&acme, None, None, page(8)).await.unwrap();
    assert_eq!((all.items.len(), all.next_token.as_str()), (8, ""));
}

/// Pages go on behind the last task shown, whatever becomes of it and of others.
pub async fn a_page_goes_on_although_tasks_are_added(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, (1..=5).map(task).collect()).await;
    let first = store.page_tasks(&acme, None, None, page(2)).await.unwrap();
    assert_eq!(ids(&first.items), [stored[4], stored[3]]);
    append(&store, &acme, (6..=9).map(task).collect()).await;
    succeed(&store, stored[3], at(6)).await;
    succeed(&store, stored[1], at(6)).await;
    let second = store.page_tasks(&acme, None, None, next(2, &first.next_token)).await.unwrap();
    assert_eq!(ids(&second.items), [stored[2], stored[1]]);
    let third = store.page_tasks(&acme, None, None, next(2, &second.next_token)).await.unwrap();
    assert_eq!((ids(&third.items), third.next_token.as_str()), (stored[..1].to_vec(), ""));
}

/// Of tasks and of queries: a page is an ordinary message, whatever size was asked for, and its token goes on.
pub async fn a_page_of_large_items_shows_fewer_and_hides_none(store: Shared) {
    let acme = create(&store, "acme").await;
    let large = || "x".repeat(200 << 10);
    let mut stored = Vec::new();
    for number in 1..=24 {
        // What makes it large can be what its sender or what its worker wrote.
        let payload = if number % 2 == 0 { large() } else { String::new() };
        let id = append_one(&store, &acme, NewTask { payload, ..task(number) }).await;
        if number % 2 == 1 {
            let done = Completion { result: large(), ..completion(attempt(id, 1)) };
            settle(&store, vec![done], vec![], at(6)).await;
        }
        stored.insert(0, id);
        let parameters = format!(r#"{{"wide":"{}"}}"#, large());
        store.put_query(&acme, Query { parameters, ..query(number) }).await.unwrap();
    }
    let (mut tasks, mut queries) = (Vec::new(), Vec::new());
    let mut asked = page(1_000);
    loop {
        let page = store.page_tasks(&acme, None, None, asked).await.unwrap();
        assert!((1..=10).contains(&page.items.len()), "{}", page.items.len());
        tasks.extend(ids(&page.items));
        if page.next_token.is_empty() {
            break;
        }
        asked = next(1_000, &page.next_token);
    }
    assert_eq!(tasks, stored);
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
    let stored = append(&store, &acme, (1..=5).map(task).collect()).await;
    let low = vec![of(6, "analyze", background), of(7, "collect", background)];
    let low = append(&store, &acme, low).await;
    counts(&[(normal, TaskState::Waiting, 5), (background, TaskState::Waiting, 2)]).await;
    let mut held = Vec::new();
    for id in &stored[..4] {
        held.push(record(&store, *id, 1).await);
    }
    record(&store, stored[0], 1).await;
    counts(&[
        (normal, TaskState::Waiting, 1),
        (normal, TaskState::Running, 4),
        (background, TaskState::Waiting, 2),
    ])
    .await;
    let retry = Failure { retry_at: Some(at(9)), ..failure(held[1].clone()) };
    let dead = failure(held[2].clone());
    settle(&store, vec![completion(held[0].clone())], vec![retry, dead], at(6)).await;
    settle(&store, vec![completion(held[0].clone())], vec![failure(held[2].clone())], at(6)).await;
    store.cancel_task(&acme, low[0], at(7)).await.unwrap();
    store.cancel_task(&acme, low[0], at(7)).await.unwrap();
    counts(&[
        (normal, TaskState::Waiting, 2),
        (normal, TaskState::Running, 1),
        (normal, TaskState::Succeeded, 1),
        (normal, TaskState::Dead, 1),
        (background, TaskState::Waiting, 1),
        (background, TaskState::Cancelled, 1),
    ])
    .await;
    store.record_leases(Fence::default(), vec![], vec![stored[3]]).await.unwrap();
    store.revive_task(&acme, stored[2], at(8)).await.unwrap();
    store.revive_task(&acme, low[0], at(8)).await.unwrap();
    counts(&[
        (normal, TaskState::Waiting, 4),
        (normal, TaskState::Succeeded, 1),
        (background, TaskState::Waiting, 2),
    ])
    .await;
    let follow = Completion { follow_ups: vec![task(8)], ..completion(attempt(low[1], 1)) };
    record(&store, stored[1], 2).await;
    settle(&store, vec![follow], vec![], at(9)).await;
    store.cancel_task(&acme, stored[1], at(9)).await.unwrap();
    counts(&[
        (normal, TaskState::Waiting, 4),
        (normal, TaskState::Succeeded, 1),
        (normal, TaskState::Cancelled, 1),
        (background, TaskState::Waiting, 1),
        (background, TaskState::Succeeded, 1),
    ])
    .await;
}
