//! The configuration of a mesh: defaults, then `tidemill.toml` (or `--config FILE`), then the environment
//! (`TIDEMILL_STORE__PATH` is `store.path`), then flags. Unknown keys are refused.

mod clients;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use tidemill_chassis::discovery::consul::ConsulConfig;
use tidemill_chassis::layers::ServerLimits;
use tidemill_chassis::server::Connections;
use tidemill_chassis::telemetry::TelemetryConfig;
use tidemill_chassis::tls::TlsConfig;
use tidemill_postgres::PostgresConfig;
use tidemill_sqlite::SqliteConfig;

use crate::compose::Peers;
pub(crate) use clients::Clients;

/// The file that is read when it is there and no other is named.
const FILE: &str = "tidemill.toml";

/// Variables of this prefix that are not configuration: the client's, the tests', the benchmarks'.
const NOT_OURS: [&str; 19] = [
    "server",
    "ca",
    "key",
    "tenant",
    "shared",
    "config",
    "slow",
    "tools",
    "buf",
    "grpcurl",
    "rotel",
    "promtool",
    "pgbouncer",
    "seed",
    "bench",
    "data",
    "port",
    "slots",
    "keep",
];

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where the one port is; 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// What is logged, in `tracing`'s filter syntax.
    pub(crate) log: String,
    /// How long a stopping mesh waits for what runs, in milliseconds.
    pub(crate) grace_ms: u64,
    /// Where the other parts of a process answer other processes, when `listen` is its gateway's; not at all when unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parts_listen: Option<SocketAddr>,
    /// Whether parts may answer other processes without encryption on an address that is not loopback.
    pub(crate) allow_plaintext: bool,
    /// Certificates.
    #[serde(skip_serializing_if = "Tls::is_off")]
    pub(crate) tls: Tls,
    /// Where the parts of other processes are.
    pub(crate) discovery: Discovery,
    /// How the parts of other processes are called.
    pub(crate) client: Box<Clients>,
    /// Where traces go.
    pub(crate) telemetry: TelemetryConfig,
    /// The bounds of each part.
    pub(crate) limits: ServerLimits,
    /// How long connections to this process may live, and how silent ones are noticed.
    pub(crate) connections: Connections,
    /// The data folder.
    pub(crate) store: SqliteConfig,
    /// The PostgreSQL server, instead of the data folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres: Option<PostgresConfig>,
    /// The storage service.
    pub(crate) storage: tidemill_storage::Config,
    /// The scheduling service.
    pub(crate) scheduling: tidemill_scheduling::Config,
    /// The ingestion service.
    pub(crate) ingestion: tidemill_ingestion::Config,
    /// The analysis service.
    pub(crate) analysis: tidemill_analysis::Config,
    /// The gateway.
    pub(crate) gateway: tidemill_gateway::Config,
}

/// How the parts of other processes are found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Discovery {
    /// By a fixed list.
    pub(crate) fixed: Peers,
    /// By Consul, for the parts that are not in the list; the parts of this process are registered there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) consul: Option<ConsulConfig>,
}

/// What is encrypted.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// The calls between parts: each shows a certificate that the mesh's authority has signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mesh: Option<TlsConfig>,
    /// The gateway's port, for clients, which have keys instead of certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<TlsConfig>,
}

impl Tls {
    fn is_off(&self) -> bool {
        self.mesh.is_none() && self.gateway.is_none()
    }

