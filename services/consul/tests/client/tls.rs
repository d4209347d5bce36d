//! HTTPS, with the real agent and certificates made for the test.

use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tidemill_consul::{Client, Config, Error, Tls};
use tidemill_tests::harness::consul::Agent;

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

fn config(agent: &Agent, tls: Tls) -> Result<Config> {
    Ok(Config { tls, ..Config::at(agent.https_url().context("no HTTPS port")?) })
}

#[tokio::test]
async fn an_agent_with_a_certificate_of_our_authority_is_trusted_and_any_other_is_not() -> Result<()> {
    let home = tempfile::tempdir()?;
    write_certificates(home.path())?;
    let file = |name: &str| home.path().join(name);
    let files = format!(
        "ca_file = {:?} cert_file = {:?} key_file = {:?} verify_incoming_https = true",
        file("ca.pem"),
        file("cert.pem"),
        file("key.pem")
    );
    let Some(agent) = Agent::start_tls(home.path(), &["-hcl", &files]).await? else { return Ok(()) };

    let mut tls = Tls {
        ca_file: Some(file("ca.pem")),
        cert_file: Some(file("cert.pem")),
        key_file: Some(file("key.pem")),
    };
    assert!(Client::new(&config(&agent, tls.clone())?)?.status().leader().await?.is_some());

    (tls.cert_file, tls.key_file) = (None, None);
    let nameless = Client::new(&config(&agent, tls)?)?.status().leader().await.unwrap_err();
    assert!(matches!(nameless, Error::Unreachable { .. }), "{nameless}");

    let other = tempfile::tempdir()?;
    write_certificates(other.path())?;
    let tls = Tls { ca_file: Some(other.path().join("ca.pem")), ..Tls::default() };
    let stranger = Client::new(&config(&agent, tls)?)?.status().leader().await.unwrap_err();
    assert!(stranger.to_string().contains("certificate"), "{stranger}");
    Ok(())
}
