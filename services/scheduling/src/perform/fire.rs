//! Makes the tasks of schedules.

use prost::Message;
use tidemill_kernel::Timestamp;
use tidemill_proto::scheduling::v1::{Overlap, Schedule};
use tidemill_proto::storage::v1 as store;
use tidemill_proto::time::{duration, from_micros};
use tidemill_proto::types::v1::{NewTask, TaskState};
use tonic::Status;
use tracing::{Span, warn};

use super::{Performer, call};
use crate::engine::{Event, Firing};

/// How long the key of a schedule's task is remembered: longer than times are made up for.
const KEY_FOR: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3_600);

impl Performer {
    /// Makes the tasks of a schedule, and notes how far it is.
    pub(super) async fn fire(&self, firing: Firing) -> Event {
        let (tenant, name) = (firing.tenant.clone(), firing.spec.name.clone());
        let done = match self.try_fire(&firing).await {
            Ok(last_task) => Some((firing.through, last_task)),
            Err(fault) => {
                let fault = fault.message();
                warn!(%tenant, schedule = name, fault, "cannot make a schedule's task: trying again");
                None
            }
        };
        Event::Fired { tenant, name, done }
    }

    async fn try_fire(&self, firing: &Firing) -> Result<String, Status> {
        let mut last_task = firing.last_task.clone();
        let overlaps = firing.spec.overlap() == Overlap::Skip && self.is_unfinished(firing).await?;
        if !overlaps && !firing.times.is_empty() {
            let task = firing.spec.task.clone().unwrap_or_default();
            let tasks: Vec<NewTask> =
                firing.times.iter().map(|time| at(&task, &firing.spec.name, *time)).collect();
            let tenant = firing.tenant.to_string();
            let (appended, _) = self.submitter.submit(tenant, tasks, Span::none()).await?;
            last_task = appended.last().map_or(last_task, |task| task.id.clone());
        }
        let state = Schedule {
            last_at: Some(from_micros(firing.through.as_micros())),
            last_task_id: last_task.clone(),
            ..Schedule::default()
        };
        let setting = store::Setting {
            tenant: firing.tenant.to_string(),
            sort: store::SettingSort::ScheduleState.into(),
            name: firing.spec.name.clone(),
            value: state.encode_to_vec(),
            updated_at: None,
        };
        let request = store::PutSettingRequest { setting: Some(setting) };
        call(self.deps.settings.clone().put_setting(request)).await?;
        Ok(last_task)
    }

    /// Whether the schedule's last task still waits or runs.
    async fn is_unfinished(&self, firing: &Firing) -> Result<bool, Status> {
        if firing.last_task.is_empty() {
            return Ok(false);
        }
        let (tenant, id) = (firing.tenant.to_string(), firing.last_task.clone());
        match call(self.deps.tasks.clone().read_task(store::ReadTaskRequest { tenant, id })).await {
            Ok(found) => {
                let state = found.task.map(|task| task.state());
                Ok(matches!(state, Some(TaskState::Waiting | TaskState::Running)))
            }
            Err(gone) if gone.code() == tonic::Code::NotFound => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

/// The schedule's task for one of its times.
fn at(task: &NewTask, name: &str, time: Timestamp) -> NewTask {
    NewTask {
        key: format!("schedule/{name}/{time}"),
        key_for: Some(duration(KEY_FOR)),
        run_at: Some(from_micros(time.as_micros())),
        ..task.clone()
    }
}
