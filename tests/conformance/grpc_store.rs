//! The store behind the storage service as a store again: every step goes through messages, a generated client, the
//! server's layers and the shell, and must come out as the port says.
//!
//! One thing of the port does not travel, because no client may choose it: `now`. It is laid beside the call in a task
//! local, from which the shell's clock is fed; a call in one process runs in the task of its caller. Keys are made by the
//! service: what the caller describes stands for what was made. What is kept no longer is swept by the service itself,
//! so that step goes past the messages.

mod content;
mod moment;
mod session;
mod setting;
mod status;
mod task;
mod tenant;

use std::sync::{Arc, Mutex};

use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::{Context, Wire};
use tidemill_kernel::{TenantName, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_storage::{Config, Deps, build};
use tidemill_store::{Error, Freshness, Result, Store, TenantStore};
use tonic::{Request, Response, Status};

use api::content_store_service_client::ContentStoreServiceClient;
use api::result_service_client::ResultServiceClient;
use api::setting_store_service_client::SettingStoreServiceClient;
use api::task_store_service_client::TaskStoreServiceClient;
use api::tenant_service_client::TenantServiceClient;
use api::tenant_store_service_client::TenantStoreServiceClient;

/// As large as what the service takes in.
const LARGEST: usize = 64 << 20;

/// The storage service, seen as a store by one session.
pub(crate) struct GrpcStore {
    store: Arc<dyn Store>,
    wire: Wire,
    keys: tenant::Keys,
}

impl GrpcStore {
    /// The storage service over this store.
    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        let rng = Arc::new(Mutex::new(StdRng::seed_from_u64(11)));
        let deps = Deps { store: Arc::clone(&store), clock: Arc::new(moment::CallClock), rng };
        let wire = session::Session::over(build(Config::default(), deps).wire(ServerLimits::default()));
        Self { store, wire, keys: tenant::Keys::default() }
    }

    /// What the port answers to a batch of nothing; the service refuses one.
    async fn nothing<T>(&self, tenant: &TenantName) -> Result<Vec<T>> {
        if self.tenants(std::slice::from_ref(tenant)).await?.is_empty() {
            return Err(Error::NotFound { what: "tenant", name: tenant.to_string() });
        }
        Ok(Vec::new())
    }

    fn content(&self) -> ContentStoreServiceClient<Wire> {
        ContentStoreServiceClient::new(self.wire.clone()).max_decoding_message_size(LARGEST)
    }

    fn results(&self) -> ResultServiceClient<Wire> {
        ResultServiceClient::new(self.wire.clone()).max_decoding_message_size(LARGEST)
    }

    fn setting_client(&self) -> SettingStoreServiceClient<Wire> {
        SettingStoreServiceClient::new(self.wire.clone()).max_decoding_message_size(LARGEST)
    }

    fn tasks(&self) -> TaskStoreServiceClient<Wire> {
        TaskStoreServiceClient::new(self.wire.clone()).max_decoding_message_size(LARGEST)
    }

    fn operators(&self) -> TenantServiceClient<Wire> {
        TenantServiceClient::new(self.wire.clone()).max_decoding_message_size(LARGEST)
    }

    fn resolver(&self) -> TenantStoreServiceClient<Wire> {
        TenantStoreServiceClient::new(self.wire.clone()).max_decoding_message_size(LARGEST)
    }
}

impl Store for GrpcStore {
    fn system(&self) -> &'static str {
        "grpc"
    }

    fn reading(self: Arc<Self>, _: Freshness) -> Arc<dyn Store> {
        // The session sees everything that it wrote.
        self
    }
}

/// A request of this tenant.
fn of<T>(tenant: &TenantName, message: T) -> Request<T> {
    Context::for_tenant(tenant.clone()).request(message)
}

/// A call at no particular moment.
async fn call<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
    call_at(Timestamp::default(), call).await
}

/// A call at this moment.
async fn call_at<T>(now: Timestamp, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
    moment::at(now, call).await.map(Response::into_inner).map_err(|status| status::read(&status))
}

/// What this side cannot read is a defect of the service.
fn read<T>(decoded: tidemill_storage::Result<T>) -> Result<T> {
    decoded.map_err(|fault| Error::Internal(format!("an answer cannot be read: {fault}")))
}

/// Every item of an answer.
fn read_all<M, T>(messages: Vec<M>, decode: impl FnMut(M) -> tidemill_storage::Result<T>) -> Result<Vec<T>> {
    messages.into_iter().map(decode).map(read).collect()
}

/// What is not there, from an answer that says so.
fn found<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A number of tasks to load, as the service allows it.
fn limit(limit: u32) -> i32 {
    i32::try_from(limit.min(10_000)).unwrap_or(10_000)
}
