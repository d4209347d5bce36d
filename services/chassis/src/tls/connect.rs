//! The client's side of a TLS connection: what tonic connects with.

use std::io;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tower::Service;

use super::Certificates;

/// Connects to the authority of a URI, whatever its scheme says, and shakes hands.
#[derive(Debug, Clone)]
pub struct Connector(Certificates);

impl Connector {
    /// One that uses these certificates as they are when it connects.
    pub fn new(certificates: Certificates) -> Self {
        Self(certificates)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let certificates = self.0.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let name = certificates.name_of(host).map_err(io::Error::other)?;
            let target = (host.trim_matches(['[', ']']), uri.port_u16().unwrap_or(443));
            let stream = TcpStream::connect(target).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(certificates.connector().connect(name, stream).await?))
        })
    }
}
