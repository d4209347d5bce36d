//! Listens and serves: HTTP/1.1 and HTTP/2 without TLS on one port, TCP_NODELAY on every socket, drained on request.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::{debug, warn};

use crate::sleep;

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
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => answer(stream, service.clone(), &graceful),
            Err(fault) => {
                // Out of file descriptors, most likely: taking a breath lets others close.
                warn!(%fault, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = sleep(GRACE) => warn!("some connections did not end in time"),
    }
}

/// Serves one connection in a task of its own.
fn answer<S, B>(stream: TcpStream, service: S, graceful: &GracefulShutdown)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    send_at_once(&stream);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // A client that sends its head a byte at a time is cut off; large windows keep bulk pushes streaming.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(15));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_concurrent_streams(1_024);
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
        .into_owned();
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(fault) = connection.await {
            debug!(%fault, "a connection ended badly");
        }
    });
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

    #[tokio::test]
    async fn a_port_in_use_is_named_with_what_to_do() {
        let listener = bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let fault = bind(listener.local_addr().unwrap()).await.unwrap_err();
        assert!(fault.is_in_use() && fault.to_string().contains("--listen"));
    }
}