    fn check(&self) -> Option<&'static str> {
        if self.mesh.as_ref().is_some_and(|mesh| mesh.ca_file.is_none()) {
            return Some(
                "tls.mesh.ca_file: it is missing; name the file of the authority that signs the mesh's certificates",
            );
        }
        let has_more = |gateway: &TlsConfig| gateway.ca_file.is_some() || gateway.server_name.is_some();
        let is_wrong = self.gateway.as_ref().is_some_and(has_more);
        is_wrong
            .then_some("tls.gateway: it has cert_file and key_file only; its callers are known by their keys")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            log: "warn".to_owned(),
            grace_ms: 15_000,
            parts_listen: None,
            allow_plaintext: false,
            tls: Tls::default(),
            discovery: Discovery::default(),
            client: Box::default(),
            telemetry: TelemetryConfig::default(),
            limits: ServerLimits::default(),
            connections: Connections::default(),
            store: SqliteConfig::default(),
            postgres: None,
            storage: tidemill_storage::Config::default(),
            scheduling: tidemill_scheduling::Config::default(),
            ingestion: tidemill_ingestion::Config::default(),
            analysis: tidemill_analysis::Config::default(),
            gateway: tidemill_gateway::Config::default(),
        }
    }
}

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Configuration")]
pub(crate) struct Flags {
    /// The configuration file; `tidemill.toml` in this folder when it is there
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// A PostgreSQL server to keep the data in, instead of a folder: postgres://user@host:port/database
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub(crate) postgres: Option<String>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Consul's agent, by which the parts of several processes find each other: http://host:port
    #[arg(long, value_name = "URL")]
    pub(crate) consul: Option<String>,
    /// What to log, for example `info` or `warn,tidemill_scheduling=debug`
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// The configuration in effect.
pub(crate) fn load(flags: &Flags) -> Result<Config> {
    let mut figment = Figment::from(Serialized::defaults(Config::default()));
    match &flags.config {
        Some(file) if !file.is_file() => {
            bail!("--config {}: there is no such file; check the path", file.display())
        }
        Some(file) => figment = figment.merge(Toml::file_exact(file)),
        None if Path::new(FILE).is_file() => figment = figment.merge(Toml::file_exact(FILE)),
        None => {}
    }
    figment = figment.merge(Env::prefixed("TIDEMILL_").ignore(&NOT_OURS).split("__"));
    if let Some(data) = &flags.data {
        figment = figment.merge(Serialized::default("store.path", data));
    }
    if let Some(url) = &flags.postgres {
        figment = figment.merge(Serialized::default("postgres.url", url));
    }
    if let Some(agent) = &flags.consul {
        figment = figment.merge(Serialized::default("discovery.consul.address", agent));
    }
    if let Some(listen) = flags.listen {
        figment = figment.merge(Serialized::default("listen", listen));
    }
    if let Some(log) = &flags.log {
        figment = figment.merge(Serialized::default("log", log));
    }
    let config: Config = figment.extract().map_err(|faults| {
        let faults = faults.into_iter().map(|fault| fault.to_string()).collect::<Vec<_>>();
        anyhow!("the configuration is wrong: {}; `tidemill config dump` shows every key", faults.join("; "))
    })?;
    config.check()?;
    Ok(config)
}

impl Config {
    /// The defaults, with what is off by default on.
    pub(crate) fn whole() -> Self {
        let discovery = Discovery { consul: Some(ConsulConfig::default()), ..Discovery::default() };
        let gateway =
            TlsConfig { cert_file: "cert.pem".into(), key_file: "key.pem".into(), ..TlsConfig::default() };
        let mesh = TlsConfig { ca_file: Some("ca.pem".into()), ..gateway.clone() };
        let tls = Tls { mesh: Some(mesh), gateway: Some(gateway) };
        Self { postgres: Some(PostgresConfig::default()), discovery, tls, ..Self::default() }
    }

    /// Refuses what no part could work with, all of it at once.
    fn check(&self) -> Result<()> {
        let faults = [
            self.limits.check().err(),
            self.connections.check().err(),
            self.scheduling.check().err().map(|fault| fault.to_string()),
            self.ingestion.check().err().map(|fault| fault.to_string()),
            self.analysis.check().err().map(|fault| fault.to_string()),
            self.tls.check().map(str::to_owned),
            self.discovery
                .consul
                .as_ref()
                .and_then(|consul| consul.check().err())
                .map(|fault| fault.to_string()),
        ];
        let faults: Vec<String> = faults.into_iter().flatten().chain(self.client.faults()).collect();
        if !faults.is_empty() {
            bail!("{}", faults.join("; "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Result<Config> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("a.toml");
        std::fs::write(&file, text)?;
        load(&Flags { config: Some(file), data: Some("elsewhere".into()), ..Flags::default() })
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let config = from("log = \"info\"\n[store]\npath = \"here\"\nreaders = 2\n").unwrap();
        assert_eq!((config.log.as_str(), config.store.readers), ("info", 2));
        assert_eq!(config.store.path, PathBuf::from("elsewhere"));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let fault = from("[store]\npaht = \"here\"\n").unwrap_err().to_string();
        assert!(fault.contains("paht"), "{fault}");
    }

    #[test]
    fn what_no_part_could_work_with_is_named_all_of_it() {
        let text = "[ingestion]\nbatch_documents = 0\n[analysis]\nset_aside_ms = 0\n";
        let fault = from(text).unwrap_err().to_string();
        assert!(fault.contains("batch_documents") && fault.contains("set_aside_ms"), "{fault}");
    }

    #[test]
    fn what_is_dumped_reads_back() {
        let text = toml::to_string_pretty(&Config::default()).unwrap();
        let read: Config = toml::from_str(&text).unwrap();
        assert_eq!(toml::to_string_pretty(&read).unwrap(), text);
    }
}
