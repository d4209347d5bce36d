//! PostgreSQL over TLS with an authority of one's own: who it signed for is trusted, nobody else is.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tidemill_kernel::ErrorKind;
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::TenantStore;
use tidemill_tests::harness::postgres::Server;

/// An authority's certificate, and the certificate and key of a server that it signed for these names.
fn signed(folder: &Path, names: &[&str]) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    fs::write(folder.join("ca.pem"), authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let server = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("server.pem"), server.pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    // PostgreSQL takes a key that only its own user can read.
    fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        chown(folder.join("server.key"), Some(65_534), Some(65_534)).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test]
async fn a_server_is_trusted_by_its_authority_and_its_name_only() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    signed(folder.path(), &["localhost"]);
    signed(other.path(), &["localhost"]);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let settings = format!(
        "fsync = off\nssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'",
        file("server.pem"),
        file("server.key")
    );
    let Some(server) = Server::start(&settings).unwrap() else { return };
    server.psql("CREATE DATABASE mesh").unwrap();
    let config = |host: &str, authority: &Path| PostgresConfig {
        url: format!(
            "postgres://postgres@{host}:{}/mesh?sslmode=verify-full&sslrootcert={}",
            server.port(),
            authority.join("ca.pem").display()
        ),
        ..PostgresConfig::default()
    };
    let store = PostgresStore::connect(config("localhost", folder.path())).await.unwrap();
    store.store_id().await.unwrap();
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                     WHERE application_name = 'tidemill'";
    assert_eq!(server.psql(encrypted).unwrap(), "t");

    for (host, authority, what) in
        [("localhost", other.path(), "another authority"), ("127.0.0.1", folder.path(), "another name")]
    {
        let refused = PostgresStore::connect(config(host, authority)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{what}: {refused}");
        assert!(refused.to_string().contains("`sslrootcert`"), "{what}: {refused}");
    }
}
