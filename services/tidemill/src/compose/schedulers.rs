//! The way from one scheduler to the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tidemill_chassis::Wire;
use tidemill_chassis::remote::{self, RemoteConfig};
use tidemill_kernel::Id;
use tidemill_proto::scheduling::v1::WakeRequest;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tracing::debug;

/// How long a hint may take: a scheduler that is slower looks by itself before.
const HINT: Duration = Duration::from_millis(500);
/// So many schedulers are remembered; then all are learnt anew.
const MOST: usize = 64;

/// Schedulers by address. Each is called at that address alone.
pub(super) struct Schedulers {
    config: RemoteConfig,
    wires: Mutex<HashMap<String, Wire>>,
}

impl Schedulers {
    pub(super) fn new(config: RemoteConfig) -> Arc<Self> {
        Arc::new(Self { config, wires: Mutex::default() })
    }
}

#[async_trait]
impl tidemill_scheduling::Peers for Schedulers {
    async fn wake(&self, address: &str) {
        let Some(wire) = tidemill_scheduling::Peers::wire(self, address) else { return };
        let mut scheduler = WorkerServiceClient::new(wire);
        let told = tokio::time::timeout(HINT, scheduler.wake(WakeRequest::default())).await;
        if !matches!(told, Ok(Ok(_))) {
            debug!(address, "another scheduler was not told of its new tasks; it finds them by itself");
        }
    }

    async fn tell_changed(&self, address: &str, tasks: &[Id], are_cancelled: bool) -> Vec<Id> {
        let Some(wire) = tidemill_scheduling::Peers::wire(self, address) else { return tasks.to_vec() };
        let names = tasks.iter().map(ToString::to_string).collect();
        let (changed, cancelled) = if are_cancelled { (Vec::new(), names) } else { (names, Vec::new()) };
        let request = WakeRequest { changed, cancelled, ..WakeRequest::default() };
        match tokio::time::timeout(HINT, WorkerServiceClient::new(wire).wake(request)).await {
            Ok(Ok(answer)) => answer.into_inner().others.iter().filter_map(|id| id.parse().ok()).collect(),
            Ok(Err(_)) | Err(_) => {
                debug!(address, "another scheduler was not told of tasks that were changed by hand");
                tasks.to_vec()
            }
        }
    }

    async fn tell_settings(&self, address: &str) {
        let Some(wire) = tidemill_scheduling::Peers::wire(self, address) else { return };
        let request = WakeRequest { settings: true, ..WakeRequest::default() };
        let told = tokio::time::timeout(HINT, WorkerServiceClient::new(wire).wake(request)).await;
        if !matches!(told, Ok(Ok(_))) {
            debug!(address, "another scheduler was not told of new settings; it reads them by itself");
        }
    }

    fn wire(&self, address: &str) -> Option<Wire> {
        let mut wires = self.wires.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wire) = wires.get(address) {
            return Some(wire.clone());
        }
        let wire = remote::wire("scheduling", &[address.parse().ok()?], self.config.clone()).ok()?;
        if wires.len() >= MOST {
            wires.clear();
        }
        wires.insert(address.to_owned(), wire.clone());
        Some(wire)
    }
}
