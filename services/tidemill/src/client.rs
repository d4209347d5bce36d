//! The way to a mesh over its port: one connection, credentials on every call.

use std::time::Duration;

use anyhow::Result;
use tidemill_chassis::context::TENANT;
use tidemill_chassis::reads::CONSISTENCY;
use tidemill_chassis::tls::{Certificates, Connector, TlsConfig};
use tidemill_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use tidemill_proto::ingestion::v1::ingestion_service_client::IngestionServiceClient;
use tidemill_proto::scheduling::v1::scaling_service_client::ScalingServiceClient;
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::steering_service_client::SteeringServiceClient;
use tidemill_proto::storage::v1::result_service_client::ResultServiceClient;
use tidemill_proto::storage::v1::tenant_service_client::TenantServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::pb::health_client::HealthClient;

use crate::cli::Connection;
use crate::exit::Failure;

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
        let url = url(&connection.server)?;
        // The connector encrypts; the scheme that calls carry is the one of the URL.
        let endpoint = Endpoint::from_shared(url.replacen("https://", "http://", 1))
            .map_err(|_| wrong_url(&url))?
            .origin(url.parse().map_err(|_| wrong_url(&url))?)
            .connect_timeout(Duration::from_secs(5))
            .tcp_nodelay(true)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let connected = match url.strip_prefix("https://") {
            None => endpoint.connect().await,
            Some(_) => endpoint.connect_with_connector(connector(connection)?).await,
        };
        let channel = connected.map_err(|fault| {
            let why = root(&fault);
            Failure::unreachable(format!(
                "no mesh answers at {url}: {why}; start one with `tidemill up`, or name another by --server or TIDEMILL_SERVER"
            ))
        })?;
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

    /// Recipes.
    pub(crate) fn analysis(&self) -> AnalysisServiceClient<Calls> {
        AnalysisServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// How the tenant's queue is steered.
    pub(crate) fn steering(&self) -> SteeringServiceClient<Calls> {
        SteeringServiceClient::new(self.calls.clone())
    }

    /// The queue.
    pub(crate) fn scheduling(&self) -> SchedulingServiceClient<Calls> {
        SchedulingServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// The advice on the number of workers.
    pub(crate) fn scaling(&self) -> ScalingServiceClient<Calls> {
        ScalingServiceClient::new(self.calls.clone())
    }

    /// What is stored.
    pub(crate) fn results(&self) -> ResultServiceClient<Calls> {
        ResultServiceClient::new(self.calls.clone()).max_decoding_message_size(MAX_MESSAGE)
    }

    /// Whether what answers there serves.
    pub(crate) fn health(&self) -> HealthClient<Calls> {
        HealthClient::new(self.calls.clone())
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
    fn new(connection: &Connection) -> Result<Self, Failure> {
        let filled = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (key, tenant) = (filled(&connection.key), filled(&connection.tenant));
        if let (Some(_), Some(tenant)) = (&key, &tenant) {
            return Err(Failure::refused(format!(
                "a key belongs to one tenant, so the tenant {tenant} cannot be named beside it; leave out --tenant \
                 (TIDEMILL_TENANT) or --key (TIDEMILL_KEY)"
            )));
        }
        let header = |text: Option<String>, what: &str| {
            let value = text.map(|text| text.parse::<MetadataValue<Ascii>>()).transpose();
            value.map_err(|_| Failure::refused(format!("{what} has characters that none has; check it")))
        };
        let authorization = header(key.map(|key| format!("Bearer {key}")), "--key")?;
        Ok(Self { authorization, tenant: header(tenant, "--tenant")? })
    }
}

/// Connects over TLS, believing the authority that was named.
fn connector(connection: &Connection) -> Result<Connector, Failure> {
    let config = TlsConfig { ca_file: connection.ca.clone(), ..TlsConfig::default() };
    let certificates =
        Certificates::load(config).map_err(|fault| Failure::refused(format!("--ca: {fault}")))?;
    Ok(Connector::new(certificates))
}

fn wrong_url(url: &str) -> Failure {
    Failure::refused(format!("--server {url} is not a URL; write it as http://HOST:PORT"))
}

/// The address as a URL.
fn url(server: &str) -> Result<String, Failure> {
    match server.split_once("://") {
        None => Ok(format!("http://{server}")),
        Some(("http" | "https", _)) => Ok(server.to_owned()),
        Some(_) => Err(Failure::refused(format!(
            "--server {server} is not a mesh's URL; write it as http://HOST:PORT"
        ))),
    }
}

/// The last cause: what the system said.
fn root(fault: &dyn std::error::Error) -> String {
    let mut cause = fault;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        if let Some(tenant) = &self.tenant {
            request.metadata_mut().insert(TENANT, tenant.clone());
        }
        // A person or a script sees what the command before has done, also where replicas answer reads.
        request.metadata_mut().insert(CONSISTENCY, MetadataValue::from_static("latest"));
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(key: Option<&str>, tenant: Option<&str>) -> Connection {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Connection { server: String::new(), ca: None, key: text(key), tenant: text(tenant) }
    }

    #[test]
    fn a_tenant_beside_a_key_is_refused_and_an_empty_one_is_none() {
        let of = |key, tenant| Credentials::new(&connection(key, tenant));
        assert!(of(Some("tm_a"), Some("acme")).unwrap_err().to_string().contains("acme"));
        assert!(of(Some("tm_a"), Some(" ")).unwrap().tenant.is_none());
        assert!(of(None, Some("acme")).unwrap().tenant.is_some());
    }

    #[test]
    fn an_address_without_a_scheme_is_http_and_other_schemes_are_refused() {
        assert_eq!(url("localhost:1").unwrap(), "http://localhost:1");
        assert_eq!(url("http://a:1").unwrap(), "http://a:1");
        assert_eq!(url("https://a").unwrap(), "https://a");
        assert!(url("ftp://a").is_err());
    }
}
