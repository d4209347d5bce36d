//! What the store holds at the end.

use anyhow::{Context as _, Result};
use tidemill_chassis::Wire;
use tidemill_chassis::discovery::Address;
use tidemill_proto::scheduling::v1::steering_service_client::SteeringServiceClient;
use tidemill_proto::scheduling::v1::{ExplainTaskRequest, GetQueueRequest, ListTasksRequest};
use tidemill_proto::types::v1::{Task, TaskState};
use tidemill_scheduling::checker::{Event, Found};
use tidemill_tests::harness::{poll, tools};

use super::TENANTS;
use super::client::{LIMIT, Scheduling, connect, context, in_time};
use super::log::Log;

/// How many tasks that are left over are explained.
const SHOWN: usize = 5;

/// Reads through the schedulers.
pub(crate) struct Reader {
    schedulers: Vec<Scheduling>,
    steering: Vec<SteeringServiceClient<Wire>>,
}

impl Reader {
    pub(crate) fn new(addresses: &[Address]) -> Result<Self> {
        let steering = |address| Ok(SteeringServiceClient::new(super::wire("scheduling", address)?));
        let steering = addresses.iter().map(steering).collect::<Result<_>>()?;
        Ok(Self { schedulers: connect(addresses)?, steering })
    }

    /// Waits until no task is left in the queue, as long as they become fewer, and notes how each ended, or that it did not.
    pub(crate) async fn until_drained(&self, log: &Log) -> Result<()> {
        let mut before = i64::MAX;
        while before > 0 {
            let fewer = || async { self.left().await.filter(|left| *left < before || *left == 0) };
            match poll::until("fewer tasks are left", LIMIT, fewer).await {
                Ok(left) => before = left,
                Err(_) => break,
            }
        }
        let (mut shown, mut unfinished) = (0, 0);
        for tenant in TENANTS {
            let read = || async { self.tasks(tenant).await.ok() };
            for task in poll::until("the tasks are listed", LIMIT, read).await? {
                let found = found(&task)?;
                unfinished += i64::from(found == Found::Unfinished);
                if found == Found::Unfinished && shown < SHOWN {
                    shown += 1;
                    tools::tell(&self.explain(tenant, &task).await?);
                }
                // What follows from an attempt bears its token.
                let (task, parent) = (task.id.parse()?, task.payload.parse().ok());
                // The store's clock is not that of the observers.
                log.note(Event::Ended { task, found, parent, at: None });
            }
        }
        // The judge says which; what he does not see is a count that is wrong.
        anyhow::ensure!(before == unfinished, "{before} are counted, {unfinished} are unfinished");
        Ok(())
    }

    /// How many tasks are not finished.
    async fn left(&self) -> Option<i64> {
        let mut left = 0;
        for tenant in TENANTS {
            let request = context(tenant).ok()?.request(GetQueueRequest {});
            let queue = in_time(self.schedulers[0].clone().get_queue(request)).await.ok()?.queue?;
            left += queue.priorities.iter().map(|state| state.waiting + state.running).sum::<i64>();
        }
        Some(left)
    }

    async fn tasks(&self, tenant: &str) -> Result<Vec<Task>> {
        let (mut tasks, mut page_token) = (Vec::new(), String::new());
        loop {
            let list = ListTasksRequest { page_size: 1_000, page_token, ..ListTasksRequest::default() };
            let page = in_time(self.schedulers[0].clone().list_tasks(context(tenant)?.request(list))).await?;
            tasks.extend(page.tasks);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(tasks);
            }
        }
    }

    /// Why a task that is left over waits, as each scheduler says it.
    async fn explain(&self, tenant: &str, task: &Task) -> Result<String> {
        let mut lines = vec![format!("left over: {task:?}")];
        for steering in &self.steering {
            let request = context(tenant)?.request(ExplainTaskRequest { id: task.id.clone() });
            let answer = in_time(steering.clone().explain_task(request)).await;
            lines.push(format!("    {:?}", answer.map(|answer| answer.reasons)));
        }
        Ok(lines.join("\n"))
    }
}

fn found(task: &Task) -> Result<Found> {
    Ok(match task.state() {
        TaskState::Succeeded => Found::Succeeded(task.result.parse().context("a result that is no token")?),
        TaskState::Dead => Found::Dead,
        TaskState::Cancelled => Found::Cancelled,
        _ => Found::Unfinished,
    })
}
