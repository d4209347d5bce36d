//! TLS over loopback sockets, with certificates made for the test.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use http::{Request, Response};
use hyper::body::Incoming;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::ServiceExt;

use super::*;
use crate::discovery::{Address, Follow, Instance};
use crate::remote::{RemoteConfig, following};
use crate::server::Transport;
use crate::{Wire, server};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate for this name and the authority that is to be believed.
fn write(folder: &Path, name: &str, signer: &Authority, believed: &Authority) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, signer).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("ca.pem"), believed.pem()).unwrap();
}

fn config(folder: &Path) -> TlsConfig {
    let file = |name: &str| folder.join(name);
    TlsConfig {
        cert_file: file("cert.pem"),
        key_file: file("key.pem"),
        ca_file: Some(file("ca.pem")),
        server_name: None,
    }
}

/// A folder with a certificate for 127.0.0.1.
fn folder(authority: &Authority) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "127.0.0.1", authority, authority);
    folder
}

/// A guarded server that answers everything, until the guard is dropped.
async fn serving(certificates: &Certificates) -> (Address, DropGuard) {
    let listener = server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let address = listener.local_addr().unwrap().to_string().parse().unwrap();
    let service = tower::service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Status::new(Code::Ok, "").into_http::<Body>())
    });
    let stop = CancellationToken::new();
    let transport = Transport { certificates: Some(certificates.clone()), ..Transport::default() };
    tokio::spawn(server::serve_over(listener, transport, Guard::before(service), stop.clone()));
    (address, stop.drop_guard())
}

/// A new wire, which makes a connection of its own.
fn wire(address: &Address, config: TlsConfig) -> Wire {
    let tls = Some(Certificates::load(config).unwrap());
    let follow = Follow::always(vec![Instance::at(address.clone())]);
    following("echo", follow, RemoteConfig { tls, ..RemoteConfig::default() })
}

async fn call(wire: &Wire, path: &str) -> Status {
    let request = Request::post(path).body(Body::empty()).unwrap();
    let response: Response<Body> = wire.clone().oneshot(request).await.unwrap();
    Status::from_header_map(response.headers()).unwrap()
}

const SAY: &str = "/echo.v1.Echo/Say";

#[tokio::test]
async fn holders_of_a_certificate_call_everything_and_strangers_ask_for_health_only() {
    let authority = authority();
    let folder = folder(&authority);
    let (address, _server) = serving(&Certificates::load(config(folder.path())).unwrap()).await;
    assert_eq!(call(&wire(&address, config(folder.path())), SAY).await.code(), Code::Ok);

    let nameless = TlsConfig { cert_file: PathBuf::new(), key_file: PathBuf::new(), ..config(folder.path()) };
    let nameless = wire(&address, nameless);
    let refused = call(&nameless, SAY).await;
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(refused.message().contains("certificate"), "{refused}");
    assert_eq!(call(&nameless, "/grpc.health.v1.Health/Check").await.code(), Code::Ok);
}

#[tokio::test]
async fn a_server_of_another_authority_or_name_is_not_believed_nor_is_such_a_caller() {
    let (ours, theirs) = (authority(), authority());
    let (here, there) = (folder(&ours), folder(&theirs));
    let (address, _server) = serving(&Certificates::load(config(here.path())).unwrap()).await;

    let fault = call(&wire(&address, config(there.path())), SAY).await;
    assert!(fault.code() == Code::Unavailable && fault.message().contains("certificate"), "{fault}");

    write(there.path(), "127.0.0.1", &theirs, &ours);
    let fault = call(&wire(&address, config(there.path())), SAY).await;
    assert_eq!(fault.code(), Code::Unavailable, "{fault}");

    let named = |name: &str| TlsConfig { server_name: Some(name.to_owned()), ..config(here.path()) };
    let fault = call(&wire(&address, named("mesh.example")), SAY).await;
    assert!(fault.code() == Code::Unavailable && fault.message().contains("certificate"), "{fault}");
    write(here.path(), "mesh.example", &ours, &ours);
    let (address, _server) = serving(&Certificates::load(config(here.path())).unwrap()).await;
    assert_eq!(call(&wire(&address, named("mesh.example")), SAY).await.code(), Code::Ok);
}

#[tokio::test]
async fn changed_files_are_used_by_the_next_connection_and_broken_ones_are_not() {
    let (old, new) = (authority(), authority());
    let (here, there) = (folder(&old), folder(&new));
    let certificates = Certificates::load(config(here.path())).unwrap();
    let (address, _server) = serving(&certificates).await;
    let stranger = || call_once(&address, config(there.path()));
    assert_eq!(stranger().await.code(), Code::Unavailable);

    let key = std::fs::read(here.path().join("key.pem")).unwrap();
    std::fs::write(here.path().join("key.pem"), "half a key, and longer than it was before").unwrap();
    certificates.look_again();
    assert_eq!(call_once(&address, config_of(&here, &old)).await.code(), Code::Ok);
    std::fs::write(here.path().join("key.pem"), key).unwrap();

    write(here.path(), "127.0.0.1", &new, &new);
    certificates.look_again();
    assert_eq!(stranger().await.code(), Code::Ok);
}

/// A configuration whose files are whole, though those of `folder` may be broken: the same authority's, elsewhere.
fn config_of(folder: &TempDir, authority: &Authority) -> TlsConfig {
    let whole = folder.path().join("whole");
    std::fs::create_dir_all(&whole).unwrap();
    write(&whole, "127.0.0.1", authority, authority);
    config(&whole)
}

async fn call_once(address: &Address, config: TlsConfig) -> Status {
    call(&wire(address, config), SAY).await
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_setting() {
    let authority = authority();
    let here = folder(&authority);
    let told = |config: TlsConfig| Certificates::load(config).unwrap_err().to_string();
    let missing = told(TlsConfig { ca_file: Some("nowhere.pem".into()), ..config(here.path()) });
    assert!(missing.starts_with("ca_file nowhere.pem"), "{missing}");
    let keyless = told(TlsConfig { key_file: PathBuf::new(), ..config(here.path()) });
    assert!(keyless.starts_with("key_file"), "{keyless}");
    let swapped = told(TlsConfig { cert_file: here.path().join("key.pem"), ..config(here.path()) });
    assert!(swapped.starts_with("cert_file") && swapped.contains("PEM"), "{swapped}");
    let foreign = folder(&authority);
    let mixed = told(TlsConfig { key_file: foreign.path().join("key.pem"), ..config(here.path()) });
    assert!(mixed.starts_with("key_file"), "{mixed}");
    let name = told(TlsConfig { server_name: Some("a b".to_owned()), ..config(here.path()) });
    assert!(name.starts_with("server_name"), "{name}");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_never_shakes_hands_is_let_go() {
    use tokio::io::AsyncReadExt;
    let authority = authority();
    let folder = folder(&authority);
    let (address, _server) = serving(&Certificates::load(config(folder.path())).unwrap()).await;
    let mut client = tokio::net::TcpStream::connect(address.to_string()).await.unwrap();
    assert!(matches!(client.read(&mut [0; 1]).await, Err(_) | Ok(0)));
}
