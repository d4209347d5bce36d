//! The mesh as a caller sees it: gRPC to its gateway.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tidemill_chassis::Wire;
use tidemill_chassis::context::TENANT;
use tidemill_producer::{Config, Producer};
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::{GetQueueRequest, SubmitTasksRequest};
use tidemill_proto::storage::v1::CreateTenantRequest;
use tidemill_proto::storage::v1::tenant_service_client::TenantServiceClient;
use tidemill_proto::types::v1::{NewTask, TaskOptions};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

/// The kind of all tasks.
pub(crate) const KIND: &str = "noop";

/// Seconds since the epoch.
pub(crate) fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Connects at the first call.
pub(crate) fn connect() -> Result<Client> {
    let scheduling = SchedulingServiceClient::new(channel()?).max_encoding_message_size(64 << 20);
    let producer = Producer::start(Wire::new(channel()?), Config::default());
    let is_set = |name| std::env::var_os(name).is_some();
    let (is_kept, is_unary) = (is_set("TIDEMILL_KEEP"), is_set("TIDEMILL_UNARY"));
    Ok(Client { scheduling, producer, tenant: None, key: None, is_kept, is_unary })
}

/// The same for a tenant, which is made if it is not there; the mesh is in open mode.
pub(crate) async fn connect_as(tenant: &str) -> Result<Client> {
    let name = tenant.to_owned();
    let request = CreateTenantRequest { name, ..CreateTenantRequest::default() };
    TenantServiceClient::new(channel()?).create_tenant(request).await?;
    let tenant: MetadataValue<Ascii> = tenant.parse()?;
    let mut config = Config::default();
    config.metadata.insert(TENANT, tenant.clone());
    let producer = Producer::start(Wire::new(channel()?), config);
    Ok(Client { tenant: Some(tenant), producer, ..connect()? })
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
pub(crate) struct Client {
    scheduling: SchedulingServiceClient<Channel>,
    /// For one task at a time.
    producer: Producer,
    /// Whose calls they are; none for the mesh's own tenant.
    tenant: Option<MetadataValue<Ascii>>,
    /// The limit key of its tasks.
    key: Option<&'static str>,
    /// Its tasks leave nothing behind when they have succeeded, as in the other queues of the comparison; `TIDEMILL_KEEP=1`
    /// keeps them.
    is_kept: bool,
    /// `TIDEMILL_UNARY=1`: one task is a call of its own, not a message of a stream.
    is_unary: bool,
}

impl Client {
    /// The same, whose tasks have this limit key.
    pub(crate) fn with_key(self, key: Option<&'static str>) -> Self {
        Self { key, ..self }
    }

    /// Submits a task; durable when it returns.
    pub(crate) async fn submit(&mut self, number: u64) -> Result<()> {
        if self.is_unary {
            return self.submit_batch([number]).await;
        }
        self.producer.submit(self.task(number)).await?;
        Ok(())
    }

    /// Submits these tasks in one call; durable when it returns.
    pub(crate) async fn submit_batch(&mut self, numbers: impl IntoIterator<Item = u64>) -> Result<()> {
        let tasks = numbers.into_iter().map(|number| self.task(number)).collect();
        let request = self.request(SubmitTasksRequest { tasks });
        self.scheduling.submit_tasks(request).await?;
        Ok(())
    }

    fn task(&self, number: u64) -> NewTask {
        let options = self
            .key
            .map(|key| Box::new(TaskOptions { limit_keys: vec![key.to_owned()], ..TaskOptions::default() }));
        NewTask {
            kind: KIND.to_owned(),
            payload: format!("{{\"id\":{number},\"pad\":\"{}\"}}", "x".repeat(180)),
            keep: (!self.is_kept).then(pbjson_types::Duration::default),
            options,
            ..NewTask::default()
        }
    }

    /// How many tasks are not finished.
    pub(crate) async fn left(&self) -> Result<i64> {
        let answer = self.scheduling.clone().get_queue(self.request(GetQueueRequest {})).await?.into_inner();
        let priorities = answer.queue.unwrap_or_default().priorities;
        Ok(priorities.iter().map(|state| state.waiting + state.running).sum())
    }

    /// A request of its tenant.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(tenant) = &self.tenant {
            request.metadata_mut().insert(TENANT, tenant.clone());
        }
        request
    }
}
