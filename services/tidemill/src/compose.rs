//! Composes parts into a process: one table of what each part needs, wires without a socket between parts that share
//! the process, wires over sockets to those that do not.
//!
//! Invariants: ports are taken before anything else is begun; a part is built after those that it needs; without keys
//! a gateway answers on loopback only. To add a part: a function that builds it, a row in [`PARTS`].

mod discovery;
mod part;
mod peers;
mod schedulers;
mod store;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::discovery::consul::Registration;
use tidemill_chassis::layers::Methods;
use tidemill_chassis::meta::Serving;
use tidemill_chassis::pages::Pages;
use tidemill_chassis::server::Transport;
use tidemill_chassis::tls::{Certificates, Guard, TlsConfig};
use tidemill_chassis::{Part, Shutdown, Switchboard, SystemClock, Wire, meta, server};
use tidemill_gateway::{Auth, Gateway};
use tidemill_proto::storage::v1::tenant_store_service_client::TenantStoreServiceClient;
use tidemill_storage::ensure_default_tenant;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use discovery::Elsewhere;
use part::{Ground, Needs};

pub(crate) use peers::Peers;
use store::Database;
pub(crate) use store::{migrate, place, schema};

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
    Row { name: "analysis", needs: &["storage", "scheduling"], build: part::analysis },
    Row { name: "ingestion", needs: &["storage", "scheduling", "analysis"], build: part::ingestion },
];

/// What the contracts say of the methods of all parts.
const METHODS: Methods = Methods {
    idempotent: tidemill_proto::is_idempotent,
    safe: tidemill_proto::is_safe,
    streaming: tidemill_proto::is_streaming,
};

/// The name of the gateway among the parts.
pub(crate) const GATEWAY: &str = "gateway";

/// The names of all parts: what `up` runs, and what `serve` chooses from.
pub(crate) const NAMES: [&str; 5] = ["storage", "scheduling", "analysis", "ingestion", GATEWAY];

/// The ports of a process, taken by `tidemill_chassis::server::bind`.
#[derive(Debug)]
pub(crate) struct Ports {
    /// Where the gateway answers; a process has the gateway when it has this port.
    pub(crate) gateway: Option<TcpListener>,
    /// Where the other parts answer the parts of other processes.
    pub(crate) parts: Option<TcpListener>,
}

/// Parts that run.
pub(crate) struct Mesh {
    /// Where the gateway answers.
    pub(crate) gateway: Option<SocketAddr>,
    /// Where the other parts answer other processes.
    pub(crate) parts: Option<SocketAddr>,
    /// Whether the gateway speaks TLS.
    pub(crate) is_tls: bool,
    /// Who may call the gateway.
    pub(crate) auth: Auth,
    /// The operator's key, when this start made the first tenant.
    pub(crate) first_key: Option<String>,
    /// Stops it.
    pub(crate) shutdown: Shutdown,
    registrations: Vec<Registration>,
    serving: Vec<Serving>,
    database: Option<Database>,
    grace: Duration,
}

/// Builds the parts of these names, which are among [`NAMES`], and serves them on the ports.
pub(crate) async fn start(mut config: Config, names: &[&str], ports: Ports) -> Result<Mesh> {
    let address = |port: &Option<TcpListener>| port.as_ref().map(TcpListener::local_addr).transpose();
    let gateway = address(&ports.gateway).context("the gateway's port has no address")?;
    let parts_address = address(&ports.parts).context("the port has no address")?;
    secure(&mut config, gateway, parts_address)?;
    let (mut ground, first_key) = ground(config, names).await?;
    let mesh_certificates = certificates("tls.mesh", ground.config.tls.mesh.as_ref())?;
    let gateway_certificates = certificates("tls.gateway", ground.config.tls.gateway.as_ref())?;
    let (is_tls, is_mesh_tls) = (gateway_certificates.is_some(), mesh_certificates.is_some());
    let elsewhere = Elsewhere::new(&ground.config, mesh_certificates.clone())?;
    if let Some(bound) = parts_address {
        ground.schedulers = Some(elsewhere.schedulers());
        ground.address = elsewhere.reached_at(bound).await.unwrap_or_default();
    }
    let (parts, wires) = build(&ground, &elsewhere, names)?;

    let shutdown = Shutdown::default();
    let (mut serving, connections) = (Vec::new(), ground.config.connections);
    if let Some(listener) = ports.gateway {
        let (service, health) = gateway_over(&ground, &wires, shutdown.soft()).await?;
        serving.push(health);
        let transport = Transport { certificates: gateway_certificates, connections };
        shutdown.spawn(GATEWAY, server::serve_over(listener, transport, service, shutdown.soft()));
    }
    if let Some(listener) = ports.parts {
        let (service, health) = switchboard(parts.iter().map(|part| part.name), &wires).await?;
        serving.push(health);
        let (service, soft) = (Pages::beside(service), shutdown.soft());
        let transport = Transport { certificates: mesh_certificates, connections };
        if is_mesh_tls {
            shutdown.spawn(
                "the port of the parts",
                server::serve_over(listener, transport, Guard::before(service), soft),
            );
        } else {
            shutdown.spawn("the port of the parts", server::serve_over(listener, transport, service, soft));
        }
    }
    // What is known to others serves already, and answers for itself from then on.
    let bound = parts.iter().filter_map(|part| Some((part.name, parts_address?, is_mesh_tls)));
    let bound = bound.chain(gateway.map(|bound| (GATEWAY, bound, is_tls)));
    let registrations = elsewhere.register(bound).await?;
    for background in parts.into_iter().flat_map(|part| part.background) {
        shutdown.spawn_background(background);
    }
    info!(?gateway, parts = ?parts_address, "serving");
    let grace = Duration::from_millis(ground.config.grace_ms);
    let auth = ground.config.gateway.auth;
    let (parts, database) = (parts_address, ground.database);
    Ok(Mesh { gateway, parts, is_tls, auth, first_key, shutdown, registrations, serving, database, grace })
}

