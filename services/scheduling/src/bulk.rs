//! Tasks steered by filter. The store does it in steps, each one transaction over a bounded number of tasks, and after each
//! the owner of the tenant's shard hears of what was changed. A call makes a few steps and says where to go on; what a
//! call that was cut off has done stays, and no longer fits.

use tidemill_chassis::{Context, FaultExt, Written};
use tidemill_kernel::Fault;
use tidemill_proto::storage::v1 as store;
use tidemill_proto::types::v1::TaskFilter;
use tonic::Status;

use crate::engine::{Changed, Event};
use crate::service::Scheduling;

/// About how many tasks one step looks at; it changes no more.
const STEP: i32 = 1_000;
/// The most steps of one call.
const STEPS: usize = 16;
/// No step is begun after so many tasks were changed.
const ENOUGH: i64 = 1_000;

/// What is asked for.
pub(crate) struct Wish {
    pub(crate) steering: store::Steering,
    pub(crate) filter: Option<TaskFilter>,
    pub(crate) is_dry: bool,
    pub(crate) page_token: String,
}

/// What was done, and where to go on; empty at the end.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) count: i64,
    pub(crate) next_page_token: String,
    pub(crate) written: Written,
}

impl Scheduling {
    /// Cancels tasks or puts them back, as many as one call should.
    pub(crate) async fn steer(&self, context: &Context, wish: Wish) -> Result<Done, Status> {
        let tenant = context.tenant()?.to_string();
        let mut after = place(&wish.page_token)?;
        let mut done = Done::default();
        for _ in 0..STEPS {
            let request = store::SteerTasksRequest {
                tenant: tenant.clone(),
                steering: wish.steering.into(),
                filter: wish.filter.clone(),
                after_place: after,
                limit: STEP,
                dry_run: wish.is_dry,
            };
            let answer = match self.tasks().steer_tasks(context.request(request)).await {
                Ok(answer) => answer,
                // What was done is told; the next call meets the fault if it lasts.
                Err(_) if done.count > 0 => break,
                Err(fault) => return Err(fault),
            };
            done.written = Written::of(&answer);
            let store::SteerTasksResponse { ids, through } = answer.into_inner();
            done.count += i64::try_from(ids.len()).unwrap_or(i64::MAX);
            if !wish.is_dry && !ids.is_empty() {
                let tasks = ids.iter().filter_map(|id| id.parse().ok()).collect();
                let changed = match wish.steering {
                    store::Steering::Cancel => Changed::cancelled(tasks),
                    store::Steering::Revive | store::Steering::Unspecified => Changed::otherwise(tasks),
                };
                self.tell(Event::Changed(changed));
            }
            let Some(through) = through else { return Ok(done) };
            after = through;
            if done.count >= ENOUGH && !wish.is_dry {
                break;
            }
        }
        done.next_page_token = after.to_string();
        Ok(done)
    }
}

/// The place behind which a call goes on.
fn place(token: &str) -> Result<i64, Status> {
    if token.is_empty() {
        return Ok(0);
    }
    let rule = "is no token of an answer; send it as it came, or leave it out to begin anew";
    token.parse().map_err(|_| Fault::invalid("page_token", rule).into_status())
}
