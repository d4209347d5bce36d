//! Groups: their counts follow every change of their tasks, in the same step.

use std::sync::Arc;
use std::time::Duration;

use tidemill_kernel::{TenantName, Timestamp};

use super::concurrency::together;
use super::fixture::{
    Shared, append, append_at, at, attempt, completion, create, failure, keyed, name, next, page, query,
    read, record, settle, succeed, task,
};
use super::selecting::steer;
use crate::content::{MatchedDocument, NewMatch};
use crate::task::{
    Completion, Failure, Group, NewTask, Reference, Standing, Steering, TaskFilter, TaskState,
};

const HOUR: Duration = Duration::from_hours(1);
const LATE: Duration = Duration::from_hours(3 * 24);

/// A task of a group.
fn of(group: &str, number: u128) -> NewTask {
    NewTask { group: group.to_owned(), ..task(number) }
}

/// A group whose first task came at second 2: total, succeeded, dead, cancelled, and when it changed last.
fn counts(name: &str, [total, succeeded, dead, cancelled]: [i64; 4], changed_at: Timestamp) -> Group {
    Group { name: name.to_owned(), total, succeeded, dead, cancelled, first_at: at(2), changed_at }
}

async fn group(store: &Shared, tenant: &TenantName, name: &str) -> Option<Group> {
    store.group(tenant, name).await.unwrap()
}

/// From the first task on, which tells its group; a task whose key is known adds nothing; other names and tenants are others.
pub async fn a_group_comes_with_its_first_task(store: Shared) {
    let (acme, other) = (create(&store, "acme").await, create(&store, "other").await);
    assert_eq!(group(&store, &acme, "g").await, None);
    let first = NewTask { group: "g".into(), ..keyed(1, "k") };
    let stored =
        append(&store, &acme, vec![first.clone(), task(2), of("g", 3), of("Gruppe \u{fc}", 4)]).await;
    append(&store, &other, vec![of("g", 5)]).await;
    let again = append_at(&store, &acme, vec![first, of("g", 6)], at(5)).await;
    assert_eq!(again.iter().map(|row| row.duplicate).collect::<Vec<_>>(), [true, false]);
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [3, 0, 0, 0], at(5))));
    assert_eq!(
        group(&store, &acme, "Gruppe \u{fc}").await,
        Some(counts("Gruppe \u{fc}", [1, 0, 0, 0], at(2)))
    );
    assert_eq!(group(&store, &other, "g").await, Some(counts("g", [1, 0, 0, 0], at(2))));
    assert_eq!(group(&store, &name("nobody"), "g").await, None);
    let names: Vec<String> =
        super::fixture::unfinished(&store, &acme).await.into_iter().map(|task| task.new.group).collect();
    assert_eq!(names, ["g", "", "g", "Gruppe \u{fc}", "g"]);
    succeed(&store, stored[0], at(6)).await;
    assert_eq!(read(&store, &acme, stored[0]).await.new.group, "g");
}

/// However a task ends: kept or not, with a recorded lease or without, by a filter or alone. What goes on changes nothing.
pub async fn every_end_counts_once(store: Shared) {
    let acme = create(&store, "acme").await;
    let brief = NewTask { keep: Some(Duration::ZERO), ..of("g", 1) };
    let mut new = vec![brief.clone(), brief];
    new.extend((3..=9).map(|number| of("g", number)));
    let stored = append(&store, &acme, new).await;
    let ran = record(&store, stored[1], 1).await;
    let running = record(&store, stored[3], 2).await;
    let again = Failure { retry_at: Some(at(9)), ..failure(attempt(stored[4], 1)) };
    let done = vec![completion(attempt(stored[0], 1)), completion(ran), completion(attempt(stored[2], 1))];
    let twice = completion(attempt(stored[2], 1));
    let done = [done, vec![twice]].concat();
    settle(&store, done, vec![failure(running), again], at(6)).await;
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [9, 3, 1, 0], at(6))));
    record(&store, stored[5], 3).await;
    store.cancel_task(&acme, stored[5], at(7)).await.unwrap();
    store.cancel_task(&acme, stored[5], at(8)).await.unwrap();
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [9, 3, 1, 1], at(7))));
    store.prioritise_task(&acme, stored[6], tidemill_kernel::Priority::Background).await.unwrap();
    record(&store, stored[6], 4).await;
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [9, 3, 1, 1], at(7))));
    let any = TaskFilter::default();
    let cancelled = steer(&store, &acme, Steering::Cancel, &any, (3, false), at(9)).await;
    assert_eq!(cancelled.len(), 4);
    let ended = group(&store, &acme, "g").await.unwrap();
    assert_eq!(ended, counts("g", [9, 3, 1, 5], at(9)));
    assert_eq!((ended.open(), ended.state()), (0, TaskState::Dead));
}

