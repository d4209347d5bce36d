//! How tasks stand that others name, by their ids and by their keys.

use std::time::Duration;

use super::fixture::{
    Shared, append, at, attempt, create, failure, keyed, moved, record, succeed, task, unknown,
};
use crate::task::{Fence, NewTask, Reference, Standing, TaskState};

/// Each in its state, in the order in which they are named, and as often.
pub async fn tasks_are_found_in_any_state(store: Shared) {
    let acme = create(&store, "acme").await;
    let ids =
        append(&store, &acme, (1..=5).map(|number| keyed(number, &format!("k{number}"))).collect()).await;
    record(&store, ids[1], 7).await;
    succeed(&store, ids[2], at(6)).await;
    store.settle_tasks(Fence::default(), vec![], vec![failure(attempt(ids[3], 1))], at(6)).await.unwrap();
    store.cancel_task(&acme, ids[4], at(6)).await.unwrap();
    let found = |number: usize, state| Some(Standing::task(ids[number], Some(state)));
    let states = [
        found(0, TaskState::Waiting),
        found(1, TaskState::Running),
        found(2, TaskState::Succeeded),
        found(3, TaskState::Dead),
        found(4, TaskState::Cancelled),
    ];
    let by_id = ids.iter().map(|id| Reference::Task(*id)).collect();
    assert_eq!(store.find_tasks(&acme, by_id).await.unwrap(), states);
    let by_key = (1..=5).map(|number| Reference::Key(format!("k{number}"))).collect();
    assert_eq!(store.find_tasks(&acme, by_key).await.unwrap(), states);
    let mixed = vec![Reference::Key("k4".into()), Reference::Task(ids[0]), Reference::Key("k4".into())];
    assert_eq!(store.find_tasks(&acme, mixed).await.unwrap(), [states[3], states[0], states[3]]);
    assert!(store.find_tasks(&acme, vec![]).await.unwrap().is_empty());
}

/// A success that was not kept is unknown by its id; its key still tells that there was one.
pub async fn what_was_not_kept_is_found_by_its_key_alone(store: Shared) {
    let acme = create(&store, "acme").await;
    let new = NewTask { keep: Some(Duration::ZERO), ..keyed(1, "gone") };
    let ids = append(&store, &acme, vec![new]).await;
    succeed(&store, ids[0], at(6)).await;
    let asked = vec![Reference::Task(ids[0]), Reference::Key("gone".into())];
    let gone = Some(Standing::task(ids[0], None));
    assert_eq!(store.find_tasks(&acme, asked).await.unwrap(), [None, gone]);
}

/// Whatever is not the tenant's is unknown to it, and so is an id of the right place with another moment.
pub async fn what_is_not_the_tenants_is_not_found(store: Shared) {
    let (acme, other) = (create(&store, "acme").await, create(&store, "other").await);
    let ids = append(&store, &acme, vec![keyed(1, "mine"), task(2)]).await;
    let foreign = vec![Reference::Task(ids[0]), Reference::Key("mine".into()), Reference::Task(ids[1])];
    assert_eq!(store.find_tasks(&other, foreign.clone()).await.unwrap(), [None; 3]);
    assert_eq!(store.find_tasks(&super::fixture::name("nobody"), foreign).await.unwrap(), [None; 3]);
    let wrong =
        vec![Reference::Task(unknown(&acme)), Reference::Task(moved(ids[0])), Reference::Key("yours".into())];
    assert_eq!(store.find_tasks(&acme, wrong).await.unwrap(), [None; 3]);
}
