//! The client's TLS: rustls with ring, named explicitly, so that it depends on nothing that the process has installed.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::{Error, Tls};

/// The TLS settings for an agent. Plain HTTP gets settings that trust nobody, since nothing will be verified.
pub(crate) fn client_config(tls: &Tls, is_https: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|fault| refuse("tls", &fault))?;
    let verified = match &tls.ca_file {
        Some(file) => builder.with_root_certificates(authorities(file)?),
        None if is_https => {
            builder.with_platform_verifier().map_err(|fault| refuse("tls.ca_file", &fault))?
        }
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    with_identity(verified, tls)
}

fn authorities(file: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("tls.ca_file", file)? {
        roots.add(certificate).map_err(|fault| refuse_file("tls.ca_file", file, &fault))?;
    }
    Ok(roots)
}

fn with_identity(
    builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    tls: &Tls,
) -> Result<ClientConfig, Error> {
    match (&tls.cert_file, &tls.key_file) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert_file), Some(key_file)) => {
            let chain = certificates("tls.cert_file", cert_file)?;
            let key = PrivateKeyDer::from_pem_file(key_file)
                .map_err(|fault| refuse_file("tls.key_file", key_file, &fault))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|fault| refuse_file("tls.key_file", key_file, &fault))
        }
        _ => Err(refuse("tls.cert_file", &"a certificate and its key belong together: set both, or neither")),
    }
}

fn certificates(setting: &'static str, file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|fault| refuse_file(setting, file, &fault))?;
    if found.is_empty() {
        return Err(refuse_file(setting, file, &"there is no certificate in it; expected PEM"));
    }
    Ok(found)
}

fn refuse_file(setting: &'static str, file: &Path, fault: &dyn std::fmt::Display) -> Error {
    Error::Config { setting, reason: format!("{}: {fault}", file.display()) }
}

fn refuse(setting: &'static str, fault: &dyn std::fmt::Display) -> Error {
    Error::Config { setting, reason: fault.to_string() }
}