/// What is put back is open again, one by one or by a filter, in which a group may be named.
pub async fn what_is_put_back_is_open_again(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, vec![of("g", 1), of("g", 2), of("h", 3), of("g", 4)]).await;
    settle(&store, vec![], vec![failure(attempt(stored[0], 1)), failure(attempt(stored[2], 1))], at(6)).await;
    store.cancel_task(&acme, stored[1], at(6)).await.unwrap();
    store.revive_task(&acme, stored[1], at(7)).await.unwrap();
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [3, 0, 1, 0], at(7))));
    let of_group = |group: &str| TaskFilter { group: group.into(), ..TaskFilter::default() };
    let nobody = steer(&store, &acme, Steering::Revive, &of_group("G"), (10, false), at(8)).await;
    assert!(nobody.is_empty());
    let dry = steer(&store, &acme, Steering::Revive, &of_group("g"), (1, true), at(8)).await;
    let revived = steer(&store, &acme, Steering::Revive, &of_group("g"), (1, false), at(8)).await;
    assert_eq!((&dry, &revived), (&vec![stored[0]], &vec![stored[0]]));
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [3, 0, 0, 0], at(8))));
    assert_eq!(group(&store, &acme, "h").await, Some(counts("h", [1, 0, 1, 0], at(6))));
    let cancelled = steer(&store, &acme, Steering::Cancel, &of_group("g"), (2, false), at(9)).await;
    assert_eq!(cancelled, [stored[0], stored[1], stored[3]]);
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [3, 0, 0, 3], at(9))));
}

/// They are there when their task has ended, in whichever group.
pub async fn follow_ups_come_with_the_end_of_their_task(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, vec![of("g", 1), task(2), keyed(3, "k")]).await;
    let known = NewTask { group: "g".into(), ..keyed(4, "k") };
    let follow_ups = vec![of("g", 5), of("h", 6), known];
    let done = Completion { follow_ups, ..completion(attempt(stored[0], 1)) };
    let plain = Completion { follow_ups: vec![of("g", 7)], ..completion(attempt(stored[1], 1)) };
    let settled = settle(&store, vec![done, plain], vec![], at(7)).await;
    assert_eq!(
        settled.follow_ups.iter().map(|task| &task.new.group[..]).collect::<Vec<_>>(),
        ["g", "h", "g"]
    );
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [3, 1, 0, 0], at(7))));
    let other = Group { first_at: at(7), ..counts("h", [1, 0, 0, 0], at(7)) };
    assert_eq!(group(&store, &acme, "h").await, Some(other));
}

/// Tasks of matches may have one; they are cancelled with their query.
pub async fn tasks_of_a_removed_query_count_as_cancelled(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_query(&acme, query(1)).await.unwrap();
    let new = NewMatch { query_id: query(1).id, score: 1.0, task: of("g", 1) };
    let row = MatchedDocument { document: super::fixture::document(1), matches: vec![new] };
    store.append_documents(&acme, vec![row], 1, at(2)).await.unwrap();
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [1, 0, 0, 0], at(2))));
    store.remove_query(&acme, "q1", at(6)).await.unwrap();
    assert_eq!(group(&store, &acme, "g").await, Some(counts("g", [1, 0, 0, 1], at(6))));
}

/// By name, as they stand; what comes meanwhile does not disturb.
pub async fn groups_page_by_name(store: Shared) {
    let (acme, other) = (create(&store, "acme").await, create(&store, "other").await);
    let stored = append(&store, &acme, ["d", "b", "a", "e", "a"].map(|group| of(group, 1)).to_vec()).await;
    append(&store, &other, vec![of("c", 2)]).await;
    succeed(&store, stored[2], at(6)).await;
    let first = store.page_groups(&acme, page(2)).await.unwrap();
    assert_eq!(first.items, [counts("a", [2, 1, 0, 0], at(6)), counts("b", [1, 0, 0, 0], at(2))]);
    append(&store, &acme, vec![of("aa", 3), of("c", 4)]).await;
    let second = store.page_groups(&acme, next(3, &first.next_token)).await.unwrap();
    assert_eq!(second.items.iter().map(|group| &group.name[..]).collect::<Vec<_>>(), ["c", "d", "e"]);
    assert_eq!(second.next_token, "");
    assert!(store.page_groups(&name("nobody"), page(2)).await.unwrap().items.is_empty());
    let refused = store.page_groups(&other, next(2, &first.next_token)).await;
    assert!(matches!(refused, Err(crate::Error::PageToken(_))), "{refused:?}");
}

