//! The storage service: a gRPC shell over the store port. It decodes, calls the store, encodes; it decides nothing.
//!
//! Invariants:
//! - No database is known here: every step is one call of a [`tidemill_store::Store`].
//! - What enters is checked field by field in [`convert`]; a request that breaks a rule changes nothing.
//! - The tenant of content and results comes from the call's context, never from a message. The task store alone
//!   names tenants in its messages, because the scheduler works for all of them.
//! - A key leaves once, in the answer that made it; only its SHA-256 is stored. What a database says about itself
//!   (paths, SQL) goes to the log, not to the caller.
//!
//! To add an rpc: the message in `proto/tidemill/storage/v1`, its step in the port, its rows both ways in
//! [`convert`], three lines in the service's file here, a case in the conformance suite, which runs through gRPC too.

pub mod config;
pub mod content_store;
pub mod convert;
pub mod error;
pub mod key;
mod measured;
mod metrics;
pub mod result;
pub mod setting_store;
mod sweep;
pub mod task_store;
pub mod tenant;
pub mod tenant_store;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::CryptoRng;
use tidemill_chassis::reads::READ_AFTER;
use tidemill_chassis::{Background, Context, Part, Reads, Written};
use tidemill_kernel::{Clock, Id, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_store::Store;
use tidemill_store::freshness::{Freshness, ParsePositionError, Position};
use tonic::Response;
use tonic::service::Routes;

pub use config::Config;
pub use error::{Error, Result};
pub use tenant::ensure_default_tenant;

use measured::Measured;

use api::content_store_service_server as content_server;
use api::result_service_server as result_server;
use api::setting_store_service_server as setting_server;
use api::task_store_service_server as task_server;
use api::tenant_service_server as tenant_server;
use api::tenant_store_service_server as tenant_store_server;

/// Randomness that several calls share. Keys are made from it, so it must not be guessable.
pub type SharedRng = Arc<Mutex<dyn CryptoRng + Send>>;

/// What the service stands on.
#[derive(Clone)]
pub struct Deps {
    /// The database, whichever it is.
    pub store: Arc<dyn Store>,
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
    /// What ids and keys are made from.
    pub rng: SharedRng,
}

impl Deps {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn rng(&self) -> MutexGuard<'_, dyn CryptoRng + Send + 'static> {
        // A generator is whole after every call, whoever panicked beside it.
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn new_id(&self) -> Id {
        Id::new(self.now(), &mut self.rng())
    }

    /// The store for the reads of this call that may be a little old, unless the call says how old.
    pub(crate) fn reading(&self, context: &Context) -> Result<Arc<dyn Store>> {
        let freshness = match &context.reads {
            Reads::Latest => Freshness::Latest,
            Reads::Recent => Freshness::Recent,
            Reads::After(written) => {
                let position = written.parse::<Position>();
                let refuse = |fault: ParsePositionError| Error::field(READ_AFTER, fault.to_string());
                Freshness::After(position.map_err(refuse)?)
            }
        };
        Ok(Arc::clone(&self.store).reading(freshness))
    }

    /// The answer to a write: it says what a session may read behind.
    pub(crate) async fn written<T>(&self, answer: T) -> Response<T> {
        let position = self.store.position().await;
        Written::new(position.map(|position| position.to_string())).on(answer)
    }
}

impl fmt::Debug for Deps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deps").finish_non_exhaustive()
    }
}

/// The part: six gRPC services, and a loop that removes what is kept no longer.
pub fn build(config: Config, deps: Deps) -> Part {
    let (limit, keep_keys) = (config.max_message_bytes, config.keep_keys());
    let store = Arc::new(Measured::over(deps.store, config.tenant_labels)) as Arc<dyn Store>;
    let deps = Deps { store, ..deps };
    let tenants = tenant_server::TenantServiceServer::new(tenant::Tenants(deps.clone()));
    let keys = tenant_store_server::TenantStoreServiceServer::new(tenant_store::Keys(deps.clone()));
    let results = result_server::ResultServiceServer::new(result::Results::new(&config, deps.clone()));
    let content =
        content_server::ContentStoreServiceServer::new(content_store::Content(deps.clone(), keep_keys));
    let settings = setting_server::SettingStoreServiceServer::new(setting_store::Settings(deps.clone()));
    let sweeper = sweep::Sweeper { deps: deps.clone(), keep: config.keep_tasks() };
    let tasks = task_server::TaskStoreServiceServer::new(task_store::Tasks(deps, keep_keys));
    let routes = Routes::new(tenants.max_decoding_message_size(limit))
        .add_service(keys.max_decoding_message_size(limit))
        .add_service(results.max_decoding_message_size(limit))
        .add_service(content.max_decoding_message_size(limit))
        .add_service(settings.max_decoding_message_size(limit))
        .add_service(tasks.max_decoding_message_size(limit));
    let services = vec![
        tenant_server::SERVICE_NAME,
        tenant_store_server::SERVICE_NAME,
        result_server::SERVICE_NAME,
        content_server::SERVICE_NAME,
        setting_server::SERVICE_NAME,
        task_server::SERVICE_NAME,
    ];
    Part {
        name: "storage",
        routes,
        services,
        background: vec![Background::new("sweeper", |stop| sweeper.run(stop))],
    }
}
