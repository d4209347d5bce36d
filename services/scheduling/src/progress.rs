//! How far groups are, and what is sent again whenever it changed.

use std::time::Duration;

use tidemill_chassis::{Context, sleep};
use tidemill_kernel::TenantName;
use tidemill_proto::scheduling::v1::WatchGroupResponse;
use tidemill_proto::storage::v1::ReadGroupRequest;
use tidemill_proto::types::v1::TaskGroup;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::service::Scheduling;

/// The shortest time between two messages of a watched group.
const GROUP: Duration = Duration::from_millis(500);

impl Scheduling {
    /// A group as the store has it.
    pub(crate) async fn group(
        &self,
        context: &Context,
        tenant: &TenantName,
        name: &str,
    ) -> Result<TaskGroup, Status> {
        let request = ReadGroupRequest { tenant: tenant.to_string(), name: name.to_owned() };
        let group = self.tasks().read_group(context.request(request)).await?.into_inner().group;
        Ok(group.unwrap_or_default())
    }

    /// Sends how far a group is until it has no open task.
    pub(crate) fn watch_to_its_end(
        &self,
        context: Context,
        tenant: TenantName,
        name: String,
    ) -> ReceiverStream<Result<WatchGroupResponse, Status>> {
        self.watch(GROUP, move |service| {
            let (context, tenant, name) = (context.clone(), tenant.clone(), name.clone());
            async move {
                let group = service.group(&context, &tenant, &name).await?;
                let is_over = group.open == 0;
                Ok((WatchGroupResponse { group: Some(group) }, is_over))
            }
        })
    }

    /// Looks again and again, at most once in so long, and sends what it sees whenever that changed: until it is the last of its
    /// kind, as the look says, the caller leaves or the scheduler stops.
    pub(crate) fn watch<T, F>(
        &self,
        every: Duration,
        look: impl Fn(Self) -> F + Send + Sync + 'static,
    ) -> ReceiverStream<Result<T, Status>>
    where
        T: Clone + PartialEq + Send + Sync + 'static,
        F: Future<Output = Result<(T, bool), Status>> + Send,
    {
        let (to, items) = mpsc::channel(1);
        let service = self.clone();
        tokio::spawn(async move {
            let mut last = None;
            loop {
                let (item, is_over) = match look(service.clone()).await {
                    Ok((seen, is_over)) if last.as_ref() == Some(&seen) => (None, is_over),
                    Ok((seen, is_over)) => {
                        last = Some(seen.clone());
                        (Some(Ok(seen)), is_over)
                    }
                    Err(fault) => (Some(Err(fault)), true),
                };
                if let Some(item) = item
                    && to.send(item).await.is_err()
                {
                    return;
                }
                if is_over {
                    return;
                }
                tokio::select! {
                    () = sleep(every) => {}
                    () = to.closed() => return,
                    () = service.ended() => {
                        let fault = Status::unavailable("the scheduler is stopping; watch again in a moment");
                        let _ = to.send(Err(fault)).await;
                        return;
                    }
                }
            }
        });
        ReceiverStream::new(items)
    }
}
