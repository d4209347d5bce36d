//! A collector that is reached over TLS: believed by its authority, and not believed without.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tidemill_tests::harness::collector::{self, Collector};
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::poll;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::stage;

/// Ends TLS in front of `behind`; the port, and the authority in a file below `home`.
async fn terminator(home: &Path, behind: String) -> Result<(u16, std::path::PathBuf)> {
    let authority_key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key)?;
    let file = home.join("authority.pem");
    std::fs::write(&file, authority.pem())?;
    let key = KeyPair::generate()?;
    let issuer = Issuer::new(params, authority_key);
    let certificate = CertificateParams::new(vec!["localhost".to_owned()])?.signed_by(&key, &issuer)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let mut outer = acceptor.accept(stream).await?;
                copy_bidirectional(&mut outer, &mut TcpStream::connect(behind).await?).await
            });
        }
    });
    Ok((port, file))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_over_tls_is_told_where_its_authority_is_known_and_not_elsewhere() -> Result<()> {
    let home = tempfile::tempdir()?;
    let Some(collector) = Collector::start(home.path()).await? else { return Ok(()) };
    let (port, authority) = terminator(home.path(), collector.address()).await?;
    let strangers = collector::environment(&format!("https://localhost:{port}"));
    let mut friends = strangers.clone();
    friends.push(("OTEL_EXPORTER_OTLP_CERTIFICATE".to_owned(), authority.display().to_string()));
    friends.push(("OTEL_SERVICE_NAME".to_owned(), "friend".to_owned()));
    let (mut traces, mut said) = (Vec::new(), String::new());
    for environment in [strangers, friends] {
        let folder = tempfile::tempdir_in(home.path())?;
        let mut ground = Ground::bare_folder(folder.path());
        ground.environment = environment;
        let mesh = Mesh::on(ground, Wiring::OneProcess).await?;
        let query = json!({"name": "t", "expression": "tide"});
        traces.push(stage::post(&stage::client(), &format!("{}/v1/queries", mesh.url()), &query).await?);
        said.push_str(&mesh.stop()?.log("up"));
    }
    let limit = std::time::Duration::from_secs(30);
    let told = || async { (!collector.seen().trace(&traces[1]).is_empty()).then_some(()) };
    poll::until("the trace of whom the authority is known to", limit, told)
        .await
        .with_context(|| said.clone())?;
    let seen = collector.seen();
    ensure!(seen.spans.iter().all(|span| span.service == "friend"), "{:#?}", seen.spans);
    ensure!(said.matches("the collector does not take it").count() == 2, "each signal is told once: {said}");
    Ok(())
}