/// The certificates of a table, if it is there.
fn certificates(table: &'static str, config: Option<&TlsConfig>) -> Result<Option<Certificates>> {
    config.cloned().map(Certificates::load).transpose().context(table)
}

/// Off loopback, a gateway asks for keys, and parts, which believe their callers, answer only who shows a certificate of
/// the mesh, unless it was allowed that they need none.
fn secure(config: &mut Config, gateway: Option<SocketAddr>, parts: Option<SocketAddr>) -> Result<()> {
    if gateway.is_some_and(|address| !address.ip().is_loopback()) {
        config.gateway.auth = Auth::Key;
        if config.tls.gateway.is_none() {
            warn!(
                "the gateway's callers send their keys unencrypted: set tls.gateway, or end TLS in front of it"
            );
        }
    }
    match parts {
        Some(address)
            if !address.ip().is_loopback() && config.tls.mesh.is_none() && !config.allow_plaintext =>
        {
            bail!(
                "the parts would answer on {address} without encryption and believe every caller: set tls.mesh, listen \
                 on a loopback address, or set allow_plaintext = true if only the mesh can reach that network"
            )
        }
        _ => Ok(()),
    }
}

/// What stands under the parts; the store and its first tenant only where storage runs.
async fn ground(config: Config, names: &[&str]) -> Result<(Ground, Option<String>)> {
    let mut ground = Ground {
        slots: slots(&config, names),
        config,
        database: None,
        clock: Arc::new(SystemClock),
        rng: Arc::new(Mutex::new(seeded_rng())),
        schedulers: None,
        address: String::new(),
    };
    if !names.contains(&"storage") {
        return Ok((ground, None));
    }
    let database = Database::open(&ground.config).await?;
    let first_key = ensure_default_tenant(&*database.store(), &SystemClock, &mut seeded_rng()).await?;
    ground.database = Some(database);
    Ok((ground, first_key))
}

type Wires = BTreeMap<&'static str, Wire>;

/// The parts of this process, and the wires to all parts: without a socket to those, over one to those that are
/// somewhere else.
fn build(ground: &Ground, elsewhere: &Elsewhere, names: &[&str]) -> Result<(Vec<Part>, Wires)> {
    let is_needed = |name: &str| {
        names.contains(&GATEWAY)
            || PARTS.iter().any(|row| names.contains(&row.name) && row.needs.contains(&name))
    };
    let mut parts = Vec::with_capacity(PARTS.len());
    let mut wires = Wires::new();
    for row in PARTS {
        if names.contains(&row.name) {
            let needs =
                Needs::met(row.needs, &wires).and_schedulers(every_scheduler(elsewhere, names, &wires)?);
            let part = (row.build)(ground, &needs).with_context(|| format!("cannot start {}", row.name))?;
            wires.insert(row.name, part.wire_knowing(ground.config.limits, METHODS));
            parts.push(part);
        } else if is_needed(row.name) {
            wires.insert(row.name, elsewhere.wire(row.name)?);
        }
    }
    Ok((parts, wires))
}

