//! How each part is built from the ground under all of them and the wires that it needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use tidemill_chassis::{Part, Wire};
use tidemill_kernel::Clock;
use tidemill_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use tidemill_proto::scheduling::v1::scheduling_service_client::SchedulingServiceClient;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::storage::v1::content_store_service_client::ContentStoreServiceClient;
use tidemill_proto::storage::v1::setting_store_service_client::SettingStoreServiceClient;
use tidemill_proto::storage::v1::task_store_service_client::TaskStoreServiceClient;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tidemill_storage::SharedRng;
use tokio::sync::watch;

use super::schedulers::Schedulers;
use super::store::Database;
use crate::config::Config;

/// The largest message between parts: a full batch of documents with their bodies.
const MAX_MESSAGE: usize = 64 << 20;

/// The largest answer to a request for leases: as many tasks as are asked for at once, each with its payload.
const MAX_LEASES: usize = 512 << 20;

/// What stands under every part.
pub(super) struct Ground {
    pub(super) config: Config,
    /// Only where storage runs.
    pub(super) database: Option<Database>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: SharedRng,
    /// The slots of this process' workers by component, where they follow the load.
    pub(super) slots: BTreeMap<&'static str, watch::Sender<u32>>,
    /// The way to the schedulers of other processes, where there can be any.
    pub(super) schedulers: Option<Arc<Schedulers>>,
    /// Where other processes reach the parts of this one; empty where they do not.
    pub(super) address: String,
}

impl Ground {
    /// The slots of a component's workers as they change.
    fn slots(&self, component: &str) -> Option<watch::Receiver<u32>> {
        self.slots.get(component).map(watch::Sender::subscribe)
    }

    /// Whether nobody else gets at the database: a folder is locked by the process that has it open, and this one lets
    /// nobody in.
    fn is_alone(&self) -> bool {
        self.schedulers.is_none() && self.database.as_ref().is_some_and(Database::is_folder)
    }
}

/// The wires that a part asked for.
pub(super) struct Needs {
    wires: BTreeMap<&'static str, Wire>,
    /// Every scheduler by itself.
    schedulers: tidemill_worker::Schedulers,
}

impl Needs {
    /// The wires of these names among those that are built.
    pub(super) fn met(names: &[&'static str], built: &BTreeMap<&'static str, Wire>) -> Self {
        let wire = |name: &&'static str| built.get(name).cloned().unwrap_or_else(|| Wire::absent(name));
        let schedulers = wire(&"scheduling").into();
        Self { wires: names.iter().map(|name| (*name, wire(name))).collect(), schedulers }
    }

    /// The same, with every scheduler by itself where there may be several.
    pub(super) fn and_schedulers(self, schedulers: Option<tidemill_worker::Schedulers>) -> Self {
        Self { schedulers: schedulers.unwrap_or(self.schedulers), ..self }
    }

    /// The wire to a part; one that was not asked for in the table fails every call.
    pub(super) fn wire(&self, name: &'static str) -> Wire {
        self.wires.get(name).cloned().unwrap_or_else(|| Wire::absent(name))
    }

    fn content(&self) -> ContentStoreServiceClient<Wire> {
        ContentStoreServiceClient::new(self.wire("storage"))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    fn workers(&self) -> WorkerServiceClient<Wire> {
        WorkerServiceClient::new(self.wire("scheduling"))
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }
}

pub(super) fn storage(ground: &Ground, _: &Needs) -> Result<Part> {
    let store = ground.database.as_ref().context("no store is open")?.store();
    let (clock, rng) = (ground.clock.clone(), ground.rng.clone());
    let deps = tidemill_storage::Deps { store, clock, rng };
    Ok(tidemill_storage::build(ground.config.storage.clone(), deps))
}

pub(super) fn scheduling(ground: &Ground, needs: &Needs) -> Result<Part> {
    let tasks = TaskStoreServiceClient::new(needs.wire("storage"))
        .max_decoding_message_size(MAX_LEASES)
        .max_encoding_message_size(MAX_MESSAGE);
    let tenants = TenantStoreServiceClient::new(needs.wire("storage"));
    let deps = tidemill_scheduling::Deps {
        tasks,
        settings: SettingStoreServiceClient::new(needs.wire("storage")),
        tenants,
        peers: ground.schedulers.clone().map(|peers| peers as Arc<dyn tidemill_scheduling::Peers>),
        alone: ground.is_alone(),
        address: ground.address.clone(),
        clock: ground.clock.clone(),
    };
    let pool = |(component, slots): (&&str, &watch::Sender<u32>)| tidemill_scheduling::Pool {
        component: (*component).to_owned(),
        slots: slots.clone(),
    };
    let pools = ground.slots.iter().map(pool).collect();
    Ok(tidemill_scheduling::build_with(ground.config.scheduling.clone(), deps, pools)?)
}

pub(super) fn analysis(ground: &Ground, needs: &Needs) -> Result<Part> {
    let (content, schedulers, clock) = (needs.content(), needs.schedulers.clone(), ground.clock.clone());
    let deps = tidemill_analysis::Deps { content, schedulers, slots: ground.slots("analysers"), clock };
    Ok(tidemill_analysis::build(ground.config.analysis.clone(), deps)?)
}

pub(super) fn ingestion(ground: &Ground, needs: &Needs) -> Result<Part> {
    let scheduling = SchedulingServiceClient::new(needs.wire("scheduling"))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let (content, workers, clock) = (needs.content(), needs.workers(), ground.clock.clone());
    let recipes = Some(AnalysisServiceClient::new(needs.wire("analysis")));
    let (schedulers, slots) = (needs.schedulers.clone(), ground.slots("collectors"));
    let deps = tidemill_ingestion::Deps { content, scheduling, schedulers, slots, workers, recipes, clock };
    Ok(tidemill_ingestion::build(ground.config.ingestion.clone(), deps)?)
}
