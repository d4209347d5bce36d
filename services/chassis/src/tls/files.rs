//! Reads certificates and keys from PEM files into rustls' settings.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};
use rustls_platform_verifier::BuilderVerifierExt;

use super::{Error, TlsConfig};

/// HTTP/2 before HTTP/1.1 (RFC 7301).
const SERVED: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What both sides of connections use.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// `None` where there is no certificate to show.
    pub(super) server: Option<Arc<ServerConfig>>,
    pub(super) client: Arc<ClientConfig>,
}

/// Reads the files of a configuration.
pub(super) fn read(config: &TlsConfig) -> Result<Settings, Error> {
    let roots = config.ca_file.as_deref().map(authorities).transpose()?;
    let is_anonymous = config.cert_file.as_os_str().is_empty() && config.key_file.as_os_str().is_empty();
    let identity = if is_anonymous { None } else { Some(identity(config)?) };
    let server = identity.as_ref().map(|identity| server(config, identity, roots.clone())).transpose()?;
    Ok(Settings { server, client: Arc::new(client(config, identity, roots)?) })
}

/// A certificate, those between it and its authority, and its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

fn identity(config: &TlsConfig) -> Result<Identity, Error> {
    let chain = certificates("cert_file", &config.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&config.key_file)
        .map_err(|fault| refuse("key_file", &config.key_file, &format!("{fault}; expected a key in PEM")))?;
    Ok(Identity { chain, key })
}

fn server(
    config: &TlsConfig,
    identity: &Identity,
    roots: Option<RootCertStore>,
) -> Result<Arc<ServerConfig>, Error> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|fault| setting("tls", &fault))?;
    let builder = match roots {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            // Who shows none is let in as far as the guard: a probe for health has no certificate.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
                .allow_unauthenticated()
                .build()
                .map_err(|fault| setting("ca_file", &fault))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut server = builder
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(|fault| refuse("key_file", &config.key_file, &fault))?;
    server.alpn_protocols = SERVED.map(<[u8]>::to_vec).into();
    Ok(Arc::new(server))
}

fn client(
    config: &TlsConfig,
    identity: Option<Identity>,
    roots: Option<RootCertStore>,
) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|fault| setting("tls", &fault))?;
    let verified: ConfigBuilder<ClientConfig, WantsClientCert> = match roots {
        Some(roots) => builder.with_root_certificates(roots),
        None => builder.with_platform_verifier().map_err(|fault| setting("ca_file", &fault))?,
    };
    let mut client = match identity {
        None => verified.with_no_client_auth(),
        Some(Identity { chain, key }) => verified
            .with_client_auth_cert(chain, key)
            .map_err(|fault| refuse("key_file", &config.key_file, &fault))?,
    };
    client.alpn_protocols = vec![SERVED[0].to_vec()];
    Ok(client)
}

fn authorities(file: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("ca_file", file)? {
        roots.add(certificate).map_err(|fault| refuse("ca_file", file, &fault))?;
    }
    Ok(roots)
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found =
        read.map_err(|fault| refuse(setting, file, &format!("{fault}; expected certificates in PEM")))?;
    if found.is_empty() {
        return Err(refuse(setting, file, &"there is no certificate in it; expected PEM"));
    }
    Ok(found)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn refuse(setting: &'static str, file: &Path, fault: &dyn std::fmt::Display) -> Error {
    Error::File { setting, file: file.to_owned(), reason: fault.to_string() }
}

fn setting(setting: &'static str, fault: &dyn std::fmt::Display) -> Error {
    Error::Setting { setting, reason: fault.to_string() }
}