/// With how many are open, beside tasks, as of one moment.
pub async fn a_group_is_found_by_its_name(store: Shared) {
    let (acme, other) = (create(&store, "acme").await, create(&store, "other").await);
    let stored = append(&store, &acme, vec![of("g", 1), of("g", 2), of("h", 3), of("i", 4)]).await;
    succeed(&store, stored[0], at(6)).await;
    succeed(&store, stored[3], at(6)).await;
    store.cancel_task(&acme, stored[2], at(6)).await.unwrap();
    let named = ["i", "g", "none", "h"].map(|group| Reference::Group(group.into()));
    let asked: Vec<Reference> = named.into_iter().chain([Reference::Task(stored[1])]).collect();
    let stands = |state, open| Some(Standing { id: None, state: Some(state), open });
    let expected = [
        stands(TaskState::Succeeded, 0),
        stands(TaskState::Waiting, 1),
        None,
        stands(TaskState::Cancelled, 0),
        Some(Standing::task(stored[1], Some(TaskState::Waiting))),
    ];
    assert_eq!(store.find_tasks(&acme, asked.clone()).await.unwrap(), expected);
    assert_eq!(store.find_tasks(&other, asked).await.unwrap(), [None; 5]);
}

/// Not before it has ended and its time is over; the next task of that name begins it anew.
pub async fn a_group_that_has_ended_goes_in_time(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, vec![of("over", 1), of("open", 2), of("late", 3)]).await;
    succeed(&store, stored[0], at(6)).await;
    settle(&store, vec![], vec![failure(attempt(stored[2], 1))], at(8) + LATE).await;
    let sweep = async |now| {
        while store.sweep(HOUR, 1, now).await.unwrap() > 0 {}
    };
    sweep(at(6) + HOUR - Duration::from_micros(1)).await;
    assert_eq!(group(&store, &acme, "over").await, Some(counts("over", [1, 1, 0, 0], at(6))));
    sweep(at(6) + HOUR + LATE).await;
    assert_eq!(group(&store, &acme, "over").await, None);
    assert_eq!(group(&store, &acme, "open").await, Some(counts("open", [1, 0, 0, 0], at(2))));
    store.revive_task(&acme, stored[2], at(9) + LATE).await.unwrap();
    sweep(at(9) + LATE * 3).await;
    assert_eq!(group(&store, &acme, "late").await, Some(counts("late", [1, 0, 0, 0], at(9) + LATE)));
    let names = store.page_groups(&acme, page(9)).await.unwrap().items;
    assert_eq!(names.iter().map(|group| &group.name[..]).collect::<Vec<_>>(), ["late", "open"]);
    append_at(&store, &acme, vec![of("over", 4)], at(50)).await;
    let anew = Group { first_at: at(50), ..counts("over", [1, 0, 0, 0], at(50)) };
    assert_eq!(group(&store, &acme, "over").await, Some(anew));
}

/// Whoever reads while sixteen callers submit and end tasks sees whole steps; in the end nothing is missing.
pub async fn sixteen_callers_add_up(store: Shared) {
    const EACH: i64 = 20;
    let acme = create(&store, "acme").await;
    together(|caller| {
        let (store, acme) = (Arc::clone(&store), acme.clone());
        async move {
            let name = |number: u128| if number.is_multiple_of(2) { "g" } else { "h" };
            let new = (0..20).map(|number| of(name(number), number)).collect();
            let stored = append(&store, &acme, new).await;
            let groups = [group(&store, &acme, "g").await.unwrap(), group(&store, &acme, "h").await.unwrap()];
            assert!(groups.iter().all(|group| group.total > 0 && group.total % (EACH / 2) == 0));
            let (done, failed) = stored.split_at(stored.len() / 2);
            let done = done.iter().map(|id| completion(attempt(*id, 1))).collect();
            if caller.is_multiple_of(4) {
                steer(&store, &acme, Steering::Cancel, &TaskFilter::default(), (7, false), at(5)).await;
            }
            let failed = failed.iter().map(|id| failure(attempt(*id, 1))).collect();
            settle(&store, done, failed, at(6)).await;
        }
    })
    .await;
    let tasks = store.count_tasks(&acme).await.unwrap();
    let of = |state| tasks.iter().filter(|row| row.state == state).map(|row| row.count).sum::<i64>();
    let mut sums = [0; 4];
    for name in ["g", "h"] {
        let Group { total, succeeded, dead, cancelled, .. } = group(&store, &acme, name).await.unwrap();
        assert_eq!(total, succeeded + dead + cancelled);
        sums.iter_mut().zip([total, succeeded, dead, cancelled]).for_each(|(sum, count)| *sum += count);
    }
    let ended = [TaskState::Succeeded, TaskState::Dead, TaskState::Cancelled].map(of);
    assert_eq!(sums, [16 * EACH, ended[0], ended[1], ended[2]]);
}
