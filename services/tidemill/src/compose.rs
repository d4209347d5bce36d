//! Composes the parts into one process: one table of what each part needs, wires between them without a socket, one
//! port for everything.
//!
//! Invariants: the port is taken before anything else is begun; a part is built after those that it needs; without keys
//! a mesh answers on loopback only. To add a part: a function that builds it, a row in [`PARTS`].

mod part;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::{Part, Shutdown, Switchboard, SystemClock, Wire, meta, server};
use tidemill_gateway::Auth;
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tidemill_sqlite::SqliteStore;
use tidemill_storage::ensure_default_tenant;
use tokio::net::TcpListener;
use tracing::info;

use crate::config::Config;
use part::{Ground, Needs};

/// One part: what it needs, and how it is built from that.
struct Row {
    name: &'static str,
    needs: &'static [&'static str],
    build: fn(&Ground, &Needs) -> Result<Part>,
}

/// Every part, after those that it needs. The gateway stands on all of them and is built last.
const PARTS: [Row; 4] = [
    Row { name: "storage", needs: &[], build: part::storage },
    Row { name: "scheduling", needs: &["storage"], build: part::scheduling },
    Row { name: "ingestion", needs: &["storage", "scheduling"], build: part::ingestion },
    Row { name: "analysis", needs: &["storage", "scheduling"], build: part::analysis },
];

/// A mesh that serves.
pub(crate) struct Mesh {
    /// Where it answers.
    pub(crate) address: SocketAddr,
    /// Who may call.
    pub(crate) auth: Auth,
    /// The operator's key, when this start made the first tenant.
    pub(crate) first_key: Option<String>,
    /// Stops it.
    pub(crate) shutdown: Shutdown,
    store: Arc<SqliteStore>,
    grace: Duration,
}

/// Builds every part and serves on a port that was taken by `tidemill_chassis::server::bind`.
pub(crate) async fn start(mut config: Config, listener: TcpListener) -> Result<Mesh> {
    let address = listener.local_addr().context("the port has no address")?;
    if !address.ip().is_loopback() {
        config.gateway.auth = Auth::Key;
    }
    let store = Arc::new(SqliteStore::open(config.store.clone()).await?);
    let first_key = ensure_default_tenant(&*store, &SystemClock, &mut seeded_rng()).await?;
    let rng = Arc::new(Mutex::new(seeded_rng()));
    let ground = Ground { config, store: store.clone(), clock: Arc::new(SystemClock), rng };
    let (parts, wires) = build(&ground)?;

    let shutdown = Shutdown::default();
    let gateway = gateway(&ground, &parts, &wires).await?;
    for background in parts.into_iter().flat_map(|part| part.background) {
        shutdown.spawn_background(background);
    }
    shutdown.spawn(server::serve(listener, gateway, shutdown.soft()));
    info!(%address, "serving");
    let (auth, grace) = (ground.config.gateway.auth, Duration::from_millis(ground.config.grace_ms));
    Ok(Mesh { address, auth, first_key, shutdown, store, grace })
}

/// The parts, and the wire to each by its name.
fn build(ground: &Ground) -> Result<(Vec<Part>, BTreeMap<&'static str, Wire>)> {
    let mut parts = Vec::with_capacity(PARTS.len());
    let mut wires = BTreeMap::new();
    for row in PARTS {
        let needs = Needs::met(row.needs, &wires);
        let part = (row.build)(ground, &needs).with_context(|| format!("cannot start {}", row.name))?;
        wires.insert(row.name, part.wire(ground.config.limits));
        parts.push(part);
    }
    Ok((parts, wires))
}

/// The gateway over all services, with health and reflection.
async fn gateway(
    ground: &Ground,
    parts: &[Part],
    wires: &BTreeMap<&'static str, Wire>,
) -> Result<tidemill_gateway::Gateway> {
    let mut services = BTreeMap::new();
    for part in parts {
        let wire = wires.get(part.name).cloned().unwrap_or_else(|| Wire::absent(part.name));
        services.extend(part.services.iter().map(|name| (*name, wire.clone())));
    }
    let names: Vec<&'static str> = services.keys().copied().collect();
    let meta_wire = meta::wire(&names, tidemill_proto::DESCRIPTORS).await.map_err(|fault| anyhow!(fault))?;
    services.extend(meta::SERVICES.map(|name| (name, meta_wire.clone())));
    let switchboard = Switchboard::new(services.into_iter().map(|(name, wire)| (name.to_owned(), wire)));
    let keys = TenantStoreServiceClient::new(Needs::met(&["storage"], wires).wire("storage"));
    let deps = tidemill_gateway::Deps { switchboard, keys, clock: ground.clock.clone(), rng: seeded_rng() };
    Ok(tidemill_gateway::build(ground.config.gateway.clone(), deps)?)
}

impl Mesh {
    /// The address as clients write it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for a signal, then lets what runs finish. Returns whether it did in time.
    pub(crate) async fn until_stopped(self) -> bool {
        self.shutdown.soft().cancelled().await;
        let drained = self.shutdown.drain(self.grace).await;
        self.store.close().await;
        drained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_need_stands_before_the_part_that_needs_it() {
        for (index, row) in PARTS.iter().enumerate() {
            for need in row.needs {
                assert!(PARTS[..index].iter().any(|earlier| earlier.name == *need), "{} {need}", row.name);
            }
        }
    }
}
