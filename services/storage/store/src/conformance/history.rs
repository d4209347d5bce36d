//! Two stores under the same random steps: every answer and everything that can be read must be equal.
//!
//! Places in the log may differ (a store may leave gaps), so tasks are named by the order in which they came. Several
//! owners take shards from each other and act on what they last saw, so that many a step comes under a passed fence.

mod content;
mod visible;
mod world;

use proptest::prelude::*;
use tidemill_kernel::{Priority, Timestamp};

use super::fixture::{Shared, at, name, query, tenant};
use world::World;

/// One step. Numbers name tenants, queries, documents, tasks, owners and tokens; few of each, so that they meet. New
/// tasks come by tenant; leases are a task, an attempt and a token; progress is a task and whether there is a
/// checkpoint; a sweep comes a month later.
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
    AppendTasks { tasks: [Vec<New>; 3] },
    Claim { owner: u8, shards: [Wish; 3], informed: bool, force: bool, seconds: u8 },
    Record { owner: u8, leases: Vec<(u8, u8, u8)>, back: Vec<u8> },
    Progress { owner: u8, rows: Vec<(u8, bool)> },
    Settle { owner: u8, done: Vec<Done>, failed: Vec<Failed> },
    Cancel { task: u8, foreign: bool },
    Revive { task: u8, foreign: bool },
    Prioritise { task: u8, priority: u8, foreign: bool },
    Steer { tenant: u8, revive: bool, state: u8, size: u8, error: bool, group: u8, dry: bool },
    Sweep,
}

/// A new task: its key, its keep, its priority, its group.
pub type New = (u8, u8, u8, u8);
/// A completion: the task, its attempt, the analysis' query and document, the key of a task that follows.
pub type Done = (u8, u8, Option<(u8, u8)>, Option<u8>);
/// A failure: the task, its attempt, whether it is tried again.
pub type Failed = (u8, u8, bool);

/// What an owner wants of the shard of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the fields of a claim")]
pub enum Wish {
    Nothing,
    Renew,
    Take,
    Leave,
}

/// Random steps; most of them meet something that is there.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => content_step(),
        8 => [new(), new(), new()].prop_map(|tasks| Step::AppendTasks { tasks }),
        6 => (0_u8..3, [wish(), wish(), wish()], prop::bool::weighted(0.8), any::<bool>(), 0_u8..40).prop_map(
            |(owner, shards, informed, force, seconds)| Step::Claim { owner, shards, informed, force, seconds }
        ),
        6 => (0_u8..3, prop::collection::vec((task(), 1_u8..4, 0_u8..3), 0..6), some_tasks())
            .prop_map(|(owner, leases, back)| Step::Record { owner, leases, back }),
        2 => (0_u8..3, prop::collection::vec((task(), any::<bool>()), 0..4))
            .prop_map(|(owner, rows)| Step::Progress { owner, rows }),
        9 => (0_u8..3, prop::collection::vec(done(), 0..4), prop::collection::vec(failed(), 0..4))
            .prop_map(|(owner, done, failed)| Step::Settle { owner, done, failed }),
        4 => (task(), prop::bool::weighted(0.1)).prop_map(|(task, foreign)| Step::Cancel { task, foreign }),
        7 => (task(), prop::bool::weighted(0.1)).prop_map(|(task, foreign)| Step::Revive { task, foreign }),
        4 => (task(), 0_u8..3, prop::bool::weighted(0.1))
            .prop_map(|(task, priority, foreign)| Step::Prioritise { task, priority, foreign }),
        2 => (0_u8..4, any::<bool>(), 0_u8..3, 1_u8..5, any::<bool>(), 0_u8..6, any::<bool>()).prop_map(
            |(tenant, revive, state, size, error, group, dry)| {
                Step::Steer { tenant, revive, state, size, error, group, dry }
            }
        ),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..60)
}

fn content_step() -> impl Strategy<Value = Step> {
    let query = prop_oneof![12 => 0_u8..2, 1 => Just(2)];
    let rows = prop::collection::vec((0_u8..6, prop::collection::vec(query, 0..3)), 0..5);
    prop_oneof![
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
    ]
}

fn task() -> impl Strategy<Value = u8> {
    0_u8..64
}

fn some_tasks() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(task(), 0..3)
}

fn new() -> impl Strategy<Value = Vec<New>> {
    prop::collection::vec((0_u8..7, 0_u8..5, 0_u8..3, 0_u8..4), 0..4)
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![1 => Just(Wish::Nothing), 1 => Just(Wish::Renew), 4 => Just(Wish::Take), 1 => Just(Wish::Leave)]
}

fn done() -> impl Strategy<Value = Done> {
    (task(), 1_u8..4, prop::option::of((0_u8..3, 0_u8..6)), prop::option::of(0_u8..7))
}

fn failed() -> impl Strategy<Value = Failed> {
    (task(), 0_u8..4, prop::bool::weighted(0.6))
}

/// Runs the steps on both stores. Panics at the first difference.
pub async fn check_history(left: Shared, right: Shared, steps: &[Step]) {
    let mut worlds = [World::new(left), World::new(right)];
    for world in &worlds {
        for text in ["t0", "t1", "t2"] {
            world.store.create_tenant(tenant(text), None).await.unwrap();
            world.store.put_query(&name(text), query(0)).await.unwrap();
            world.store.put_query(&name(text), query(1)).await.unwrap();
        }
    }
    let mut now = at(100);
    for step in steps {
        now = now + std::time::Duration::from_secs(1);
        if matches!(step, Step::Sweep) {
            now = now + world::MONTH;
        }
        let [left, right] = &mut worlds;
        let (one, other) = (take(left, step, now).await, take(right, step, now).await);
        assert_eq!(one, other, "{step:?}");
    }
    let [left, right] = &worlds;
    let (one, other) = (visible::everything(left).await, visible::everything(right).await);
    assert_eq!(one, other);
}

/// What a step answers, as text.
async fn take(world: &mut World, step: &Step, now: Timestamp) -> String {
    let answer = match step {
        Step::AppendTasks { tasks } => world.append(tasks, now).await,
        Step::Claim { owner, shards, informed, force, seconds } => {
            world.claim(*owner, *shards, (*informed, *force), *seconds, now).await
        }
        Step::Record { owner, leases, back } => world.record(*owner, leases, back, now).await,
        Step::Progress { owner, rows } => world.progress(*owner, rows, now).await,
        Step::Settle { owner, done, failed } => world.settle(*owner, done, failed, now).await,
        Step::Cancel { task, foreign } => {
            let (tenant, id) = world.task_of(*task, *foreign);
            format!("{:?}", world.store.cancel_task(&tenant, id, now).await)
        }
        Step::Revive { task, foreign } => {
            let (tenant, id) = world.finished(*task, *foreign).await;
            format!("{:?}", world.store.revive_task(&tenant, id, now).await)
        }
        Step::Prioritise { task, priority, foreign } => {
            let (tenant, id) = world.task_of(*task, *foreign);
            let priority = Priority::ALL[usize::from(*priority)];
            format!("{:?}", world.store.prioritise_task(&tenant, id, priority).await)
        }
        Step::Steer { tenant, revive, state, size, error, group, dry } => {
            let (size, steered) = (u32::from(*size), (*revive, *state));
            world.steer(*tenant, steered, (*error, *group), (size, *dry), now).await
        }
        Step::Sweep => world.sweep(now).await,
        other => content::take(&world.store, other, now).await,
    };
    world.look().await;
    world.plain(&answer)
}
