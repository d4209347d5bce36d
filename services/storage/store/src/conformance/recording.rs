//! Leases recorded and given back, and how far tasks are.

use tidemill_kernel::Id;

use super::fixture::{
    Shared, append, append_one, at, attempt, completion, create, failure, ids, lease, moved, read, record,
    running, settle, succeed, task, unfinished, unknown,
};
use crate::task::{Attempt, Failure, Fence, Progress, RecordedLease, Task, TaskState};

async fn write(store: &Shared, leases: Vec<RecordedLease>, given_back: Vec<Id>) -> Vec<Id> {
    let mut vain = store.record_leases(Fence::default(), leases, given_back).await.unwrap();
    vain.sort();
    vain
}

/// With attempt, worker and start, wherever it is read, and only its own.
pub async fn a_recorded_lease_shows_its_task_running(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, (1..=4).map(task).collect()).await;
    let third = RecordedLease {
        attempt: Attempt { number: 3, worker: String::new(), started_at: at(10), ..attempt(stored[2], 3) },
        token: super::fixture::id(5),
    };
    assert!(write(&store, vec![third.clone(), lease(stored[0], 1)], vec![]).await.is_empty());
    let expected = |number: usize, attempt: u32, worker: &str, second| Task {
        state: TaskState::Running,
        attempt,
        started_at: Some(at(second)),
        worker: worker.to_owned(),
        ..Task::stored(stored[number], task(number as u128 + 1), acme.clone())
    };
    let (one, three) = (expected(0, 1, "worker-1", 4), expected(2, 3, "", 10));
    let pairs = [(one.clone(), lease(stored[0], 1).token), (three.clone(), third.token)];
    assert_eq!(running(&store, &acme).await, pairs);
    assert_eq!([read(&store, &acme, stored[0]).await, read(&store, &acme, stored[2]).await], [one, three]);
    let all = unfinished(&store, &acme).await;
    assert_eq!((ids(&all), &all[0], &all[2]), (stored.clone(), &pairs[0].0, &pairs[1].0));
    assert_eq!(store.load_tasks(vec![stored[2]]).await.unwrap(), [pairs[1].0.clone()]);
    assert_eq!(all[1], Task::stored(stored[1], task(2), acme.clone()));
}

/// Alone, in other company, and while another is given back.
pub async fn a_lease_recorded_again_changes_nothing(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, vec![task(1), task(2)]).await;
    record(&store, stored[0], 1).await;
    let before = running(&store, &acme).await;
    let same = || lease(stored[0], 1);
    assert!(write(&store, vec![same()], vec![]).await.is_empty());
    assert_eq!(running(&store, &acme).await, before);
    assert!(write(&store, vec![lease(stored[1], 2), same()], vec![]).await.is_empty());
    assert_eq!(running(&store, &acme).await.len(), 2);
    assert!(write(&store, vec![same()], vec![stored[1]]).await.is_empty());
    assert_eq!(running(&store, &acme).await, before);
}

/// The later one is the one that runs; also where the earlier is given back in the same step.
pub async fn a_lease_takes_the_place_of_another(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, vec![task(1), task(2)]).await;
    record(&store, stored[0], 1).await;
    record(&store, stored[1], 2).await;
    let other = |task: Id, token| {
        let attempt = Attempt { worker: "worker-2".to_owned(), started_at: at(9), ..attempt(task, 2) };
        RecordedLease { attempt, ..lease(task, token) }
    };
    let leases = vec![other(stored[1], 3), other(stored[0], 4)];
    assert!(write(&store, leases, vec![stored[0]]).await.is_empty());
    let running = running(&store, &acme).await;
    let seen: Vec<_> = running
        .iter()
        .map(|(task, token)| (task.id, *token, task.attempt, task.worker.as_str(), task.started_at))
        .collect();
    let expected = |task: Id, token| (task, lease(task, token).token, 2, "worker-2", Some(at(9)));
    assert_eq!(seen, [expected(stored[0], 4), expected(stored[1], 3)]);
}

/// The task stands as before the attempt, be it the first or not. What is not recorded is passed over.
pub async fn a_lease_given_back_leaves_no_trace(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, (1..=4).map(task).collect()).await;
    let retry = Failure { retry_at: Some(at(8)), ..failure(attempt(stored[1], 1)) };
    settle(&store, vec![completion(attempt(stored[3], 1))], vec![retry], at(7)).await;
    let before = unfinished(&store, &acme).await;
    assert_eq!((before[1].attempt, before[1].worker.as_str()), (1, "worker-1"));

    record(&store, stored[0], 1).await;
    let attempt = Attempt { worker: "worker-9".to_owned(), started_at: at(9), ..attempt(stored[1], 2) };
    write(&store, vec![RecordedLease { attempt, ..lease(stored[1], 2) }], vec![]).await;
    assert_eq!((running(&store, &acme).await.len(), read(&store, &acme, stored[1]).await.attempt), (2, 2));
    let back = vec![unknown(&acme), stored[1], stored[3], stored[2], moved(stored[0])];
    assert!(write(&store, vec![], back).await.is_empty());
    assert_eq!(
        ids(&running(&store, &acme).await.into_iter().map(|(task, _)| task).collect::<Vec<_>>()),
        [stored[0]]
    );
    assert!(write(&store, vec![], vec![stored[0]]).await.is_empty());
    assert_eq!(unfinished(&store, &acme).await, before);
    assert_eq!(read(&store, &acme, stored[3]).await.state, TaskState::Succeeded);
}

