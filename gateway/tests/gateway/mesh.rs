//! A gateway with the fakes behind it on a free loopback port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::Value;
use tidemill_chassis::layers::{Methods, ServerLimits, server_stack};
use tidemill_chassis::{Switchboard, SystemClock, Wire, meta, server};
use tidemill_gateway::{Auth, Config, Deps, build};
use tidemill_proto::ingestion::v1::ingestion_service_server::IngestionServiceServer;
use tidemill_proto::scheduling::v1::scheduling_service_server::SchedulingServiceServer;
use tidemill_proto::scheduling::v1::worker_service_server::WorkerServiceServer;
use tidemill_proto::storage::v1::result_service_server::ResultServiceServer;
use tidemill_proto::storage::v1::tenant_service_server::TenantServiceServer;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tidemill_proto::storage::v1::tenant_store_service_server::TenantStoreServiceServer;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};

use crate::fakes::Fakes;

const SERVICES: [&str; 6] = [
    "tidemill.scheduling.v1.SchedulingService",
    "tidemill.scheduling.v1.WorkerService",
    "tidemill.storage.v1.ResultService",
    "tidemill.storage.v1.TenantService",
    "tidemill.storage.v1.TenantStoreService",
    "tidemill.ingestion.v1.IngestionService",
];

/// A running gateway; stops when dropped.
pub(crate) struct Mesh {
    address: SocketAddr,
    client: Client,
    fakes: Fakes,
    _stop: DropGuard,
}

impl Mesh {
    /// In open mode, as on a laptop.
    pub(crate) async fn open() -> Self {
        Self::new(Config::default()).await
    }

    /// With keys required.
    pub(crate) async fn keyed() -> Self {
        Self::new(Config { auth: Auth::Key, ..Config::default() }).await
    }

    /// With this configuration.
    pub(crate) async fn new(config: Config) -> Self {
        Self::beside(config, None).await
    }

    /// Besides, this service has no address.
    pub(crate) async fn without(service: &'static str) -> Self {
        Self::beside(Config::default(), Some((service.to_owned(), Wire::absent("lost")))).await
    }

    async fn beside(config: Config, other: Option<(String, Wire)>) -> Self {
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let fakes = Fakes::default();
        let routes = Routes::new(SchedulingServiceServer::new(fakes.clone()))
            .add_service(WorkerServiceServer::new(fakes.clone()))
            .add_service(ResultServiceServer::new(fakes.clone()))
            .add_service(TenantServiceServer::new(fakes.clone()))
            .add_service(TenantStoreServiceServer::new(fakes.clone()))
            .add_service(IngestionServiceServer::new(fakes.clone()));
        let wire = server_stack("test", routes, ServerLimits::default(), Methods::default());
        let (meta_wire, _) = meta::wire(&SERVICES, tidemill_proto::DESCRIPTORS).await.unwrap();
        let switchboard = Switchboard::new(
            SERVICES
                .map(|name| (name.to_owned(), wire.clone()))
                .into_iter()
                .chain(meta::SERVICES.map(|name| (name.to_owned(), meta_wire.clone())))
                .chain(other),
        );
        let keys = TenantStoreServiceClient::new(wire);
        let stop = CancellationToken::new();
        let (clock, rng) = (Arc::new(SystemClock), StdRng::seed_from_u64(7));
        let deps = Deps { switchboard, keys, clock, rng, stop: stop.clone() };
        let gateway = build(config, deps).unwrap();
        let listener = server::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(server::serve(listener, gateway, stop.clone()));
        Self { address, client: Client::new(), fakes, _stop: stop.drop_guard() }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(self.url(path))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(self.url(path))
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A connection as gRPC clients have it.
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(self.url("")).unwrap().connect().await.unwrap()
    }

    /// How often a key was looked up.
    pub(crate) fn lookups(&self) -> usize {
        self.fakes.lookups.load(Ordering::SeqCst)
    }
}

/// Status and JSON of an answer.
pub(crate) async fn seen(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|fault| panic!("{status} {text:?}: {fault}")))
}

/// The answer, and that it is the `google.rpc.Status` of this code and HTTP status. Returns status, message and headers.
pub(crate) async fn refused(request: RequestBuilder, http: u16, code: i32) -> (Value, http::HeaderMap) {
    let response: Response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!((status.as_u16(), &body["code"]), (http, &code.into()), "{body}");
    assert_eq!(headers["content-type"], "application/json");
    assert!(body["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    (body, headers)
}

/// The detail of this type.
pub(crate) fn detail<'a>(status: &'a Value, name: &str) -> &'a Value {
    let url = format!("type.googleapis.com/google.rpc.{name}");
    let mut details = status["details"].as_array().unwrap().iter();
    details.find(|detail| detail["@type"] == url).unwrap_or_else(|| panic!("no {name} in {status}"))
}
