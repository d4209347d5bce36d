//! Listens and serves: HTTP/1.1 and HTTP/2, with TLS or without, on one port, TCP_NODELAY on every socket, drained on request.

mod connections;
mod linger;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::{debug, warn};

pub use connections::Connections;
use connections::drive;
use linger::Lingering;

use crate::clock::seeded_rng;
use crate::sleep;
use crate::tls::{self, Certificates};

/// How long a connection may say nothing that tells which HTTP it speaks.
const PATIENCE: Duration = Duration::from_secs(15);
/// What an HTTP/2 connection begins with (RFC 9113, §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a drained server waits for its connections.
const GRACE: Duration = Duration::from_secs(10);

/// The port could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; {mend}")]
pub struct BindError {
    address: SocketAddr,
    source: std::io::Error,
    mend: &'static str,
}

impl BindError {
    /// Whether another process has the port.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::AddrInUse
    }
}

/// Takes the port, before anything else is begun.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| {
        let mend = match source.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process has this port: stop it, or choose another with --listen (port 0 takes a free one)"
            }
            std::io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher one",
            std::io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
            _ => "choose another address with --listen",
        };
        BindError { address, source, mend }
    })
}

/// Serves until the token is cancelled, then lets running calls finish for a while.
pub async fn serve<S, B>(listener: TcpListener, service: S, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    serve_over(listener, Transport::default(), service, stop).await;
}

/// What lies below the requests.
#[derive(Debug, Clone, Default)]
pub struct Transport {
    /// The certificates for TLS; without them connections are plain.
    pub certificates: Option<Certificates>,
    /// How connections live.
    pub connections: Connections,
}

/// The same over TLS where there are certificates. Requests carry what is known of their [`tls::Peer`] then.
pub async fn serve_over<S, B>(
    listener: TcpListener,
    transport: Transport,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (tracker, mut rng) = (TaskTracker::new(), seeded_rng());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let max_age = transport.connections.max_age(&mut rng);
                tracker.spawn(answer(stream, transport.clone(), service.clone(), max_age, stop.clone()));
            }
            Err(fault) => {
                // Out of file descriptors, most likely: taking a breath lets others close.
                warn!(%fault, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    tracker.close();
    tokio::select! {
        () = tracker.wait() => {}
        () = sleep(GRACE) => warn!("some connections did not end in time"),
    }
}

/// Serves one connection.
async fn answer<S, B>(
    stream: TcpStream,
    transport: Transport,
    service: S,
    max_age: Option<Duration>,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    send_at_once(&stream);
    let Transport { certificates, connections } = transport;
    let Some(certificates) = certificates else {
        if within_patience(has_begun(&stream), &stop).await == Some(true) {
            drive(Lingering::new(stream), service, connections, max_age, stop).await;
        }
        return;
    };
    match within_patience(tls::accept::accept(&certificates, Lingering::new(stream), PREFACE), &stop).await {
        Some(Ok((stream, peer))) => {
            let told = tower::util::MapRequest::new(service, move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(peer);
                request
            });
            drive(stream, told, connections, max_age, stop).await;
        }
        Some(Err(fault)) => debug!(%fault, "no TLS with a caller"),
        None => {}
    }
}

/// What a new connection begins with, unless it takes too long or the server stops.
async fn within_patience<T>(begin: impl Future<Output = T>, stop: &CancellationToken) -> Option<T> {
    tokio::select! {
        begun = begin => Some(begun),
        () = sleep(PATIENCE) => None,
        () = stop.cancelled() => None,
    }
}

/// Waits until a connection tells which HTTP it speaks, for which hyper itself would wait for ever. False if it ends.
async fn has_begun(stream: &TcpStream) -> bool {
    let mut head = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut head).await {
            Ok(0) | Err(_) => return false,
            Ok(read) if read == head.len() || head[..read] != PREFACE[..read] => return true,
            // What is there stays there: without a pause this would turn in circles.
            Ok(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Sets TCP_NODELAY: an answer in two small writes would otherwise wait for the client's delayed acknowledgement.
fn send_at_once(stream: &TcpStream) {
    if let Err(fault) = stream.set_nodelay(true) {
        debug!(%fault, "cannot set TCP_NODELAY");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_accepted_socket_sends_small_writes_at_once() {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        assert!(!stream.nodelay().unwrap());
        send_at_once(&stream);
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_or_not_enough_is_closed() {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let nobody = tower::service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(http_body_util::Empty::<Bytes>::new()))
        });
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, nobody, stop.clone()));
        for said in [&b""[..], b"P", &PREFACE[..23]] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(said).await.unwrap();
            // What was said and not read is answered with a reset.
            let closed = client.read(&mut [0; 1]).await;
            assert!(closed.is_err() || matches!(closed, Ok(0)), "{said:?}: {closed:?}");
        }
        stop.cancel();
    }

    #[tokio::test]
    async fn a_port_in_use_is_named_with_what_to_do() {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let fault = bind(listener.local_addr().unwrap()).await.unwrap_err();
        assert!(fault.is_in_use() && fault.to_string().contains("--listen"));
    }
}