/// Every scheduler by itself, where workers may find more than the one in this process.
fn every_scheduler(
    elsewhere: &Elsewhere,
    names: &[&str],
    wires: &Wires,
) -> Result<Option<tidemill_worker::Schedulers>> {
    let near = wires.get("scheduling").filter(|_| names.contains(&"scheduling"));
    Ok(match (elsewhere.every_scheduler()?, near) {
        (Some(far), Some(near)) => Some(far.and_near(near.clone())),
        (far, _) => far,
    })
}

/// The slots of this process' workers, to be set by its scheduler, if it is to.
fn slots(config: &Config, names: &[&str]) -> BTreeMap<&'static str, watch::Sender<u32>> {
    let is_near = config.scheduling.scaling.pools && names.contains(&"scheduling");
    let workers = [
        ("analysers", "analysis", config.analysis.worker.slots),
        ("collectors", "ingestion", config.ingestion.collectors),
    ];
    let own = workers.into_iter().filter(|(_, part, _)| is_near && names.contains(part));
    own.map(|(component, _, slots)| (component, watch::Sender::new(slots))).collect()
}

/// The services of these parts, with health and reflection.
async fn switchboard(
    names: impl Iterator<Item = &'static str>,
    wires: &Wires,
) -> Result<(Switchboard, Serving)> {
    let mut services = BTreeMap::new();
    for (name, wire) in names.filter_map(|name| Some((name, wires.get(name)?))) {
        services.extend(tidemill_proto::services_of(name).map(|service| (service, wire.clone())));
    }
    let served: Vec<&'static str> = services.keys().copied().collect();
    let (meta_wire, serving) =
        meta::wire(&served, tidemill_proto::DESCRIPTORS).await.map_err(|fault| anyhow!(fault))?;
    services.extend(meta::SERVICES.map(|name| (name, meta_wire.clone())));
    let services = services.into_iter().map(|(name, wire)| (name.to_owned(), wire));
    Ok((Switchboard::new(services), serving))
}

/// The gateway over the services of all parts.
async fn gateway_over(ground: &Ground, wires: &Wires, stop: CancellationToken) -> Result<(Gateway, Serving)> {
    let (switchboard, serving) = switchboard(PARTS.iter().map(|row| row.name), wires).await?;
    let keys = TenantStoreServiceClient::new(Needs::met(&["storage"], wires).wire("storage"));
    let (clock, rng) = (ground.clock.clone(), seeded_rng());
    let deps = tidemill_gateway::Deps { switchboard, keys, clock, rng, stop };
    Ok((tidemill_gateway::build(ground.config.gateway.clone(), deps)?, serving))
}

impl Mesh {
    /// Lets Ctrl-C and SIGTERM stop it: it says that it does not serve and leaves Consul's catalog first, so that nobody
    /// calls what drains. The second signal ends everything at once.
    pub(crate) fn on_signals(&mut self) -> io::Result<()> {
        let (registrations, serving) =
            (std::mem::take(&mut self.registrations), std::mem::take(&mut self.serving));
        self.shutdown.on_signals(leave(serving, registrations))
    }

    /// Waits until it is to stop, then lets what runs finish. Returns whether it did in time.
    pub(crate) async fn until_stopped(self) -> bool {
        self.shutdown.soft().cancelled().await;
        leave(self.serving, self.registrations).await;
        let drained = self.shutdown.drain(self.grace).await;
        if let Some(database) = self.database {
            database.close().await;
        }
        drained
    }
}

/// Tells those who ask and those who follow Consul that nobody new should come.
async fn leave(serving: Vec<Serving>, registrations: Vec<Registration>) {
    for health in serving {
        health.stop().await;
    }
    Registration::leave_all(registrations).await;
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

    #[test]
    fn every_part_can_be_chosen_and_has_services() {
        assert!(PARTS.iter().map(|row| row.name).eq(NAMES.into_iter().filter(|name| *name != GATEWAY)));
        assert!(PARTS.iter().all(|row| tidemill_proto::services_of(row.name).next().is_some()));
    }

    #[test]
    fn off_loopback_a_gateway_asks_for_keys_and_parts_must_be_allowed() {
        let (anywhere, mut config) = (SocketAddr::from(([0, 0, 0, 0], 1)), Config::default());
        assert!(
            secure(&mut config, None, Some(anywhere)).unwrap_err().to_string().contains("allow_plaintext")
        );
        assert_eq!(config.gateway.auth, Auth::Open);
        config.tls.mesh = Some(TlsConfig::default());
        secure(&mut config, None, Some(anywhere)).unwrap();
        (config.tls.mesh, config.allow_plaintext) = (None, true);
        secure(&mut config, Some(anywhere), Some(anywhere)).unwrap();
        assert_eq!(config.gateway.auth, Auth::Key);
    }
}
