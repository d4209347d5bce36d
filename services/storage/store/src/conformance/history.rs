//! Two stores under the same random steps: every answer and everything that can be read must be equal.
//!
//! Places in the log may differ (a store may leave gaps), so they are compared by their order only.

mod visible;

use proptest::prelude::*;
use tidemill_kernel::{TenantName, Timestamp};

use super::fixture::{
    Shared, analysis, at, completion, document, failure, grant, keyed, lease, matched, name, query, source,
    task, tenant,
};
use crate::content::{Query, Source, SourceKind};
use crate::task::{Completion, Failure, NewTask};

/// One step. Numbers name tenants, queries, documents, tasks and tokens of the fixture; few of each, so that they meet.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the fixture's numbers")]
pub enum Step {
    Create { tenant: u8 },
    PutQuery { tenant: u8, query: u8, other: bool },
    RemoveQuery { tenant: u8, query: u8 },
    PutSource { tenant: u8, source: u8, other: bool },
    SaveCursor { tenant: u8, source: u8 },
    RemoveSource { tenant: u8, source: u8 },
    AppendDocuments { tenant: u8, rows: Vec<(u8, Vec<u8>)>, stale: bool },
    AppendTasks { tenant: u8, tasks: Vec<(u8, u8)> },
    Lease { tasks: Vec<u8>, token: u8 },
    Settle { done: Vec<Done>, failed: Vec<Failed> },
    Renew { tasks: Vec<u8>, token: u8 },
    Release { tasks: Vec<u8>, token: u8 },
    Cancel { tenant: u8, task: u8 },
    Revive { tenant: u8, task: u8 },
}

/// A completion: the task, its token, the analysis' query and document, whether tasks follow.
pub type Done = (u8, u8, Option<(u8, u8)>, bool);
/// A failure: the task, its token, whether it is tried again, whether only if the lease has ended.
pub type Failed = (u8, u8, bool, bool);

/// Random steps; most of them meet something that is there.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let task = || 0_u8..8;
    let tasks = || prop::collection::vec(0_u8..8, 0..6);
    let rows = prop::collection::vec((0_u8..6, prop::collection::vec(0_u8..3, 0..3)), 0..5);
    let done =
        prop::collection::vec((0_u8..8, 0_u8..2, prop::option::of((0_u8..3, 0_u8..6)), any::<bool>()), 0..4);
    let failed = prop::collection::vec((0_u8..8, 0_u8..2, any::<bool>(), any::<bool>()), 0..4);
    let step = prop_oneof![
        1 => (0_u8..3).prop_map(|tenant| Step::Create { tenant }),
        2 => (0_u8..3, 0_u8..3, prop::bool::weighted(0.2))
            .prop_map(|(tenant, query, other)| Step::PutQuery { tenant, query, other }),
        1 => (0_u8..3, 0_u8..3).prop_map(|(tenant, query)| Step::RemoveQuery { tenant, query }),
        1 => (0_u8..3, 0_u8..3, any::<bool>())
            .prop_map(|(tenant, source, other)| Step::PutSource { tenant, source, other }),
        1 => (0_u8..3, 0_u8..3).prop_map(|(tenant, source)| Step::SaveCursor { tenant, source }),
        1 => (0_u8..3, 0_u8..3).prop_map(|(tenant, source)| Step::RemoveSource { tenant, source }),
        4 => (0_u8..3, rows, prop::bool::weighted(0.1))
            .prop_map(|(tenant, rows, stale)| Step::AppendDocuments { tenant, rows, stale }),
        4 => (0_u8..3, prop::collection::vec((0_u8..8, 0_u8..4), 0..6))
            .prop_map(|(tenant, tasks)| Step::AppendTasks { tenant, tasks }),
        6 => (tasks(), 0_u8..2).prop_map(|(tasks, token)| Step::Lease { tasks, token }),
        6 => (done, failed).prop_map(|(done, failed)| Step::Settle { done, failed }),
        1 => (tasks(), 0_u8..2).prop_map(|(tasks, token)| Step::Renew { tasks, token }),
        1 => (tasks(), 0_u8..2).prop_map(|(tasks, token)| Step::Release { tasks, token }),
        1 => (0_u8..3, task()).prop_map(|(tenant, task)| Step::Cancel { tenant, task }),
        2 => (0_u8..3, task()).prop_map(|(tenant, task)| Step::Revive { tenant, task }),
    ];
    prop::collection::vec(step, 1..40)
}

/// Runs the steps on both stores. Panics at the first difference.
pub async fn check_history(left: Shared, right: Shared, steps: &[Step]) {
    for shared in [&left, &right] {
        shared.create_tenant(tenant("t0"), None).await.unwrap();
        shared.put_query(&name("t0"), query(0)).await.unwrap();
    }
    for (second, step) in (100..).zip(steps) {
        let (one, other) = (take(&left, step, at(second)).await, take(&right, step, at(second)).await);
        assert_eq!(one, other, "{step:?}");
    }
    let (one, other) = (visible::everything(&left).await, visible::everything(&right).await);
    assert_eq!(one, other);
}

