//! TLS on every port: certificates between the parts, HTTPS for clients, the health probes of Consul.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};

/// Writes `ca.pem`, and a certificate for 127.0.0.1 that it signed, into the folder.
fn write_certificates(folder: &Path) -> Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;
    std::fs::write(folder.join("ca.pem"), issuer.pem())?;
    std::fs::write(folder.join("cert.pem"), certificate.pem())?;
    std::fs::write(folder.join("key.pem"), key.serialize_pem())?;
    Ok(())
}

/// The settings by which every port of a mesh speaks TLS with these files.
fn settings(folder: &Path) -> Result<Vec<(String, String)>> {
    let path = |file: &str| Some(folder.join(file).to_str()?.to_owned());
    let mut settings = Vec::new();
    for (name, file) in [
        ("TIDEMILL_TLS__MESH__CERT_FILE", "cert.pem"),
        ("TIDEMILL_TLS__MESH__KEY_FILE", "key.pem"),
        ("TIDEMILL_TLS__MESH__CA_FILE", "ca.pem"),
        ("TIDEMILL_TLS__GATEWAY__CERT_FILE", "cert.pem"),
        ("TIDEMILL_TLS__GATEWAY__KEY_FILE", "key.pem"),
        ("TIDEMILL_CA", "ca.pem"),
    ] {
        settings.push((name.to_owned(), path(file).context("a path that is no text")?));
    }
    Ok(settings)
}

async fn documents_pass_encrypted(wiring: Wiring) -> Result<()> {
    let home = tempfile::tempdir()?;
    write_certificates(home.path())?;
    let mut ground = Ground::of(wiring, home.path()).await?;
    ground.environment = settings(home.path())?;
    let mesh = Mesh::on(ground, wiring).await?;
    ensure!(mesh.url().starts_with("https://"), "{}", mesh.url());
    mesh.tidemill(&["query", "add", "tides", "tide"])?;
    let path = home.path().join("one.jsonl");
    std::fs::write(&path, "{\"body\":\"the tide turns\"}\n")?;
    mesh.tidemill(&["push", &path.to_string_lossy()])?;
    let counts = mesh.until_analysed().await?;
    ensure!((counts.documents, counts.matches) == (1, 1), "{counts:?}");

    let plain = mesh.command(&["status", "--server", &mesh.url().replacen("https", "http", 1)])?.output()?;
    ensure!(!plain.status.success(), "a port with TLS answered without");
    let stranger = mesh.command(&["status"])?.env_remove("TIDEMILL_CA").output()?;
    let said = String::from_utf8_lossy(&stranger.stderr);
    ensure!(stranger.status.code() == Some(3) && said.contains("certificate"), "{said}");
    mesh.stop()?;
    Ok(())
}

#[tokio::test]
async fn documents_pass_encrypted_in_one_process() -> Result<()> {
    documents_pass_encrypted(Wiring::OneProcess).await
}

#[tokio::test]
async fn documents_pass_encrypted_in_many_processes() -> Result<()> {
    documents_pass_encrypted(Wiring::ManyProcesses).await
}
