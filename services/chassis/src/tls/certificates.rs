//! The certificates in use: read from files, and again once these have changed.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio_rustls::TlsConnector;
use tracing::{info, warn};

use super::files::{self, Settings};
use super::{Error, TlsConfig};
use crate::clock::Stopwatch;

/// How often the files are looked at, at most; only when a connection is made.
const LOOK: Duration = Duration::from_secs(1);

/// The certificates of a configuration. Clones share them.
#[derive(Debug, Clone)]
pub struct Certificates(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: TlsConfig,
    server_name: Option<ServerName<'static>>,
    read: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    looked: Stopwatch,
    stamps: Vec<Stamp>,
    settings: Settings,
}

/// What tells that a file has changed: its time and its length; `None` when it cannot be seen.
type Stamp = Option<(SystemTime, u64)>;

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, is not what it should be, or certificate and key do not belong together.
    pub fn load(config: TlsConfig) -> Result<Self, Error> {
        let server_name = config.server_name.clone().map(ServerName::try_from).transpose();
        let server_name = server_name.map_err(|fault: InvalidDnsNameError| Error::Setting {
            setting: "server_name",
            reason: format!("{fault}; expected a host name or an address"),
        })?;
        let (stamps, settings) = (stamps(&config), files::read(&config)?);
        let read = Mutex::new(Read { looked: Stopwatch::start(), stamps, settings });
        Ok(Self(Arc::new(Shared { config, server_name, read })))
    }

    /// The server's settings now; `None` where there is no certificate to show.
    pub(super) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.settings().server
    }

    /// The client's side now.
    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.settings().client)
    }

    /// The name that a server at this host must have.
    pub(super) fn name_of(&self, host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
        match &self.0.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host.trim_matches(['[', ']']).to_owned()),
        }
    }

    /// Whether every server has the same name, whatever the host that it is called at.
    pub fn has_server_name(&self) -> bool {
        self.0.server_name.is_some()
    }

    fn settings(&self) -> Settings {
        let mut read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.looked.elapsed() >= LOOK {
            read.look_again(&self.0.config);
        }
        read.settings.clone()
    }

    /// Looks at the files now, however short ago that was done.
    #[cfg(test)]
    pub(super) fn look_again(&self) {
        self.0.read.lock().unwrap().look_again(&self.0.config);
    }
}

impl Read {
    fn look_again(&mut self, config: &TlsConfig) {
        self.looked = Stopwatch::start();
        let stamps = stamps(config);
        if stamps == self.stamps {
            return;
        }
        // A fault is said once for each state of the files: half of a change is mended by its other half.
        self.stamps = stamps;
        match files::read(config) {
            Ok(settings) => {
                info!("new certificates are used from now on");
                self.settings = settings;
            }
            Err(fault) => warn!(%fault, "changed certificates cannot be used: the former ones still are"),
        }
    }
}

fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    let files = [Some(config.cert_file.as_path()), Some(&config.key_file), config.ca_file.as_deref()];
    files.into_iter().flatten().map(stamp).collect()
}

fn stamp(file: &Path) -> Stamp {
    let metadata = file.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
