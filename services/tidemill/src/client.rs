//! The way to a mesh over its port: one connection, credentials on every call.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tidemill_chassis::context::TENANT;
use tidemill_proto::ingestion::v1::ingestion_service_client::IngestionServiceClient;
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::storage::v1::result_service_client::ResultServiceClient;
use tidemill_proto::storage::v1::tenant_service_client::TenantServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::cli::Connection;

/// The largest message taken in or sent.
const MAX_MESSAGE: usize = 64 << 20;

/// A connection with credentials.
pub(crate) type Calls = InterceptedService<Channel, Credentials>;

/// A mesh that answered. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    calls: Calls,
    identity: String,
}

impl Client {
    /// Connects, or says that nobody answers there.
    pub(crate) async fn connect(connection: &Connection) -> Result<Self> {
        let credentials = Credentials::new(connection)?;
        let url = match connection.server.contains("://") {
            true => connection.server.clone(),
            false => format!("http://{}", connection.server),
        };
        if url.starts_with("https://") {
            bail!(
                "--server {url}: this build calls a mesh without TLS; use http:// and a proxy that ends TLS"
            );
        }
        let endpoint = Endpoint::from_shared(url.clone())
            .with_context(|| format!("--server {url} is not a URL; write it as http://HOST:PORT"))?
            .connect_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let Ok(channel) = endpoint.connect().await else {
            bail!(
                "no mesh answers at {url}; start one with `tidemill up`, or name another by --server or TIDEMILL_SERVER"
            );
        };
        let identity = format!("{:?} {:?}", connection.tenant, connection.key);
        Ok(Self { calls: InterceptedService::new(channel, credentials), identity })
    }

    /// Who calls, as the command line says it: tenant and key. Secret; to be hashed, not shown.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// Documents, queries, sources.
    pub(crate) fn ingestion(&self) -> IngestionServiceClient<Calls> {
        IngestionServiceClient::new(self.calls.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    /// The queue.
    pub(crate) fn scheduling(&self) -> SchedulingServiceClient<Calls> {
        SchedulingServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// What is stored.
    pub(crate) fn results(&self) -> ResultServiceClient<Calls> {
        ResultServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// Tenants.
    pub(crate) fn tenants(&self) -> TenantServiceClient<Calls> {
        TenantServiceClient::new(self.calls.clone())
    }
}

/// Key and tenant, put on every call.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    authorization: Option<MetadataValue<Ascii>>,
    tenant: Option<MetadataValue<Ascii>>,
}

impl Credentials {
    fn new(connection: &Connection) -> Result<Self> {
        let key = connection.key.as_deref().map(str::trim).filter(|key| !key.is_empty());
        let authorization = key.map(|key| format!("Bearer {key}").parse::<MetadataValue<Ascii>>());
        let tenant = connection.tenant.as_deref().map(str::parse::<MetadataValue<Ascii>>);
        Ok(Self {
            authorization: authorization.transpose().context("--key has characters that no key has")?,
            tenant: tenant.transpose().context("--tenant has characters that no tenant's name has")?,
        })
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        if let Some(tenant) = &self.tenant {
            request.metadata_mut().insert(TENANT, tenant.clone());
        }
        Ok(request)
    }
}