fn tenant_name(number: u8) -> TenantName {
    name(&format!("t{number}"))
}

/// Tasks of a fixture's match come after the plain ones; both can be named by a small number.
fn task_id(number: u8) -> tidemill_kernel::Id {
    let number = u128::from(number);
    if number < 4 { task(number).id } else { super::fixture::match_task(number - 4, 0) }
}

/// What a step answers, as text.
async fn take(store: &Shared, step: &Step, now: Timestamp) -> String {
    match step {
        Step::Settle { done, failed } => {
            let completions = done.iter().map(completed).collect();
            let failures = failed.iter().map(|row| failed_at(row, now)).collect();
            visible::settled(store.settle_tasks(completions, failures, now).await)
        }
        Step::Lease { tasks, token } => {
            let grants = tasks.iter().map(|task| grant(task_id(*task), u128::from(*token))).collect();
            let expires_at = now + std::time::Duration::from_secs(5);
            format!("{:?}", store.lease_tasks(grants, expires_at, now).await)
        }
        Step::Renew { tasks, token } => {
            let leases = tasks.iter().map(|task| lease(task_id(*task), u128::from(*token))).collect();
            format!("{:?}", store.renew_leases(leases, now + std::time::Duration::from_secs(9)).await)
        }
        Step::Release { tasks, token } => {
            let leases = tasks.iter().map(|task| lease(task_id(*task), u128::from(*token))).collect();
            visible::waiting(store.release_leases(leases, now).await.unwrap())
        }
        Step::Cancel { tenant, task } => {
            format!("{:?}", store.cancel_task(&tenant_name(*tenant), task_id(*task), now).await)
        }
        Step::Revive { tenant, task } => {
            let revived = store.revive_task(&tenant_name(*tenant), task_id(*task), now).await;
            format!("{:?}", revived.map(|(task, waiting)| (task, visible::waiting(vec![waiting]))))
        }
        Step::AppendTasks { tenant, tasks } => {
            let keys = ["", "", "a", "b"];
            let new = |&(number, key): &(u8, u8)| NewTask {
                id: task_id(number),
                ..keyed(u128::from(number), keys[usize::from(key)])
            };
            let appended =
                store.append_tasks(&tenant_name(*tenant), tasks.iter().map(new).collect(), now).await;
            visible::appended(appended)
        }
        other => content_step(store, other, now).await,
    }
}

async fn content_step(store: &Shared, step: &Step, now: Timestamp) -> String {
    match step {
        Step::Create { tenant: number } => {
            format!("{:?}", store.create_tenant(tenant(&format!("t{number}")), None).await)
        }
        Step::PutQuery { tenant, query: number, other } => {
            let expression = if *other { "other" } else { "solar" }.to_owned();
            let row = Query { expression, ..query(u128::from(*number)) };
            format!("{:?}", store.put_query(&tenant_name(*tenant), row).await)
        }
        Step::RemoveQuery { tenant, query } => {
            format!("{:?}", store.remove_query(&tenant_name(*tenant), &format!("q{query}"), now).await)
        }
        Step::PutSource { tenant, source: number, other } => {
            let kind = if *other { SourceKind::Folder } else { SourceKind::Feed };
            let row = Source { kind, ..source(u128::from(*number)) };
            format!("{:?}", store.put_source(&tenant_name(*tenant), row).await)
        }
        Step::SaveCursor { tenant, source } => {
            let cursor = now.to_string();
            let saved = store.save_cursor(&tenant_name(*tenant), &format!("s{source}"), &cursor, now).await;
            format!("{saved:?}")
        }
        Step::RemoveSource { tenant, source } => {
            format!("{:?}", store.remove_source(&tenant_name(*tenant), &format!("s{source}")).await)
        }
        Step::AppendDocuments { tenant, rows, stale } => {
            let tenant = tenant_name(*tenant);
            let version = store.load_queries(&tenant, None).await.unwrap().version - i64::from(*stale);
            let rows = rows.iter().map(|(number, queries)| {
                let queries: Vec<(u128, f64)> =
                    queries.iter().map(|query| (u128::from(*query), f64::from(*number) / 4.0)).collect();
                matched(u128::from(*number), &queries)
            });
            format!("{:?}", store.append_documents(&tenant, rows.collect(), version, now).await)
        }
        other => unreachable!("{other:?} is a task step"),
    }
}

fn completed(&(number, token, of, follows): &Done) -> Completion {
    let analysis = of.map(|(of, about)| {
        (query(u128::from(of)).id, document(u128::from(about)).id, analysis(&format!("{{\"by\":{number}}}")))
    });
    // Each task has follow-ups of its own, so that two tenants never make the same in one batch.
    let follow_ups = if follows { vec![task(100 + u128::from(number))] } else { Vec::new() };
    Completion { analysis, follow_ups, ..completion(lease(task_id(number), u128::from(token))) }
}

fn failed_at(&(number, token, again, only_if_expired): &Failed, now: Timestamp) -> Failure {
    let retry_at = again.then_some(now);
    Failure { retry_at, only_if_expired, ..failure(lease(task_id(number), u128::from(token))) }
}