/// Each kind of ending, a task that was never there, and one of another moment; the others are recorded.
pub async fn leases_held_in_vain_are_told(store: Shared) {
    let acme = create(&store, "acme").await;
    let mut tasks: Vec<_> = (1..=5).map(task).collect();
    tasks[1].keep = Some(std::time::Duration::ZERO);
    let stored = append(&store, &acme, tasks).await;
    succeed(&store, stored[0], at(6)).await;
    succeed(&store, stored[1], at(6)).await;
    settle(&store, vec![], vec![failure(attempt(stored[2], 1))], at(6)).await;
    store.cancel_task(&acme, stored[3], at(6)).await.unwrap();
    let mut expected = stored[..4].to_vec();
    expected.extend([unknown(&acme), moved(stored[4])]);
    expected.sort();
    let mut leases: Vec<_> = expected.iter().map(|id| lease(*id, 1)).collect();
    leases.insert(2, lease(stored[4], 5));
    assert_eq!(write(&store, leases, vec![]).await, expected);
    let running = running(&store, &acme).await;
    assert_eq!((running.len(), running[0].0.id), (1, stored[4]));
    assert_eq!(read(&store, &acme, stored[2]).await.state, TaskState::Dead);
    store.revive_task(&acme, stored[2], at(8)).await.unwrap();
    store.revive_task(&acme, stored[3], at(8)).await.unwrap();
    let states: Vec<_> = unfinished(&store, &acme).await.iter().map(|task| task.state).collect();
    assert_eq!(states, [TaskState::Waiting, TaskState::Waiting, TaskState::Running]);
}

/// Through failures, death and revival; a checkpoint stays until there is another; a lease need not be recorded.
pub async fn progress_is_there_for_the_next_attempt(store: Shared) {
    let acme = create(&store, "acme").await;
    let stored = append(&store, &acme, vec![task(1), task(2)]).await;
    let save = async |rows: &[(Id, &str, Option<&[u8]>)]| {
        let progress = rows.iter().map(|(task, progress, checkpoint)| Progress {
            task: *task,
            progress: (*progress).to_owned(),
            checkpoint: checkpoint.map(<[u8]>::to_vec),
        });
        store.save_progress(Fence::default(), progress.collect()).await.unwrap();
    };
    let seen = async |id| {
        let task = read(&store, &acme, id).await;
        (task.progress, task.checkpoint)
    };
    let expected = |progress: &str, checkpoint: &[u8]| (progress.to_owned(), checkpoint.to_vec());
    let first = record(&store, stored[0], 1).await;
    save(&[(stored[1], "1/9", None), (stored[0], "2/9\0", Some(&[0, 1, 255]))]).await;
    assert_eq!(seen(stored[0]).await, expected("2/9\u{fffd}", &[0, 1, 255]));
    assert_eq!(seen(stored[1]).await, expected("1/9", &[]));
    save(&[(stored[0], "3/9", None)]).await;
    assert_eq!(seen(stored[0]).await, expected("3/9", &[0, 1, 255]));
    assert_eq!(running(&store, &acme).await[0].0.progress, "3/9");
    let retry = Failure { retry_at: Some(at(8)), ..failure(first) };
    settle(&store, vec![], vec![retry], at(7)).await;
    assert_eq!(seen(stored[0]).await, expected("3/9", &[0, 1, 255]));
    settle(&store, vec![], vec![failure(attempt(stored[0], 2))], at(9)).await;
    assert_eq!(seen(stored[0]).await, expected("3/9", &[0, 1, 255]));
    save(&[
        (stored[0], "too late", Some(&[9])),
        (unknown(&acme), "x", Some(&[9])),
        (moved(stored[1]), "x", None),
    ])
    .await;
    assert_eq!(seen(stored[0]).await, expected("3/9", &[0, 1, 255]));
    let revived = store.revive_task(&acme, stored[0], at(10)).await.unwrap();
    assert_eq!((revived.progress, revived.checkpoint), expected("3/9", &[0, 1, 255]));
    assert_eq!(unfinished(&store, &acme).await[0].checkpoint, [0, 1, 255]);
    save(&[(stored[0], "", Some(&[]))]).await;
    assert_eq!(seen(stored[0]).await, expected("", &[]));
    save(&[(stored[1], "9/9", Some(&[7]))]).await;
    succeed(&store, stored[1], at(11)).await;
    assert_eq!(seen(stored[1]).await, expected("9/9", &[7]));
}

/// Cancelling it forgets the lease and keeps what it told; putting it back finds neither.
pub async fn a_cancelled_lease_is_void(store: Shared) {
    let acme = create(&store, "acme").await;
    let id = append_one(&store, &acme, task(1)).await;
    let held = record(&store, id, 1).await;
    let cancelled = store.cancel_task(&acme, id, at(5)).await.unwrap();
    let expected = Task {
        state: TaskState::Cancelled,
        attempt: 1,
        started_at: Some(at(4)),
        finished_at: Some(at(5)),
        worker: "worker-1".to_owned(),
        ..Task::stored(id, task(1), acme.clone())
    };
    assert_eq!((&cancelled, &read(&store, &acme, id).await), (&expected, &expected));
    assert!(running(&store, &acme).await.is_empty());
    assert_eq!(write(&store, vec![lease(id, 1)], vec![]).await, [id]);
    assert!(write(&store, vec![], vec![id]).await.is_empty());
    let settled = settle(&store, vec![completion(held.clone())], vec![failure(held)], at(6)).await;
    assert_eq!(settled.accepted, [false, false]);
    assert_eq!(read(&store, &acme, id).await, expected);
    store.revive_task(&acme, id, at(7)).await.unwrap();
    assert!(running(&store, &acme).await.is_empty());
    assert_eq!(read(&store, &acme, id).await.attempt, 0);
}
