//! The mesh as a caller sees it: gRPC to its gateway.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::{GetQueueRequest, SubmitTasksRequest};
use tidemill_proto::types::v1::NewTask;
use tonic::transport::{Channel, Endpoint};

/// The kind of all tasks.
pub(crate) const KIND: &str = "noop";

/// Seconds since the epoch.
pub(crate) fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Connects at the first call.
pub(crate) fn connect() -> Result<Client> {
    let channel = channel()?;
    Ok(Client(SchedulingServiceClient::new(channel).max_encoding_message_size(64 << 20)))
}

/// The gateway that `$TIDEMILL_PORT` names.
pub(crate) fn channel() -> Result<Channel> {
    let port = std::env::var("TIDEMILL_PORT").context("set TIDEMILL_PORT to the gateway's port")?;
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?;
    let window = 4 << 20;
    let endpoint = endpoint.initial_stream_window_size(window).initial_connection_window_size(4 * window);
    Ok(endpoint.tcp_nodelay(true).connect_lazy())
}

/// A caller.
#[derive(Debug, Clone)]
pub(crate) struct Client(SchedulingServiceClient<Channel>);

impl Client {
    /// Submits these tasks; durable when it returns. They leave nothing behind when they have succeeded, as in the other
    /// queues of the comparison; `TIDEMILL_KEEP=1` keeps them.
    pub(crate) async fn submit(&mut self, numbers: impl IntoIterator<Item = u64>) -> Result<()> {
        let keep = std::env::var_os("TIDEMILL_KEEP").is_none().then(pbjson_types::Duration::default);
        let task = |number: u64| NewTask {
            kind: KIND.to_owned(),
            payload: format!("{{\"id\":{number},\"pad\":\"{}\"}}", "x".repeat(180)),
            keep,
            ..NewTask::default()
        };
        let tasks = numbers.into_iter().map(task).collect();
        self.0.submit_tasks(SubmitTasksRequest { tasks }).await?;
        Ok(())
    }

    /// How many tasks are not finished.
    pub(crate) async fn left(&self) -> Result<i64> {
        let answer = self.0.clone().get_queue(GetQueueRequest {}).await?.into_inner();
        let priorities = answer.queue.unwrap_or_default().priorities;
        Ok(priorities.iter().map(|state| state.waiting + state.running).sum())
    }
}
